//! Tells a process from its children without a hook in the application's language.
//!
//! A `pthread_atfork` handler increments a counter in every child, whoever forked: the language's
//! own `fork`, a daemon helper, C code, or a signal handler. State made under another generation
//! belongs to the parent. It is left alone rather than freed, because the threads that served it,
//! and that may have held its locks, do not exist in the child.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Returns the number of forks that lead to this process: constant within a process, different in
/// each of its children.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts to count forks. Must be called before the first thread of this library is started.
pub fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler lives as long as the process and performs one atomic addition, which
        // is async-signal-safe. If registering fails (no memory), forks go unnoticed; nothing
        // better can be done while a library is being loaded.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
