//! Tells a process from its children without a hook in the application's language.
//!
//! A `pthread_atfork` handler increments a counter in every child, whoever forked: the language's
//! own `fork`, a daemon helper, C code, or a signal handler. State made under another generation
//! belongs to the parent. It is left alone rather than freed, because the threads that served it,
//! and that may have held its locks, do not exist in the child.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static FORKS: AtomicU64 = AtomicU64::new(0);
static RESTARTS: AtomicU64 = AtomicU64::new(0);

/// Returns the number of this process, or of its latest start anew, in a line of forks: constant as
/// long as state made in this process can be used, and higher in each child.
pub fn generation() -> u64 {
    FORKS.load(Ordering::Relaxed) + RESTARTS.load(Ordering::Relaxed)
}

/// Returns the number of forks that lead to this process.
pub(crate) fn forks() -> u64 {
    FORKS.load(Ordering::Relaxed)
}

/// Begins a new generation in the same process: everything that this library has made in `generation`
/// is left alone from now on, as after a fork. Does nothing if another thread has done so already.
pub(crate) fn start_anew(generation: u64) {
    let restarts = generation - forks();
    let _ = RESTARTS.compare_exchange(restarts, restarts + 1, Ordering::Relaxed, Ordering::Relaxed);
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
    FORKS.fetch_add(1, Ordering::Relaxed);
}
