//! Ruby Times.

use super::is_exactly;
use magnus::rb_sys::{AsRawValue, protect};
use magnus::value::ReprValue;
use magnus::{Error, RTypedData, Ruby, Time, Value};

/// Returns the nanoseconds since the epoch of a Time, or `None` when `value` is something else.
///
/// A Time that is a Rational inside calls methods of it.
///
/// # Errors
/// What Ruby raises for a Time that `time_t` can't hold.
#[inline]
pub fn nanoseconds(ruby: &Ruby, value: Value) -> Result<Option<i128>, Error> {
    let Some(time) = RTypedData::from_value(value) else {
        return Ok(None);
    };
    // Asking whether it is of a subclass takes a call.
    if !is_exactly(time, ruby.class_time()) && Time::from_value(time.as_value()).is_none() {
        return Ok(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    protect(|| {
        // SAFETY: it is a Time; what is raised for one out of range is caught here, and nothing is owned.
        let timespec = unsafe { rb_sys::rb_time_timespec(time.as_raw()) };
        (seconds, nanoseconds) = (timespec.tv_sec, timespec.tv_nsec);
        rb_sys::Qnil as rb_sys::VALUE
    })?;
    Ok(Some(
        i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds),
    ))
}
