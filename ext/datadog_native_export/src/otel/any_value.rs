//! Attributes in OTLP's own form: those of resources, scopes and links, and those that a span has no other place for.

use crate::convert::Lowering;
use crate::convert::text::entry;
use crate::errors::Failure;
use crate::ruby::each_pair;
use magnus::Value;
use pipeline::otel::otlp;
use pipeline::otel::otlp::proto::{AnyValue, KeyValue};

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
                lowered.push(otlp::key_value(&key, value));
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
        let lowered = self.attribute(value, &path)?;
        let lowered = lowered.ok_or_else(|| Failure::wrong_class(path(), KINDS, value))?;
        Ok(otlp::any_value(&lowered))
    }
}
