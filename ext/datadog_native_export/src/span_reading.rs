//! What a `Span` holds, read back: frozen copies, as they will be sent.

use crate::span::Span;
use crate::text::read_string;
use crate::{events, links, meta_struct};
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::SpanBytes;
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, Module, RArray, RClass, RHash, RString, Ruby, Value, method};

/// Copies what `get` finds, so that Ruby runs with nothing of the span borrowed.
fn copied<T>(ruby: &Ruby, span: &Span, get: impl FnOnce(&SpanBytes) -> T) -> Result<T, Error> {
    Ok(get(span.open(ruby)?.span()))
}

fn text(
    ruby: &Ruby,
    span: &Span,
    get: impl FnOnce(&SpanBytes) -> &BytesString,
) -> Result<RString, Error> {
    let text = copied(ruby, span, |span| get(span).clone())?;
    Ok(read_string(ruby, &text))
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
    copied(ruby, span, |span| span.trace_id)
}

fn span_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    copied(ruby, span, |span| span.span_id)
}

fn parent_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    copied(ruby, span, |span| span.parent_id)
}

fn start(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    copied(ruby, span, |span| span.start)
}

fn duration(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    copied(ruby, span, |span| span.duration)
}

fn error(ruby: &Ruby, span: &Span) -> Result<i32, Error> {
    copied(ruby, span, |span| span.error)
}

fn meta(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let meta = copied(ruby, span, |span| span.meta.clone())?;
    frozen_hash(ruby, meta.iter(), |value| {
        Ok(read_string(ruby, value).as_value())
    })
}

fn metrics(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let metrics = copied(ruby, span, |span| span.metrics.clone())?;
    frozen_hash(
        ruby,
        metrics.iter(),
        |value| Ok(value.into_value_with(ruby)),
    )
}

fn meta_struct(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let values = copied(ruby, span, |span| span.meta_struct.clone())?;
    frozen_hash(ruby, values.iter(), |value| {
        meta_struct::decode(ruby, &mut value.as_ref())
    })
}

fn links(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let links = copied(ruby, span, |span| span.span_links.clone())?;
    frozen_array(ruby, &links, |link| links::to_ruby(ruby, link))
}

fn events(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let events = copied(ruby, span, |span| span.span_events.clone())?;
    frozen_array(ruby, &events, |event| events::to_ruby(ruby, event))
}

fn frozen_hash<'a, V: 'a>(
    ruby: &Ruby,
    entries: impl Iterator<Item = &'a (BytesString, V)>,
    to_ruby: impl Fn(&V) -> Result<Value, Error>,
) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for (key, value) in entries {
        hash.aset(read_string(ruby, key), to_ruby(value)?)?;
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

pub fn init(class: RClass) -> Result<(), Error> {
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
