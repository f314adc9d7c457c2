//! Reading a `Span` back: frozen copies of what it holds, as it will be sent.

use super::span::Span;
use crate::convert::text::read_string;
use crate::convert::{events, links, meta_struct};
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, Module, RArray, RClass, RHash, RString, Ruby, Value, method};

/// Defines a function for each field that is text.
macro_rules! texts {
    ($($field:ident),*) => {$(
        fn $field(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
            // Not borrowed while Ruby makes the String.
            let text = span.open(ruby)?.span.$field.clone();
            Ok(read_string(ruby, text.as_str()))
        }
    )*};
}

/// Defines a function for each field that is a number.
macro_rules! numbers {
    ($($field:ident: $number:ty),*) => {$(
        fn $field(ruby: &Ruby, span: &Span) -> Result<$number, Error> {
            Ok(span.open(ruby)?.span.$field)
        }
    )*};
}

texts!(name, service, resource, r#type);
numbers!(trace_id: u128, span_id: u64, parent_id: u64, start: i64, duration: i64, error: i32);

fn meta(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let meta = span.open(ruby)?.span.meta.clone();
    let tags = meta.iter().map(|(key, value)| {
        let value = read_string(ruby, value.as_str()).as_value();
        Ok((key, value))
    });
    frozen_hash(ruby, tags)
}

fn metrics(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let metrics = span.open(ruby)?.span.metrics.clone();
    let metrics = metrics
        .iter()
        .map(|(key, value)| Ok((key, value.into_value_with(ruby))));
    frozen_hash(ruby, metrics)
}

fn meta_struct(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let values = span.open(ruby)?.span.meta_struct.clone();
    let values = values
        .iter()
        .map(|(key, value)| Ok((key, meta_struct::to_ruby(ruby, value.as_ref())?)));
    frozen_hash(ruby, values)
}

fn links(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let links = span.open(ruby)?.span.span_links.clone();
    frozen_array(ruby, &links, |link| links::to_ruby(ruby, link))
}

fn events(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let events = span.open(ruby)?.span.span_events.clone();
    frozen_array(ruby, &events, |event| events::to_ruby(ruby, event))
}

fn frozen_hash<'a>(
    ruby: &Ruby,
    entries: impl Iterator<Item = Result<(&'a BytesString, Value), Error>>,
) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for entry in entries {
        let (key, value) = entry?;
        hash.aset(read_string(ruby, key.as_str()), value)?;
    }
    hash.freeze();
    Ok(hash)
}

fn frozen_array<T>(
    ruby: &Ruby,
    items: &[T],
    to_ruby: impl Fn(&T) -> Result<RHash, Error>,
) -> Result<RArray, Error> {
    let array = ruby.ary_new_capa(items.len());
    for item in items {
        array.push(to_ruby(item)?)?;
    }
    array.freeze();
    Ok(array)
}

/// Defines the methods.
///
/// # Errors
/// When the class can't be changed.
pub fn define(class: RClass) -> Result<(), Error> {
    class.define_method("name", method!(name, 0))?;
    class.define_method("service", method!(service, 0))?;
    class.define_method("resource", method!(resource, 0))?;
    class.define_method("type", method!(r#type, 0))?;
    class.define_method("trace_id", method!(trace_id, 0))?;
    class.define_method("span_id", method!(span_id, 0))?;
    class.define_method("parent_id", method!(parent_id, 0))?;
    class.define_method("start", method!(start, 0))?;
    class.define_method("duration", method!(duration, 0))?;
    class.define_method("error", method!(error, 0))?;
    class.define_method("meta", method!(meta, 0))?;
    class.define_method("metrics", method!(metrics, 0))?;
    class.define_method("meta_struct", method!(meta_struct, 0))?;
    class.define_method("links", method!(links, 0))?;
    class.define_method("events", method!(events, 0))?;
    Ok(())
}
