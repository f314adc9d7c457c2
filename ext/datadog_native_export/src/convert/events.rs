//! Span events: from Ruby and back.

use super::text::{entry, read_string};
use super::{Lowering, numbers, times};
use crate::errors::Failure;
use crate::ruby::{RubyInteger, each_pair};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Error, Float, IntoValue, RArray, RHash, RString, Ruby, Symbol, Value};
use pipeline::span::{AttributeAnyValueBytes, AttributeArrayValueBytes, SpanEventBytes};
use std::collections::HashMap;
use std::mem::discriminant;

/// Names what an agent takes as an attribute.
const KINDS: &str =
    "String, Symbol, Integer of 64 bits, finite Float, true, false, or an Array of one of these";

/// When an event happened.
#[derive(Clone, Copy)]
pub enum Moment {
    /// A Time.
    Time(Value),
    /// An Integer of nanoseconds since the epoch.
    Nanoseconds(Value),
    /// Either.
    Any(Value),
}

impl Lowering<'_> {
    /// Lowers an event. Attributes that an agent doesn't take are left out, as dd-trace-rb's `SpanEvent` does.
    ///
    /// # Errors
    /// For a name, time or attributes that can't be sent.
    pub fn event(
        &mut self,
        name: Value,
        moment: Moment,
        attributes: Value,
    ) -> Result<SpanEventBytes, Failure> {
        let mut event = SpanEventBytes {
            name: self.text(name, || "name".into())?.text,
            time_unix_nano: self.moment(moment)?,
            ..Default::default()
        };
        if attributes.is_nil() {
            return Ok(event);
        }
        let hash = RHash::from_value(attributes)
            .ok_or_else(|| Failure::wrong_class("attributes", "Hash", attributes))?;
        event.attributes = HashMap::with_capacity(hash.len());
        each_pair(hash, |_, key, value| {
            let key = self.text(key, || "attributes key".into())?.text;
            let path = || entry("attributes", &key);
            match self.attribute(value, &path)? {
                Some(value) => {
                    event.attributes.insert(key, value);
                }
                None => self.skip(Failure::wrong_class(path(), KINDS, value))?,
            }
            Ok::<_, Failure>(())
        })?;
        Ok(event)
    }

    fn moment(&self, moment: Moment) -> Result<u64, Failure> {
        match moment {
            Moment::Time(time) => numbers::event_time(self.ruby, time),
            Moment::Nanoseconds(number) => numbers::event_nanoseconds(number),
            Moment::Any(value) => match times::time(self.ruby, value)? {
                Some(_) => numbers::event_time(self.ruby, value),
                None => numbers::event_nanoseconds(value),
            },
        }
    }

    /// Lowers an attribute; returns `None` for one that the receiver doesn't take.
    ///
    /// # Errors
    /// For more than [`Lowering::spend`] allows, and text that is too long.
    pub fn attribute(
        &mut self,
        value: Value,
        path: &dyn Fn() -> String,
    ) -> Result<Option<AttributeAnyValueBytes>, Failure> {
        let Some(array) = RArray::from_value(value) else {
            let scalar = self.scalar(value, path)?;
            return Ok(scalar.map(AttributeAnyValueBytes::SingleValue));
        };
        let values = self.scalars(array, path)?.filter(|values| {
            let mut pairs = values.windows(2);
            self.mixed_arrays || pairs.all(|pair| discriminant(&pair[0]) == discriminant(&pair[1]))
        });
        Ok(values.map(AttributeAnyValueBytes::Array))
    }

    /// Lowers the values of an Array, of any types; returns `None` if one is neither text, nor a number, true or false.
    ///
    /// # Errors
    /// As [`Lowering::attribute`].
    pub fn scalars(
        &mut self,
        array: RArray,
        path: &dyn Fn() -> String,
    ) -> Result<Option<Vec<AttributeArrayValueBytes>>, Failure> {
        let mut values = Vec::new();
        for index in 0..array.len() {
            let Some(value) = self.scalar(array.entry(index as isize)?, path)? else {
                return Ok(None);
            };
            let bytes = match &value {
                AttributeArrayValueBytes::String(text) => text.as_str().len(),
                _ => 0,
            };
            self.spend(size_of_val(&value) + bytes, path)?;
            values.push(value);
        }
        Ok(Some(values))
    }

    /// Lowers text, a number, true or false; returns `None` for anything else.
    ///
    /// # Errors
    /// For text that is too long.
    pub fn scalar(
        &mut self,
        value: Value,
        path: &dyn Fn() -> String,
    ) -> Result<Option<AttributeArrayValueBytes>, Failure> {
        if RString::from_value(value).is_some() || Symbol::from_value(value).is_some() {
            let text = self.text(value, path)?.text;
            return Ok(Some(AttributeArrayValueBytes::String(text)));
        }
        if let Some(whole) = RubyInteger::from_value(value) {
            return Ok(whole.to().map(AttributeArrayValueBytes::Integer));
        }
        if let Some(float) = Float::from_value(value) {
            let float = Some(float.to_f64()).filter(|float| float.is_finite());
            return Ok(float.map(AttributeArrayValueBytes::Double));
        }
        let is_boolean = Qtrue::from_value(value).is_some() || Qfalse::from_value(value).is_some();
        Ok(is_boolean.then(|| AttributeArrayValueBytes::Boolean(value.to_bool())))
    }
}

/// Returns an event as `Span#add_event` takes it.
///
/// # Errors
/// When Ruby has no memory for it.
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
