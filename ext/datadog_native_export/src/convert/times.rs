//! Ruby's points in time.

use crate::errors::Failure;
use crate::ruby::{RubyInteger, nanoseconds};
use magnus::value::ReprValue;
use magnus::{RString, Ruby, Value};

/// Returns the nanoseconds since the epoch of a Time, or of what stands for one: an object with `to_time`, such as an
/// ActiveSupport::TimeWithZone or a DateTime, or with `nsec` and `to_i`. `None` for everything else.
///
/// # Errors
/// What these methods raise.
#[inline(always)]
pub fn time(ruby: &Ruby, value: Value) -> Result<Option<i128>, Failure> {
    match nanoseconds(ruby, value)? {
        None if !is_plain(ruby, value) => like_time(ruby, value),
        time => Ok(time),
    }
}

/// Returns whether a value is of a kind that never stands for a time, though libraries give some of them `to_time`.
#[inline]
fn is_plain(ruby: &Ruby, value: Value) -> bool {
    value.is_nil()
        || RubyInteger::from_value(value).is_some()
        || RString::from_value(value).is_some()
        || value.is_kind_of(ruby.class_numeric())
}

#[cold]
#[inline(never)]
fn like_time(ruby: &Ruby, value: Value) -> Result<Option<i128>, Failure> {
    if value.respond_to("to_time", false)? {
        let time: Value = value.funcall_public("to_time", ())?;
        return Ok(nanoseconds(ruby, time)?);
    }
    if value.respond_to("nsec", false)? && value.respond_to("to_i", false)? {
        let part = |name: &str| {
            let part: Value = value.funcall_public(name, ())?;
            Ok::<_, Failure>(RubyInteger::from_value(part).and_then(|part| part.to::<i64>()))
        };
        let seconds = part("to_i")?.zip(part("nsec")?);
        return Ok(seconds.map(|(seconds, nanoseconds)| {
            i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds)
        }));
    }
    Ok(None)
}
