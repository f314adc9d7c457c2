//! Ruby numbers, checked against what the wire has room for.

use super::times::time;
use crate::errors::Failure;
use crate::ruby::{RubyInteger, fixnum};
use magnus::value::ReprValue;
use magnus::{Float, Ruby, Value};

/// Those that 64 bits hold reach from 1677 to 2262.
const NANOSECONDS: &str = "nanoseconds between -2**63 and 2**63-1";

/// Reads an Integer of 1 to 2**128-1.
pub fn trace_id(value: Value) -> Result<u128, Failure> {
    id(value, "trace_id", "1 to 2**128-1")
}

/// Reads an Integer of 1 to 2**64-1.
#[inline]
pub fn span_id(value: Value) -> Result<u64, Failure> {
    id(value, "span_id", "1 to 2**64-1")
}

/// Reads an Integer of 0 to 2**64-1, 0 for none.
pub fn parent_id(value: Value) -> Result<u64, Failure> {
    fit(value, "parent_id", "Integer", "0 to 2**64-1")
}

/// Reads a Time, or an Integer of nanoseconds since the epoch.
#[inline]
pub fn moment(ruby: &Ruby, value: Value, field: &str) -> Result<i64, Failure> {
    match time(ruby, value)? {
        Some(nanoseconds) => i64::try_from(nanoseconds)
            .map_err(|_| Failure::out_of_range(field, "a Time between 1677 and 2262", value)),
        None => fit(value, field, "Time or Integer (nanoseconds)", NANOSECONDS),
    }
}

/// Reads an Integer of nanoseconds since the epoch.
pub fn timestamp(value: Value, field: &str) -> Result<i64, Failure> {
    fit(value, field, "Integer (nanoseconds)", NANOSECONDS)
}

/// Reads a Time that is not before the epoch, in nanoseconds since then.
pub fn event_time(ruby: &Ruby, value: Value) -> Result<u64, Failure> {
    let nanoseconds =
        time(ruby, value)?.ok_or_else(|| Failure::wrong_class("time", "Time", value))?;
    u64::try_from(nanoseconds)
        .map_err(|_| Failure::out_of_range("time", "a Time between 1970 and 2554", value))
}

/// Reads an Integer of nanoseconds since the epoch, 0 to 2**64-1.
pub fn event_nanoseconds(value: Value) -> Result<u64, Failure> {
    fit(value, "time_unix_nano", "Integer", "0 to 2**64-1")
}

/// Reads the flags of a link, without the bit that says that there are any.
pub fn link_flags(value: Value) -> Result<u32, Failure> {
    const RANGE: &str = "0 to 2**31-1";
    let flags: u32 = fit(value, "flags", "Integer", RANGE)?;
    if flags > i32::MAX as u32 {
        return Err(Failure::out_of_range("flags", RANGE, value));
    }
    Ok(flags)
}

/// Reads an Integer of nanoseconds.
pub fn duration(value: Value) -> Result<i64, Failure> {
    fit(value, "duration", "Integer (nanoseconds)", NANOSECONDS)
}

/// Reads seconds from a Float, Integer or Rational, and returns nanoseconds. What is below one is cut off.
pub fn seconds(ruby: &Ruby, value: Value) -> Result<i64, Failure> {
    const PER_SECOND: i64 = 1_000_000_000;
    const RANGE: &str = "seconds up to 2**63-1 nanoseconds";
    let range = || Failure::out_of_range("duration", RANGE, value);
    if let Some(float) = Float::from_value(value) {
        let nanoseconds = float.to_f64() * PER_SECOND as f64;
        // 2**63 is the first that an i64 can't hold; NaN is in no range.
        let fits =
            (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&nanoseconds);
        return fits.then_some(nanoseconds as i64).ok_or_else(range);
    }
    if let Some(whole) = RubyInteger::from_value(value) {
        let seconds = whole.to::<i64>().ok_or_else(range)?;
        return seconds.checked_mul(PER_SECOND).ok_or_else(range);
    }
    if value.is_kind_of(ruby.class_rational()) {
        let nanoseconds: Value = value.funcall("*", (PER_SECOND,))?;
        let whole: Value = nanoseconds.funcall("to_i", ())?;
        return RubyInteger::from_value(whole)
            .and_then(|whole| whole.to())
            .ok_or_else(range);
    }
    let kinds = "Float, Integer or Rational (seconds)";
    Err(Failure::wrong_class("duration", kinds, value))
}

/// Reads an Integer, 0 for none.
pub fn error(value: Value) -> Result<i32, Failure> {
    fit(value, "error", "Integer", "-2**31 to 2**31-1")
}

/// Reads a metric that takes no call to read: a Float that is a number, or a small Integer.
#[inline(always)]
pub fn plain_metric(value: Value) -> Option<f64> {
    if let Some(number) = fixnum(value) {
        return Some(number as f64);
    }
    let float = Float::from_value(value)?.to_f64();
    (!float.is_nan()).then_some(float)
}

/// Reads a real number; returns `None` for NaN, which has no meaning as a metric.
pub fn metric(
    ruby: &Ruby,
    value: Value,
    field: impl Fn() -> String,
) -> Result<Option<f64>, Failure> {
    let number = if let Some(number) = plain_metric(value) {
        number
    } else if let Some(float) = Float::from_value(value) {
        float.to_f64()
    } else if let Some(whole) = RubyInteger::from_value(value) {
        match whole.magnitude {
            Some(magnitude) if whole.negative => -(magnitude as f64),
            Some(magnitude) => magnitude as f64,
            None => {
                let number = value.funcall::<_, _, f64>("to_f", ())?;
                if number.is_infinite() {
                    let range = "a number that a 64-bit float can hold";
                    return Err(Failure::out_of_range(field(), range, value));
                }
                number
            }
        }
    } else if value.is_kind_of(ruby.class_rational()) {
        value.funcall("to_f", ())?
    } else {
        return Err(Failure::wrong_class(
            field(),
            "Integer, Float or Rational",
            value,
        ));
    };
    Ok((!number.is_nan()).then_some(number))
}

/// What an Integer can be converted to.
trait Whole: TryFrom<i64> + TryFrom<i128> + TryFrom<u128> {}

impl<T: TryFrom<i64> + TryFrom<i128> + TryFrom<u128>> Whole for T {}

#[inline]
fn fit<T: Whole>(value: Value, field: &str, class: &str, range: &str) -> Result<T, Failure> {
    let small = fixnum(value).and_then(|small| T::try_from(small).ok());
    small.map_or_else(|| fit_large(value, field, class, range), Ok)
}

#[inline(never)]
fn fit_large<T: Whole>(value: Value, field: &str, class: &str, range: &str) -> Result<T, Failure> {
    let whole =
        RubyInteger::from_value(value).ok_or_else(|| Failure::wrong_class(field, class, value))?;
    whole
        .to()
        .ok_or_else(|| Failure::out_of_range(field, range, value))
}

/// Reads an Integer that is not 0.
#[inline]
fn id<T: Whole + Default + PartialEq>(
    value: Value,
    field: &str,
    range: &str,
) -> Result<T, Failure> {
    let id = fit(value, field, "Integer", range)?;
    match id == T::default() {
        true => Err(Failure::out_of_range(field, range, value)),
        false => Ok(id),
    }
}
