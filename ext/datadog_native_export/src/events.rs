//! Span events: from Ruby and back.

use crate::errors::wrong_class;
use crate::numbers;
use crate::ruby::{Whole, each_pair};
use crate::text::{Text, read_string};
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::{
    AttributeAnyValueBytes, AttributeArrayValueBytes, SpanEventBytes,
};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Error, Float, IntoValue, RArray, RHash, RString, Ruby, Symbol, Value};
use std::mem::discriminant;

/// What becomes of an event's values on the way.
#[derive(Default)]
pub struct Tally {
    pub repaired: usize,
    pub left_out: usize,
}

/// An event. Attributes that the agent does not take are left out, as dd-trace-rb's `SpanEvent`
/// does: neither String, Integer of 64 bits, finite Float, true or false, nor an Array of one of
/// these kinds.
pub fn lower(
    ruby: &Ruby,
    name: Value,
    time: Value,
    attributes: Value,
) -> Result<(SpanEventBytes, Tally), Error> {
    let mut tally = Tally::default();
    let name = Text::required(ruby, name, || "name".into())?;
    let mut event = SpanEventBytes {
        time_unix_nano: numbers::event_time(ruby, time)?,
        name: owned(&name, &mut tally),
        ..Default::default()
    };
    if attributes.is_nil() {
        return Ok((event, tally));
    }
    let hash = RHash::from_value(attributes)
        .ok_or_else(|| wrong_class(ruby, "attributes", "Hash", attributes))?;
    let mut result = Ok(());
    each_pair(hash, |key, value| {
        let lowered = Text::required(ruby, key, || "attributes key".into())
            .and_then(|key| Ok((key, attribute(ruby, value, &mut tally)?)));
        result = lowered.map(|(key, value)| match value {
            Some(value) => {
                event.attributes.insert(owned(&key, &mut tally), value);
            }
            None => tally.left_out += 1,
        });
        result.is_ok()
    })?;
    result.map(|()| (event, tally))
}

fn attribute(
    ruby: &Ruby,
    value: Value,
    tally: &mut Tally,
) -> Result<Option<AttributeAnyValueBytes>, Error> {
    let Some(array) = RArray::from_value(value) else {
        return Ok(scalar(ruby, value, tally)?.map(AttributeAnyValueBytes::SingleValue));
    };
    let mut values = Vec::with_capacity(array.len());
    for index in 0..array.len() {
        let Some(value) = scalar(ruby, array.entry(index as isize)?, tally)? else {
            return Ok(None);
        };
        if values
            .first()
            .is_some_and(|first| discriminant(first) != discriminant(&value))
        {
            return Ok(None);
        }
        values.push(value);
    }
    Ok(Some(AttributeAnyValueBytes::Array(values)))
}

fn scalar(
    ruby: &Ruby,
    value: Value,
    tally: &mut Tally,
) -> Result<Option<AttributeArrayValueBytes>, Error> {
    if RString::from_value(value).is_some() || Symbol::from_value(value).is_some() {
        let text = Text::required(ruby, value, || "attributes".into())?;
        return Ok(Some(AttributeArrayValueBytes::String(owned(&text, tally))));
    }
    if let Some(whole) = Whole::from_value(value) {
        return Ok(whole.fit().map(AttributeArrayValueBytes::Integer));
    }
    if let Some(float) = Float::from_value(value) {
        let float = Some(float.to_f64()).filter(|float| float.is_finite());
        return Ok(float.map(AttributeArrayValueBytes::Double));
    }
    let is_boolean = Qtrue::from_value(value).is_some() || Qfalse::from_value(value).is_some();
    Ok(is_boolean.then(|| AttributeArrayValueBytes::Boolean(value.to_bool())))
}

fn owned(text: &Text, tally: &mut Tally) -> BytesString {
    let (text, repaired) = text.to_owned();
    tally.repaired += usize::from(repaired);
    text.into()
}

/// An event as `Span#add_event` takes it.
pub fn to_ruby(ruby: &Ruby, event: &SpanEventBytes) -> Result<RHash, Error> {
    let attributes = ruby.hash_new();
    for (key, value) in &event.attributes {
        let value = match value {
            AttributeAnyValueBytes::SingleValue(value) => scalar_to_ruby(ruby, value),
            AttributeAnyValueBytes::Array(values) => {
                let array = ruby.ary_new_capa(values.len());
                for value in values {
                    array.push(scalar_to_ruby(ruby, value))?;
                }
                array.freeze();
                array.as_value()
            }
        };
        attributes.aset(read_string(ruby, key.as_str()), value)?;
    }
    attributes.freeze();
    let hash = ruby.hash_new();
    hash.aset(
        ruby.to_symbol("name"),
        read_string(ruby, event.name.as_str()),
    )?;
    hash.aset(ruby.to_symbol("time_unix_nano"), event.time_unix_nano)?;
    hash.aset(ruby.to_symbol("attributes"), attributes)?;
    hash.freeze();
    Ok(hash)
}

fn scalar_to_ruby(ruby: &Ruby, value: &AttributeArrayValueBytes) -> Value {
    match value {
        AttributeArrayValueBytes::String(text) => read_string(ruby, text.as_str()).as_value(),
        AttributeArrayValueBytes::Boolean(boolean) => boolean.into_value_with(ruby),
        AttributeArrayValueBytes::Integer(integer) => integer.into_value_with(ruby),
        AttributeArrayValueBytes::Double(double) => double.into_value_with(ruby),
    }
}
