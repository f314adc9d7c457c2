//! Span links: from Ruby and back.

use super::nesting::Nesting;
use super::text::read_string;
use super::{Lowering, numbers};
use crate::errors::Failure;
use crate::ruby::each_pair;
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{Error, RArray, RHash, RString, Ruby, Symbol, Value};
use pipeline::span::SpanLinkBytes;
use std::collections::HashMap;

/// Tells that a link has flags, since 0 is one of their values (dd-trace-rb's `SpanLink#to_hash`).
const FLAGS_GIVEN: u32 = 1 << 31;

/// The parts of a link, as Ruby has them.
pub struct Link {
    pub trace_id: Value,
    pub span_id: Value,
    pub attributes: Value,
    pub tracestate: Value,
    pub flags: Value,
}

impl Lowering<'_> {
    /// Lowers a link.
    ///
    /// # Errors
    /// For a part that can't be sent.
    pub fn link(&mut self, link: &Link) -> Result<SpanLinkBytes, Failure> {
        let trace_id = numbers::trace_id(link.trace_id)?;
        let span_id = numbers::span_id(link.span_id)?;
        let tracestate = self.optional_text(link.tracestate, || "tracestate".into())?;
        let flags = match link.flags.is_nil() {
            true => None,
            false => Some(numbers::link_flags(link.flags)?),
        };
        Ok(SpanLinkBytes {
            tracestate: tracestate.unwrap_or_default(),
            attributes: self.link_attributes(link.attributes)?,
            ..link_to(trace_id, span_id, flags)
        })
    }

    /// Lowers the attributes of a link, or none for nil.
    ///
    /// # Errors
    /// For a value that can't be sent.
    pub fn link_attributes(
        &mut self,
        attributes: Value,
    ) -> Result<HashMap<BytesString, BytesString>, Failure> {
        if attributes.is_nil() {
            return Ok(HashMap::new());
        }
        let hash = RHash::from_value(attributes)
            .ok_or_else(|| Failure::wrong_class("attributes", "Hash", attributes))?;
        let nesting = Nesting::new(self.ruby);
        let mut flat = Flattening {
            lowering: self,
            attributes: HashMap::with_capacity(hash.len()),
            nesting,
        };
        flat.hash("", hash)?;
        Ok(flat.attributes)
    }
}

/// Returns a link with nothing but where it leads, and the flags of what is there if they are known.
pub fn link_to(trace_id: u128, span_id: u64, flags: Option<u32>) -> SpanLinkBytes {
    SpanLinkBytes {
        trace_id: trace_id as u64,
        trace_id_high: (trace_id >> 64) as u64,
        span_id,
        flags: flags.map_or(0, |flags| flags | FLAGS_GIVEN),
        ..Default::default()
    }
}

/// Attributes with nested ones under `key.0` and `key.name`.
struct Flattening<'f, 'l> {
    lowering: &'f mut Lowering<'l>,
    attributes: HashMap<BytesString, BytesString>,
    nesting: Nesting,
}

impl Flattening<'_, '_> {
    fn hash(&mut self, prefix: &str, hash: RHash) -> Result<(), Failure> {
        each_pair(hash, |_, key, value| {
            let key = self.lowering.text(key, || "attributes key".into())?.text;
            match prefix.is_empty() {
                true => self.value(key, value),
                false => {
                    let key = self.key(&format!("{prefix}{}", key.as_str()))?;
                    self.value(key, value)
                }
            }
        })
    }

    fn value(&mut self, key: BytesString, value: Value) -> Result<(), Failure> {
        self.spend(key.as_str().len() + 1)?;
        if let Some(array) = RArray::from_value(value) {
            return self.nested(&key, value, |flat| {
                (0..array.len()).try_for_each(|index| {
                    let element = array.entry(index as isize)?;
                    let key = flat.key(&format!("{}.{index}", key.as_str()))?;
                    flat.value(key, element)
                })
            });
        }
        if let Some(hash) = RHash::from_value(value) {
            let prefix = format!("{}.", key.as_str());
            return self.nested(&key, value, |flat| flat.hash(&prefix, hash));
        }
        if value.is_nil() {
            return Ok(());
        }
        let is_text = RString::from_value(value).is_some() || Symbol::from_value(value).is_some();
        let value = match is_text {
            true => value,
            false => value.funcall_public("to_s", ())?,
        };
        let path = || format!("attributes[{:?}]", key.as_str());
        let text = self.lowering.text(value, path)?.text;
        self.spend(text.as_str().len())?;
        self.attributes.insert(key, text);
        Ok(())
    }

    fn key(&mut self, key: &str) -> Result<BytesString, Failure> {
        self.lowering.made_text(key, || "attributes key".into())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Failure> {
        self.lowering.spend(bytes, || "attributes".into())
    }

    fn nested(
        &mut self,
        key: &BytesString,
        value: Value,
        flatten: impl FnOnce(&mut Self) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let depth = self.nesting.depth();
        let path = || format!("attributes[{:?}]", key.as_str());
        self.nesting.enter(value, path)?;
        flatten(self)?;
        self.nesting.return_to(depth);
        Ok(())
    }
}

/// Returns a link as `Span#add_link` takes it.
///
/// # Errors
/// When Ruby has no memory for it.
pub fn to_ruby(ruby: &Ruby, link: &SpanLinkBytes) -> Result<RHash, Error> {
    let attributes = ruby.hash_new();
    for (key, value) in &link.attributes {
        attributes.aset(
            read_string(ruby, key.as_str()),
            read_string(ruby, value.as_str()),
        )?;
    }
    attributes.freeze();
    let trace_id = (u128::from(link.trace_id_high) << 64) | u128::from(link.trace_id);
    let tracestate =
        (!link.tracestate.is_empty()).then(|| read_string(ruby, link.tracestate.as_str()));
    let flags = (link.flags & FLAGS_GIVEN != 0).then_some(link.flags & !FLAGS_GIVEN);
    let hash = ruby.hash_new();
    hash.aset(ruby.to_symbol("trace_id"), trace_id)?;
    hash.aset(ruby.to_symbol("span_id"), link.span_id)?;
    hash.aset(ruby.to_symbol("attributes"), attributes)?;
    hash.aset(ruby.to_symbol("tracestate"), tracestate)?;
    hash.aset(ruby.to_symbol("flags"), flags)?;
    hash.freeze();
    Ok(hash)
}
