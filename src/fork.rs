//! Telling one process from its children, without a hook in Ruby.
//!
//! A `pthread_atfork` handler adds one to a counter in every child, whoever forked: `fork` in
//! Ruby, `Process.daemon`, `IO.popen("-")`, C, inside a signal trap too. State made under another
//! generation belongs to the parent; it is left alone, not freed, since the threads that served it
//! and may have held its locks do not exist here.

use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Which process of a line of forks this is. Equal within a process, different in its children.
pub fn generation() -> u64 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts to count forks. Call it before the first thread is started.
pub fn watch() {
    static WATCH: Once = Once::new();
    WATCH.call_once(|| {
        // SAFETY: the handler is a function that lives as long as the process and does nothing
        // but an atomic addition, which is async-signal-safe. On failure (no memory) no fork is
        // noticed; there is nothing better to do while a library is loaded.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}
