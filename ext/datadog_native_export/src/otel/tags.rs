//! Attributes of spans and resources, as tags and metrics.

use super::values::{Lowered, for_agent, for_otlp};
use crate::convert::Lowering;
use crate::convert::text::entry;
use crate::errors::Failure;
use crate::ruby::{Keys, each_pair};
use libdd_tinybytes::BytesString;
use magnus::{RHash, Value};
use pipeline::otel::otlp::proto::KeyValue;
use pipeline::otel::{Key, datadog_key, otlp};
use pipeline::span::{SpanBytes, VecMap};
use std::borrow::Cow;
use std::collections::HashSet;

/// Entries that one whose key may be there already is compared with, at most; repeated ones beyond are taken out in the
/// end.
const MOST_COMPARED: usize = 64;

/// What attributes become.
#[derive(Default)]
pub struct Tags {
    pub meta: Vec<(BytesString, BytesString)>,
    pub metrics: Vec<(BytesString, f64)>,
    /// For OTLP alone, what is neither text nor a number of `metrics`.
    pub others: Vec<KeyValue>,
    /// What Datadog has fields for.
    pub operation: Option<BytesString>,
    pub service: Option<BytesString>,
    pub resource: Option<BytesString>,
    pub span_type: Option<BytesString>,
    /// Whether keys that are added may be there already, though they differ in the Hash.
    may_repeat: bool,
    /// Whether some were added without a look at all others.
    repeats: bool,
}

impl Tags {
    /// Takes the maps of a span, to fill them.
    pub fn of(span: &mut SpanBytes) -> Self {
        Self {
            meta: std::mem::take(&mut span.meta).into(),
            metrics: std::mem::take(&mut span.metrics).into(),
            ..Self::default()
        }
    }

    /// Gives the maps back to the span.
    pub fn put_into(mut self, span: &mut SpanBytes) {
        if self.repeats {
            keep_first(&mut self.meta);
            keep_first(&mut self.metrics);
        }
        span.meta = VecMap::from(self.meta);
        span.metrics = VecMap::from(self.metrics);
        // No two share a key. The library would build a hash table of each map to find out.
        span.meta.mark_deduped();
        span.metrics.mark_deduped();
    }

    /// Adds a Hash of attributes, or none for nil, under Datadog's names. Of attributes that get the same name the first
    /// stays.
    ///
    /// # Errors
    /// For what has nothing to do with a value; what can't be sent is left out.
    pub fn add_for_agent(
        &mut self,
        lowering: &mut Lowering<'_>,
        attributes: Value,
        field: &str,
    ) -> Result<(), Failure> {
        self.add(lowering, attributes, field, for_agent, Self::put_for_agent)
    }

    /// Does the same for OTLP, under their own names.
    ///
    /// # Errors
    /// As [`Tags::add_for_agent`].
    pub fn add_for_otlp(
        &mut self,
        lowering: &mut Lowering<'_>,
        attributes: Value,
    ) -> Result<(), Failure> {
        self.add(
            lowering,
            attributes,
            "attributes",
            for_otlp,
            |tags, _, key, value| {
                tags.put(key, value);
                Ok(())
            },
        )
    }

