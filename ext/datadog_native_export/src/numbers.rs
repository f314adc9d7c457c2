//! Ruby numbers and times, checked against what the wire has room for.

use crate::errors::{out_of_range, wrong_class};
use crate::ruby::Whole;
use magnus::value::ReprValue;
use magnus::{Error, Fixnum, Float, Ruby, Time, Value};

/// The nanoseconds that Int64 holds reach from 1677 to 2262.
const NANOSECONDS: &str = "nanoseconds between -2**63 and 2**63-1";

/// An Integer of 1 to 2**128-1.
pub fn trace_id(ruby: &Ruby, value: Value) -> Result<u128, Error> {
    fit(ruby, value, "trace_id", "Integer", "1 to 2**128-1")
        .and_then(|id| not_zero(ruby, id, "trace_id", "1 to 2**128-1", value))
}

/// An Integer of 1 to 2**64-1.
pub fn span_id(ruby: &Ruby, value: Value) -> Result<u64, Error> {
    fit(ruby, value, "span_id", "Integer", "1 to 2**64-1")
        .and_then(|id| not_zero(ruby, id, "span_id", "1 to 2**64-1", value))
}

/// An Integer of 0 to 2**64-1, 0 for none.
pub fn parent_id(ruby: &Ruby, value: Value) -> Result<u64, Error> {
    fit(ruby, value, "parent_id", "Integer", "0 to 2**64-1")
}

/// A Time, or an Integer of nanoseconds since the epoch.
pub fn start(ruby: &Ruby, value: Value) -> Result<i64, Error> {
    match nanoseconds(value)? {
        Some(nanoseconds) => i64::try_from(nanoseconds)
            .map_err(|_| out_of_range(ruby, "start", "a Time between 1677 and 2262", value)),
        None => fit(
            ruby,
            value,
            "start",
            "Time or Integer (nanoseconds)",
            NANOSECONDS,
        ),
    }
}

/// As [`start`], but not before the epoch.
pub fn event_time(ruby: &Ruby, value: Value) -> Result<u64, Error> {
    match nanoseconds(value)? {
        Some(nanoseconds) => u64::try_from(nanoseconds)
            .map_err(|_| out_of_range(ruby, "time", "a Time between 1970 and 2554", value)),
        None => fit(ruby, value, "time_unix_nano", "Integer", "0 to 2**64-1"),
    }
}

/// The flags of a link, without the bit that says that there are any.
pub fn link_flags(ruby: &Ruby, value: Value) -> Result<u32, Error> {
    const RANGE: &str = "0 to 2**31-1";
    let flags: u32 = fit(ruby, value, "flags", "Integer", RANGE)?;
    if flags > i32::MAX as u32 {
        return Err(out_of_range(ruby, "flags", RANGE, value));
    }
    Ok(flags)
}

/// Nanoseconds since the epoch, when `value` is a Time.
fn nanoseconds(value: Value) -> Result<Option<i128>, Error> {
    let Some(time) = Time::from_value(value) else {
        return Ok(None);
    };
    let seconds = time.timespec()?;
    Ok(Some(
        i128::from(seconds.tv_sec) * 1_000_000_000 + i128::from(seconds.tv_nsec),
    ))
}

/// An Integer of nanoseconds.
pub fn duration(ruby: &Ruby, value: Value) -> Result<i64, Error> {
    fit(
        ruby,
        value,
        "duration",
        "Integer (nanoseconds)",
        NANOSECONDS,
    )
}

/// Seconds as a Float, Integer or Rational, in nanoseconds. What is below one is cut off.
pub fn seconds(ruby: &Ruby, value: Value) -> Result<i64, Error> {
    const PER_SECOND: i64 = 1_000_000_000;
    const RANGE: &str = "seconds up to 2**63-1 nanoseconds";
    let range = || out_of_range(ruby, "duration", RANGE, value);
    if let Some(float) = Float::from_value(value) {
        let nanoseconds = (float.to_f64() * PER_SECOND as f64).trunc();
        // 2**63 is the first that an i64 can't hold; NaN is in no range.
        let fits =
            (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&nanoseconds);
        return fits.then_some(nanoseconds as i64).ok_or_else(range);
    }
    if let Some(whole) = Whole::from_value(value) {
        let seconds = whole.fit::<i64>().ok_or_else(range)?;
        return seconds.checked_mul(PER_SECOND).ok_or_else(range);
    }
    if value.is_kind_of(ruby.class_rational()) {
        let nanoseconds: Value = value.funcall("*", (PER_SECOND,))?;
        let whole: Value = nanoseconds.funcall("to_i", ())?;
        return Whole::from_value(whole)
            .and_then(|whole| whole.fit())
            .ok_or_else(range);
    }
    let kinds = "Float, Integer or Rational (seconds)";
    Err(wrong_class(ruby, "duration", kinds, value))
}

/// An Integer, 0 for none.
pub fn error(ruby: &Ruby, value: Value) -> Result<i32, Error> {
    fit(ruby, value, "error", "Integer", "-2**31 to 2**31-1")
}

/// A metric that takes no call to read: a Float that is a number, or a small Integer.
#[inline]
pub fn simple_metric(value: Value) -> Option<f64> {
    if let Some(fixnum) = Fixnum::from_value(value) {
        return Some(fixnum.to_i64() as f64);
    }
    let float = Float::from_value(value)?.to_f64();
    (!float.is_nan()).then_some(float)
}

/// A real number, or `None` for NaN, which has no meaning as a metric.
pub fn metric(ruby: &Ruby, value: Value, field: impl Fn() -> String) -> Result<Option<f64>, Error> {
    let number = if let Some(float) = Float::from_value(value) {
        float.to_f64()
    } else if let Some(whole) = Whole::from_value(value) {
        match whole.magnitude {
            Some(magnitude) if whole.negative => -(magnitude as f64),
            Some(magnitude) => magnitude as f64,
            None => {
                let number = value.funcall::<_, _, f64>("to_f", ())?;
                if number.is_infinite() {
                    let range = "a number that a 64-bit float can hold";
                    return Err(out_of_range(ruby, &field(), range, value));
                }
                number
            }
        }
    } else if value.is_kind_of(ruby.class_rational()) {
        value.funcall("to_f", ())?
    } else {
        return Err(wrong_class(
            ruby,
            &field(),
            "Integer, Float or Rational",
            value,
        ));
    };
    Ok((!number.is_nan()).then_some(number))
}

fn fit<T: TryFrom<i128> + TryFrom<u128>>(
    ruby: &Ruby,
    value: Value,
    field: &str,
    class: &str,
    range: &str,
) -> Result<T, Error> {
    let whole = Whole::from_value(value).ok_or_else(|| wrong_class(ruby, field, class, value))?;
    whole
        .fit()
        .ok_or_else(|| out_of_range(ruby, field, range, value))
}

fn not_zero<T: Default + PartialEq>(
    ruby: &Ruby,
    id: T,
    field: &str,
    range: &str,
    value: Value,
) -> Result<T, Error> {
    if id == T::default() {
        return Err(out_of_range(ruby, field, range, value));
    }
    Ok(id)
}
