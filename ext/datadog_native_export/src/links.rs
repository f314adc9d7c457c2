//! Span links: from Ruby and back.

use crate::errors::wrong_class;
use crate::meta_struct::{DEEPEST, LARGEST};
use crate::numbers;
use crate::ruby::{each_pair, same_object};
use crate::text::{Text, read_string};
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::SpanLinkBytes;
use magnus::value::ReprValue;
use magnus::{Error, RArray, RHash, RString, Ruby, Symbol, Value};
use std::collections::HashMap;

/// Says that a link has flags, since 0 is one of their values (dd-trace-rb's `SpanLink#to_hash`).
const FLAGS_GIVEN: u32 = 1 << 31;

/// A link, and the number of its values that were repaired.
pub fn lower(
    ruby: &Ruby,
    trace_id: Value,
    span_id: Value,
    attributes: Value,
    tracestate: Value,
    flags: Value,
) -> Result<(SpanLinkBytes, usize), Error> {
    let trace_id = numbers::trace_id(ruby, trace_id)?;
    let mut flat = Flat {
        ruby,
        attributes: HashMap::new(),
        ancestors: Vec::new(),
        left: LARGEST,
        repaired: 0,
    };
    let mut link = SpanLinkBytes {
        trace_id: trace_id as u64,
        trace_id_high: (trace_id >> 64) as u64,
        span_id: numbers::span_id(ruby, span_id)?,
        ..Default::default()
    };
    if let Some(text) = Text::optional(ruby, tracestate, || "tracestate".into())? {
        link.tracestate = flat.owned(&text);
    }
    if !flags.is_nil() {
        link.flags = numbers::link_flags(ruby, flags)? | FLAGS_GIVEN;
    }
    if !attributes.is_nil() {
        let hash = RHash::from_value(attributes)
            .ok_or_else(|| wrong_class(ruby, "attributes", "Hash", attributes))?;
        flat.hash("", hash)?;
    }
    link.attributes = flat.attributes;
    Ok((link, flat.repaired))
}

/// Attributes with nested ones under `key.0` and `key.name`.
struct Flat<'a> {
    ruby: &'a Ruby,
    attributes: HashMap<BytesString, BytesString>,
    ancestors: Vec<Value>,
    /// Bytes there is room for.
    left: usize,
    repaired: usize,
}

impl Flat<'_> {
    fn hash(&mut self, prefix: &str, hash: RHash) -> Result<(), Error> {
        let mut result = Ok(());
        each_pair(hash, |key, value| {
            result = Text::required(self.ruby, key, || "attributes key".into()).and_then(|key| {
                let name = self.owned(&key);
                self.value(&format!("{prefix}{}", name.as_str()), value)
            });
            result.is_ok()
        })?;
        result
    }

    fn value(&mut self, key: &str, value: Value) -> Result<(), Error> {
        self.spend(key.len() + 1)?;
        if let Some(array) = RArray::from_value(value) {
            return self.nested(key, value, |flat| {
                (0..array.len()).try_for_each(|index| {
                    let element = array.entry(index as isize)?;
                    flat.value(&format!("{key}.{index}"), element)
                })
            });
        }
        if let Some(hash) = RHash::from_value(value) {
            return self.nested(key, value, |flat| flat.hash(&format!("{key}."), hash));
        }
        if value.is_nil() {
            return Ok(());
        }
        let is_text = RString::from_value(value).is_some() || Symbol::from_value(value).is_some();
        let value = if is_text {
            value
        } else {
            value.funcall_public("to_s", ())?
        };
        let text = Text::required(self.ruby, value, || format!("attributes[{key:?}]"))?;
        let text = self.owned(&text);
        self.spend(text.as_str().len())?;
        self.attributes
            .insert(BytesString::from(key.to_owned()), text);
        Ok(())
    }

    fn spend(&mut self, bytes: usize) -> Result<(), Error> {
        let message = || format!("attributes: expected at most {LARGEST} bytes, with all keys");
        self.left = self
            .left
            .checked_sub(bytes)
            .ok_or_else(|| Error::new(self.ruby.exception_arg_error(), message()))?;
        Ok(())
    }

    fn nested(
        &mut self,
        key: &str,
        value: Value,
        flatten: impl FnOnce(&mut Self) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let cyclic = self
            .ancestors
            .iter()
            .any(|ancestor| same_object(*ancestor, value));
        if cyclic || self.ancestors.len() == DEEPEST {
            let message = format!(
                "attributes[{key:?}]: expected at most {DEEPEST} Arrays and Hashes inside each other"
            );
            return Err(Error::new(self.ruby.exception_arg_error(), message));
        }
        self.ancestors.push(value);
        flatten(self)?;
        self.ancestors.pop();
        Ok(())
    }

    fn owned(&mut self, text: &Text) -> BytesString {
        let (text, repaired) = text.to_owned();
        self.repaired += usize::from(repaired);
        text.into()
    }
}

/// A link as `Span#add_link` takes it.
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