    fn add(
        &mut self,
        lowering: &mut Lowering<'_>,
        attributes: Value,
        field: &str,
        lower: impl Fn(&mut Lowering<'_>, Value, &dyn Fn() -> String) -> Result<Lowered, Failure>,
        put: impl Fn(&mut Self, &mut Lowering<'_>, BytesString, Lowered) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(hash) = lowering.hash(attributes, field)? else {
            return Ok(());
        };
        self.reserve(hash);
        each_pair(hash, |keys, key, value| {
            let key = match lowering.text(key, || format!("{field} key")) {
                Ok(key) => key,
                Err(reason) => return lowering.left_out(reason),
            };
            self.may_repeat |= keys == Keys::MayRepeat || !key.distinct;
            let lowered = lower(lowering, value, &|| entry(field, &key.text));
            match lowering.or_left_out(lowered)? {
                Some(value) => put(self, lowering, key.text, value),
                None => Ok(()),
            }
        })
    }

    /// Adds tags that every span of a resource has, but for those that the span has already.
    pub fn add_all(&mut self, others: &Self) {
        self.may_repeat = true;
        for (key, value) in &others.meta {
            self.put(key.clone(), Lowered::Text(value.clone()));
        }
        for (key, value) in &others.metrics {
            self.put(key.clone(), Lowered::Number(*value));
        }
    }

    /// Makes all numbers text, which is how a resource's attributes become tags.
    ///
    /// # Errors
    /// When there is no memory for it.
    pub fn numbers_to_text(&mut self, lowering: &mut Lowering<'_>) -> Result<(), Failure> {
        for (key, number) in self.metrics.drain(..) {
            let text = lowering.made_text(&number.to_string(), || entry("resource", &key))?;
            self.meta.push((key, text));
        }
        Ok(())
    }

    /// Adds a tag of ours, in place of one of the same name.
    pub fn set(&mut self, key: &'static str, value: BytesString) {
        match self.meta.iter_mut().find(|(other, _)| *other == key) {
            Some((_, other)) => *other = value,
            None => self.meta.push((BytesString::from_static(key), value)),
        }
    }

    /// Adds a tag of ours as [`Tags::set`] does, unless the text is empty.
    pub fn set_text(&mut self, key: &'static str, value: BytesString) {
        if !value.as_str().is_empty() {
            self.set(key, value);
        }
    }

    /// Adds a tag of ours, unless there is one of that name.
    pub fn set_if_absent(&mut self, key: &'static str, value: &BytesString) {
        if self.get(key).is_none() {
            let key = BytesString::from_static(key);
            self.meta.push((key, value.clone()));
        }
    }

    /// Returns the value of a tag.
    pub fn get(&self, key: &str) -> Option<&BytesString> {
        let found = self.meta.iter().find(|(other, _)| *other == key);
        found.map(|(_, value)| value)
    }

    fn reserve(&mut self, hash: RHash) {
        let most = self.meta.len() + hash.len();
        // What had many entries before would keep their room for a few.
        if self.meta.capacity() > 4 * most.max(8) {
            self.meta.shrink_to(most);
        }
        self.meta.reserve(hash.len());
    }

    fn put_for_agent(
        &mut self,
        lowering: &mut Lowering<'_>,
        key: BytesString,
        value: Lowered,
    ) -> Result<(), Failure> {
        let field = match datadog_key(key.as_str()) {
            Key::Same => {
                self.put(key, value);
                return Ok(());
            }
            Key::Tag(name) => {
                self.may_repeat = true;
                let name = match name {
                    Cow::Borrowed(name) => BytesString::from_static(name),
                    Cow::Owned(name) => lowering.made_text(&name, || "attributes key".into())?,
                };
                self.put(name, value);
                return Ok(());
            }
            Key::Operation => &mut self.operation,
            Key::Service => &mut self.service,
            Key::Resource => &mut self.resource,
            Key::Type => &mut self.span_type,
        };
        let text = match value {
            Lowered::Text(text) => text,
            Lowered::Number(number) => {
                lowering.made_text(&number.to_string(), || "attributes".into())?
            }
            Lowered::Other(_) => return Ok(()),
        };
        if !text.as_str().is_empty() {
            *field = Some(text);
        }
        Ok(())
    }

    fn put(&mut self, key: BytesString, value: Lowered) {
        let is_compared = self.may_repeat;
        self.repeats |= is_compared && self.meta.len().max(self.metrics.len()) >= MOST_COMPARED;
        match value {
            Lowered::Text(value) if !is_compared || !has(&self.meta, &key) => {
                self.meta.push((key, value));
            }
            Lowered::Number(value) if !is_compared || !has(&self.metrics, &key) => {
                self.metrics.push((key, value));
            }
            Lowered::Other(value) => self.others.push(otlp::key_value(&key, value)),
            _ => {}
        }
    }
}

/// Returns whether a key is there, as far as the first [`MOST_COMPARED`] tell.
fn has<V>(entries: &[(BytesString, V)], key: &BytesString) -> bool {
    let mut others = entries.iter().take(MOST_COMPARED);
    others.any(|(other, _)| other == key)
}

/// Takes out entries whose keys were there before.
fn keep_first<V>(entries: &mut Vec<(BytesString, V)>) {
    let mut seen = HashSet::with_capacity(entries.len());
    entries.retain(|(key, _)| seen.insert(key.clone()));
}
