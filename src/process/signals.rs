//! Keeps signals away from this library's threads, which cannot run the application's handlers.

use std::mem::MaybeUninit;

/// Signals that a fault raises in the thread that caused it. Blocking them would make the fault
/// fatal without a report.
const SYNCHRONOUS: [libc::c_int; 7] = [
    libc::SIGSEGV,
    libc::SIGILL,
    libc::SIGBUS,
    libc::SIGFPE,
    libc::SIGTRAP,
    libc::SIGABRT,
    libc::SIGSYS,
];

/// Runs `start` with all other signals blocked. Threads that it starts inherit that mask for good;
/// the calling thread gets its own mask back.
pub fn blocked<T>(start: impl FnOnce() -> T) -> T {
    let _restore = Mask::block();
    start()
}

struct Mask(libc::sigset_t);

impl Mask {
    fn block() -> Self {
        let mut all = MaybeUninit::uninit();
        let mut previous = MaybeUninit::uninit();
        // SAFETY: both sets are written by the calls before they are read; `pthread_sigmask`
        // cannot fail with a valid `how`, and then writes `previous`.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            for signal in SYNCHRONOUS {
                libc::sigdelset(all.as_mut_ptr(), signal);
            }
            libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), previous.as_mut_ptr());
            Self(previous.assume_init())
        }
    }
}

impl Drop for Mask {
    fn drop(&mut self) {
        // SAFETY: the set was written by `pthread_sigmask`.
        unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blocks(signal: libc::c_int) -> bool {
        let mut mask = MaybeUninit::uninit();
        // SAFETY: the call writes the mask before it is read.
        unsafe {
            libc::pthread_sigmask(libc::SIG_SETMASK, std::ptr::null(), mask.as_mut_ptr());
            libc::sigismember(mask.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn threads_started_inside_take_faults_and_nothing_else() {
        let seen = blocked(|| {
            std::thread::spawn(|| {
                [libc::SIGINT, libc::SIGPROF, libc::SIGSEGV, libc::SIGABRT].map(blocks)
            })
        });
        assert_eq!(seen.join().unwrap(), [true, true, false, false]);
        assert!(!blocks(libc::SIGINT));
    }
}
