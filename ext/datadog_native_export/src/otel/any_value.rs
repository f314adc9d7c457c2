//! Attributes in OTLP's own form: those of resources, scopes and links, and those that a span has no other place for.

use crate::convert::Lowering;
use crate::convert::text::entry;
use crate::errors::{Failure, Kind};
use crate::ruby::{RubyInteger, each_pair};
use magnus::value::{Qfalse, Qtrue, ReprValue};
use magnus::{Float, RArray, RString, Symbol, Value};
use pipeline::otel::otlp::proto::any_value::Value as Content;
use pipeline::otel::otlp::proto::{AnyValue, ArrayValue, KeyValue};
use pipeline::span::AGENT_MAX_BYTES;

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
                // A String may stand there many times.
                let mut left = AGENT_MAX_BYTES;
                while index < array.len() {
                    let content = self.content(array.entry(index as isize)?, &path)?;
                    let bytes = match &content {
                        Content::StringValue(text) => text.len(),
                        _ => size_of::<AnyValue>(),
                    };
                    left = left.checked_sub(bytes).ok_or_else(|| too_large(&path))?;
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
            let mut copy = String::new();
            copy.try_reserve_exact(text.as_str().len())
                .map_err(|_| Failure::new(Kind::NoMemory, path(), "failed to allocate memory"))?;
            copy.push_str(text.as_str());
            return Ok(Content::StringValue(copy));
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

#[cold]
fn too_large(path: &impl Fn() -> String) -> Failure {
    let problem = format!("expected at most {AGENT_MAX_BYTES} bytes");
    Failure::new(Kind::Argument, path(), problem)
}

fn any(content: Content) -> AnyValue {
    AnyValue {
        value: Some(content),
    }
}
