//! What a Time is inside. Ruby's API has a call that may raise, and so has to be protected, which takes a tenth of
//! lowering.

use crate::ruby::time::nanoseconds_by_ruby;
use magnus::rb_sys::AsRawValue;
use magnus::value::ReprValue;
use magnus::{Error, RTypedData, Ruby};
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether [`check`] has found the contents of Times where they should be.
static FOUND: AtomicBool = AtomicBool::new(false);

/// Returns the nanoseconds since the epoch of an object of the class Time itself, `None` where they can't be told
/// without a call: where the layout isn't known, for a Time that has parts of nanoseconds or is further than 146 years
/// from the epoch, and for 0, which one that was never initialized has too.
#[inline]
pub fn plain_nanoseconds(time: RTypedData) -> Option<i64> {
    if !are_found() {
        return None;
    }
    // SAFETY: `check` has found that this Ruby has them there.
    unsafe { read(time) }
}

/// Returns whether [`check`] has found the contents.
#[inline]
pub fn are_found() -> bool {
    FOUND.load(Ordering::Relaxed)
}

/// Checks that this Ruby has the contents of Times where they are looked for, and notes it.
///
/// # Errors
/// When there is no memory for some Times.
pub fn check(ruby: &Ruby) -> Result<(), Error> {
    const SECONDS: [i64; 5] = [1, 1_700_000_000, 2_200_000_000, -1, -1_700_000_000];
    for seconds in SECONDS {
        for nanoseconds in [0, 1, 999_999_999] {
            let time = ruby.time_nano_new(seconds, nanoseconds)?;
            let Some(data) = RTypedData::from_value(time.as_value()) else {
                return Ok(());
            };
            // SAFETY: a Time of this Ruby; a word of it that is read as a number does no harm.
            let read = unsafe { read(data) };
            if read.map(i128::from) != Some(nanoseconds_by_ruby(ruby, data)?) {
                return Ok(());
            }
        }
    }
    FOUND.store(true, Ordering::Relaxed);
    Ok(())
}

/// The first word of `struct time_object` in the `time.c` of Ruby 3.1 to 3.4, `timew`: an Integer of nanoseconds where
/// it has room for them, otherwise a Rational or a large Integer.
///
/// # Safety
/// `time` must be a Time. What is read means something only once it was checked.
#[cfg(all(
    any(ruby_3_1, ruby_3_2, ruby_3_3, ruby_3_4),
    target_pointer_width = "64"
))]
#[inline(always)]
unsafe fn read(time: RTypedData) -> Option<i64> {
    // SAFETY: a Time has its contents behind this address, which are larger than one word.
    let word = unsafe { *rb_sys::RTYPEDDATA_GET_DATA(time.as_raw()).cast::<rb_sys::VALUE>() };
    rb_sys::FIXNUM_P(word)
        .then_some(word as i64 >> 1)
        .filter(|nanoseconds| *nanoseconds != 0)
}

#[cfg(not(all(
    any(ruby_3_1, ruby_3_2, ruby_3_3, ruby_3_4),
    target_pointer_width = "64"
)))]
unsafe fn read(_: RTypedData) -> Option<i64> {
    None
}
