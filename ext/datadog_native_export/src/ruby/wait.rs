//! Waiting without the GVL.

use super::check_interrupts;
use magnus::Error;
use magnus::rb_sys::protect;
use pipeline::{Interrupt, Waiter};
use std::ffi::{c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::{Duration, Instant};

/// Runs `block` without the GVL. The interrupt is requested when Ruby wants this thread back; `block` should then return
/// soon. It may not touch a Ruby object. Returns `None` when something is waiting for [`check_interrupts`] already.
///
/// # Errors
/// When Ruby can't start the thread that it may need to request it.
fn without_gvl<R: Send>(block: impl Fn(&Interrupt) -> R + Sync) -> Result<Option<R>, Error> {
    struct Call<'a, R> {
        block: &'a (dyn Fn(&Interrupt) -> R + Sync),
        interrupt: &'a Interrupt,
        result: Option<std::thread::Result<R>>,
    }
    extern "C" fn run<R>(call: *mut c_void) -> *mut c_void {
        // SAFETY: `call` is the one below, which is on the stack until this returns.
        let call = unsafe { &mut *call.cast::<Call<R>>() };
        let run = || (call.block)(call.interrupt);
        call.result = Some(catch_unwind(AssertUnwindSafe(run)));
        std::ptr::null_mut()
    }
    extern "C" fn unblock(interrupt: *mut c_void) {
        // SAFETY: it is the one below; Ruby calls this only while `rb_nogvl` runs.
        unsafe { &*interrupt.cast::<Interrupt>() }.request();
    }
    // Ruby calls it from a signal handler, which may be late, or come between its setting this function and the
    // argument, which is of an earlier call then.
    extern "C" fn unblock_main(_: *mut c_void) {
        Interrupt::request_of_main();
    }
    let own = Interrupt::of_this_thread();
    let of_main = Interrupt::of_main();
    let interrupt = of_main.unwrap_or(&own);
    // Without the flag, a process of one thread starts another for each call, to call the function from.
    let (unblock, flag): (unsafe extern "C" fn(_), _) = match of_main {
        Some(_) => (unblock_main, rb_sys::RB_NOGVL_UBF_ASYNC_SAFE),
        None => (unblock, 0),
    };
    let mut call = Call {
        block: &block,
        interrupt,
        result: None,
    };
    let call_ptr = (&raw mut call).cast::<c_void>();
    let interrupt_ptr = std::ptr::from_ref(interrupt).cast_mut().cast::<c_void>();
    protect(AssertUnwindSafe(|| {
        // SAFETY: both functions have the form that is asked for and never unwind; their arguments
        // outlive the call. With INTR_FAIL interrupts are left for later, and what it raises
        // before it calls `run` is caught here.
        unsafe {
            rb_sys::rb_nogvl(
                Some(run::<R>),
                call_ptr,
                Some(unblock),
                interrupt_ptr,
                (rb_sys::RB_NOGVL_INTR_FAIL | flag) as c_int,
            );
        }
        rb_sys::Qnil as rb_sys::VALUE
    }))?;
    match call.result.transpose() {
        Ok(result) => Ok(result),
        Err(panic) => resume_unwind(panic),
    }
}

/// Ruby 3.1 does not always wake a waiting thread at a signal when another Ruby thread is alive,
/// so that no wait is longer than this.
const SLICE: Duration = Duration::from_millis(100);

/// Waits with the GVL released, at most for `limit`. Returns whether the wait is over. Looks at least once, however
/// short the limit.
///
/// # Errors
/// What Ruby raises in this thread meanwhile (`Thread#kill`, `Timeout`, Ctrl-C). A signal that is
/// merely handled changes nothing. What is being sent goes on in either case.
pub fn wait(waiter: &Waiter, limit: Option<Duration>) -> Result<bool, Error> {
    if waiter.wait(Duration::ZERO) {
        return Ok(true);
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.unwrap_or(SLICE).min(SLICE);
        let done = without_gvl(|interrupt| waiter.wait_unless(interrupt, slice))?;
        check_interrupts()?;
        if waiter.is_inherited() {
            // A signal handler has forked, and this is the child: nobody serves that queue here.
            return Ok(false);
        }
        if done == Some(true) {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
    }
}
