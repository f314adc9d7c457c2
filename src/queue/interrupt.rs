//! Ends a thread's wait from elsewhere.

#![allow(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread::{self, Thread};

/// Ends the waits of one thread.
pub struct Interrupt {
    thread: Thread,
    requested: AtomicBool,
}

/// The main thread's interrupt, once it has waited.
static OF_MAIN: AtomicPtr<Interrupt> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static KEPT: Cell<Option<&'static Interrupt>> = const { Cell::new(None) };
}

impl Interrupt {
    /// Creates one for waits of the calling thread.
    pub fn of_this_thread() -> Self {
        Self {
            thread: thread::current(),
            requested: AtomicBool::new(false),
        }
    }

    /// Returns the one for waits of the main thread, if that is the calling thread; which thread is
    /// the main one is known on Linux only. It is never freed, so that a signal handler that runs
    /// late, on whatever thread, does no harm.
    pub fn of_main() -> Option<&'static Self> {
        if !is_main_thread() {
            return None;
        }
        let kept = KEPT.get();
        let interrupt = kept.unwrap_or_else(|| Box::leak(Box::new(Self::of_this_thread())));
        KEPT.set(Some(interrupt));
        OF_MAIN.store(std::ptr::from_ref(interrupt).cast_mut(), Ordering::Release);
        Some(interrupt)
    }

    /// Makes the current wait, or else the next one, return at once.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }

    /// Does the same as [`Interrupt::request`] for the main thread. A signal handler may call it: on
    /// Linux it writes to two atomics and wakes a futex.
    pub fn request_of_main() {
        // SAFETY: the pointer is null, or was leaked.
        if let Some(interrupt) = unsafe { OF_MAIN.load(Ordering::Acquire).as_ref() } {
            interrupt.request();
        }
    }

    pub(super) fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Returns whether it was requested since the last call.
    pub(super) fn take(&self) -> bool {
        self.requested.swap(false, Ordering::Relaxed)
    }
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: both only return a number.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    false
}
