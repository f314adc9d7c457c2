//! Ruby Times.

use super::is_exactly;
use super::private::plain_nanoseconds;
use magnus::rb_sys::{AsRawValue, protect};
use magnus::{Error, RTypedData, Ruby, Time, Value};

/// Returns the nanoseconds since the epoch of a Time, or `None` when `value` is something else.
///
/// A Time that is a Rational inside calls methods of it. One that `time_t` can't hold, or that was never initialized, comes
/// as [`i128::MAX`], which no field has room for.
///
/// # Errors
/// What else Ruby raises.
#[inline(always)]
pub fn nanoseconds(ruby: &Ruby, value: Value) -> Result<Option<i128>, Error> {
    let Some(time) = RTypedData::from_value(value) else {
        return Ok(None);
    };
    // Asking whether it is of a subclass takes a call.
    if is_exactly(time, ruby.class_time()) {
        if let Some(nanoseconds) = plain_nanoseconds(time) {
            return Ok(Some(nanoseconds.into()));
        }
    } else if Time::from_value(value).is_none() {
        return Ok(None);
    }
    nanoseconds_by_ruby(ruby, time).map(Some)
}

/// Returns the nanoseconds since the epoch of a Time, as Ruby's API tells them; otherwise as [`nanoseconds`].
///
/// # Errors
/// As [`nanoseconds`].
#[inline(never)]
pub fn nanoseconds_by_ruby(ruby: &Ruby, time: RTypedData) -> Result<i128, Error> {
    let (mut seconds, mut nanoseconds) = (0, 0);
    let read = protect(|| {
        // SAFETY: it is a Time; what is raised is caught here, and nothing is owned.
        let timespec = unsafe { rb_sys::rb_time_timespec(time.as_raw()) };
        (seconds, nanoseconds) = (timespec.tv_sec, timespec.tv_nsec);
        rb_sys::Qnil as rb_sys::VALUE
    });
    match read {
        Ok(_) => Ok(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)),
        Err(error)
            if error.is_kind_of(ruby.exception_arg_error())
                || error.is_kind_of(ruby.exception_type_error()) =>
        {
            Ok(i128::MAX)
        }
        Err(error) => Err(error),
    }
}
