//! Ending a thread's wait from elsewhere.

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::thread::{self, Thread};

/// By which the wait of one thread is ended.
pub struct Interrupt {
    thread: Thread,
    requested: AtomicBool,
}

/// That of the main thread, once it has waited.
static OF_MAIN: AtomicPtr<Interrupt> = AtomicPtr::new(std::ptr::null_mut());

thread_local! {
    static KEPT: Cell<Option<&'static Interrupt>> = const { Cell::new(None) };
}

impl Interrupt {
    /// For waits of the calling thread.
    pub fn of_this_thread() -> Self {
        Self {
            thread: thread::current(),
            requested: AtomicBool::new(false),
        }
    }

    /// For waits of the calling thread, if that is the main one (which only Linux tells). It is never freed, so that a
    /// signal handler on whatever thread can do no harm by being late.
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

    /// Makes the wait that goes on, or else the next one, return at once.
    pub fn request(&self) {
        self.requested.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }

    /// As [`Interrupt::request`], for the main thread. A signal handler may call it: on Linux all that it does is to
    /// write to two atomics and to wake a futex.
    pub fn request_of_main() {
        // SAFETY: it is null, or was leaked.
        if let Some(interrupt) = unsafe { OF_MAIN.load(Ordering::Acquire).as_ref() } {
            interrupt.request();
        }
    }

    pub fn thread(&self) -> &Thread {
        &self.thread
    }

    /// Whether it was requested since this was last asked.
    pub fn take(&self) -> bool {
        self.requested.swap(false, Ordering::Relaxed)
    }
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: both return a number.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(not(target_os = "linux"))]
fn is_main_thread() -> bool {
    false
}
