//! Values of attributes, where a span has places for them.

use super::any_value::KINDS;
use crate::convert::{Lowering, numbers};
use crate::errors::Failure;
use crate::ruby::fixnum;
use libdd_tinybytes::BytesString;
use magnus::{Float, RArray, RString, Value};
use pipeline::otel::otlp;
use pipeline::otel::otlp::proto::AnyValue;
use pipeline::span::{AttributeArrayValueBytes, json_array};

/// A value that has a place among tags or among metrics, or in OTLP alone.
pub enum Lowered {
    Text(BytesString),
    Number(f64),
    Other(AnyValue),
}

/// Integers of at most this magnitude are the same as 64-bit floats.
const EXACT: u64 = 1 << 53;

/// Lowers a value for an agent: numbers as such, true, false and Arrays as text (pdata's `Value.AsString`).
///
/// # Errors
/// For what is neither text, a number, true or false, nor an Array of these.
pub fn for_agent(
    lowering: &mut Lowering<'_>,
    value: Value,
    path: &dyn Fn() -> String,
) -> Result<Lowered, Failure> {
    if let Some(number) = numbers::plain_metric(value) {
        return Ok(Lowered::Number(number));
    }
    let wrong = || Failure::wrong_class(path(), KINDS, value);
    if let Some(array) = RArray::from_value(value) {
        let values = lowering.scalars(array, path)?.ok_or_else(wrong)?;
        return Ok(Lowered::Text(
            lowering.made_text(&json_array(&values), path)?,
        ));
    }
    let fixed = |text| Lowered::Text(BytesString::from_static(text));
    Ok(match lowering.scalar(value, path)?.ok_or_else(wrong)? {
        AttributeArrayValueBytes::String(text) => Lowered::Text(text),
        AttributeArrayValueBytes::Boolean(true) => fixed("true"),
        AttributeArrayValueBytes::Boolean(false) => fixed("false"),
        AttributeArrayValueBytes::Integer(number) => Lowered::Number(number as f64),
        AttributeArrayValueBytes::Double(number) => Lowered::Number(number),
    })
}

/// Lowers a value for OTLP, so that it keeps its type: see [`otlp::is_whole`].
///
/// # Errors
/// As [`for_agent`].
pub fn for_otlp(
    lowering: &mut Lowering<'_>,
    value: Value,
    path: &dyn Fn() -> String,
) -> Result<Lowered, Failure> {
    if RString::from_value(value).is_some() {
        return Ok(Lowered::Text(lowering.text(value, path)?.text));
    }
    if let Some(number) = fixnum(value).filter(|number| number.unsigned_abs() <= EXACT) {
        return Ok(Lowered::Number(number as f64));
    }
    match Float::from_value(value).map(|float| float.to_f64()) {
        Some(number) if !otlp::is_whole(number) => Ok(Lowered::Number(number)),
        _ => Ok(Lowered::Other(lowering.any_value(value, path)?)),
    }
}
