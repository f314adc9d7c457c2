//! Attributes in OTLP's own form: those of resources, scopes and links, and those that a span has no other place for.

use crate::convert::Lowering;
use crate::convert::text::entry;
use crate::errors::Failure;
use crate::ruby::{RubyInteger, each_pair};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Float, RArray, RString, Symbol, Value};
use pipeline::otel::otlp::proto::any_value::Value as Content;
use pipeline::otel::otlp::proto::{AnyValue, ArrayValue, KeyValue};

/// Names what an attribute can be.
pub const KINDS: &str =
    "String, Symbol, Integer of 64 bits, finite Float, true, false, or an Array of these";

impl Lowering<'_> {
    /// Lowers a Hash of attributes, or none for nil.
    ///
    /// # Errors
    /// For what has nothing to do with a value; what can't be sent is left out.
    pub fn key_values(&mut self, attributes: Value, field: &str) -> Result<Vec<KeyValue>, Failure> {
        let mut lowered = Vec::new();
        let Some(hash) = self.hash(attributes, field)? else {
            return Ok(lowered);
        };
        lowered.reserve(hash.len());
        each_pair(hash, |_, key, value| {
            let key = match self.text(key, || format!("{field} key")) {
                Ok(key) => key.text,
                Err(reason) => return self.left_out(reason),
            };
            let value = self.any_value(value, || entry(field, &key));
            if let Some(value) = self.or_left_out(value)? {
                lowered.push(key_value(key.copy_to_string(), value));
            }
            Ok::<_, Failure>(())
        })?;
        Ok(lowered)
    }

    /// Lowers the value of an attribute.
    ///
    /// # Errors
    /// For what OTLP has no place for.
    pub fn any_value(
        &mut self,
        value: Value,
        path: impl Fn() -> String,
    ) -> Result<AnyValue, Failure> {
        let content = match RArray::from_value(value) {
            None => self.content(value, &path)?,
            Some(array) => {
                let mut values = Vec::new();
                let mut index = 0;
                while index < array.len() {
                    let content = self.content(array.entry(index as isize)?, &path)?;
                    values.push(any(content));
                    index += 1;
                }
                Content::ArrayValue(ArrayValue { values })
            }
        };
        Ok(any(content))
    }

    fn content(&mut self, value: Value, path: &impl Fn() -> String) -> Result<Content, Failure> {
        if RString::from_value(value).is_some() || Symbol::from_value(value).is_some() {
            let text = self.text(value, path)?.text;
            return Ok(Content::StringValue(text.copy_to_string()));
        }
        if let Some(float) = Float::from_value(value) {
            // JSON has no number for others.
            let float = Some(float.to_f64()).filter(|float| float.is_finite());
            let float = float.map(Content::DoubleValue);
            return float.ok_or_else(|| Failure::wrong_class(path(), KINDS, value));
        }
        if Qtrue::from_value(value).is_some() || Qfalse::from_value(value).is_some() {
            return Ok(Content::BoolValue(value.to_bool()));
        }
        let whole = RubyInteger::from_value(value).and_then(|whole| whole.to());
        whole
            .map(Content::IntValue)
            .ok_or_else(|| Failure::wrong_class(path(), KINDS, value))
    }
}

/// Returns an attribute.
pub fn key_value(key: String, value: AnyValue) -> KeyValue {
    KeyValue {
        key,
        value: Some(value),
        key_ref: 0,
    }
}

fn any(content: Content) -> AnyValue {
    AnyValue {
        value: Some(content),
    }
}
