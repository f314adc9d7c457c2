//! Reading a `Span` back: frozen copies of what it holds, as it will be sent.

use super::span::Span;
use crate::convert::text::read_string;
use crate::convert::{events, links, meta_struct};
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, Module, RArray, RClass, RHash, RString, Ruby, Value, method};
use pipeline::span::SpanBytes;

fn text(ruby: &Ruby, span: &Span, get: fn(&SpanBytes) -> &BytesString) -> Result<RString, Error> {
    let text = get(&span.open(ruby)?.span).clone();
    Ok(read_string(ruby, text.as_str()))
}

fn name(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |span| &span.name)
}

fn service(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |span| &span.service)
}

fn resource(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |span| &span.resource)
}

fn r#type(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |span| &span.r#type)
}

fn trace_id(ruby: &Ruby, span: &Span) -> Result<u128, Error> {
    Ok(span.open(ruby)?.span.trace_id)
}

fn span_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    Ok(span.open(ruby)?.span.span_id)
}

fn parent_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    Ok(span.open(ruby)?.span.parent_id)
}

fn start(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    Ok(span.open(ruby)?.span.start)
}

fn duration(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    Ok(span.open(ruby)?.span.duration)
}

fn error(ruby: &Ruby, span: &Span) -> Result<i32, Error> {
    Ok(span.open(ruby)?.span.error)
}

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
