//! What a `Span` holds, read back: frozen copies, as they will be sent.

use crate::span::Span;
use crate::text::read_string;
use crate::{events, links, meta_struct};
use magnus::value::ReprValue;
use magnus::{Error, IntoValue, Module, RArray, RClass, RHash, RString, Ruby, Value, method};
use pipeline::columns::{Columns, Extras, Labels};
use pipeline::text::Slice;

fn text(ruby: &Ruby, span: &Span, get: fn(&Labels) -> Slice) -> Result<RString, Error> {
    let draft = span.open(ruby)?;
    Ok(read_string(
        ruby,
        draft.columns().texts.get(get(draft.labels())),
    ))
}

fn name(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |labels| labels.name)
}

fn service(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |labels| labels.service)
}

fn resource(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |labels| labels.resource)
}

fn r#type(ruby: &Ruby, span: &Span) -> Result<RString, Error> {
    text(ruby, span, |labels| labels.r#type)
}

fn trace_id(ruby: &Ruby, span: &Span) -> Result<u128, Error> {
    Ok(span.open(ruby)?.trace_id())
}

fn span_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    Ok(span.open(ruby)?.numbers().span_id)
}

fn parent_id(ruby: &Ruby, span: &Span) -> Result<u64, Error> {
    Ok(span.open(ruby)?.numbers().parent_id)
}

fn start(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    Ok(span.open(ruby)?.numbers().start)
}

fn duration(ruby: &Ruby, span: &Span) -> Result<i64, Error> {
    Ok(span.open(ruby)?.numbers().duration)
}

fn error(ruby: &Ruby, span: &Span) -> Result<i32, Error> {
    Ok(span.open(ruby)?.numbers().error)
}

fn meta(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let draft = span.open(ruby)?;
    let Columns { texts, meta, .. } = draft.columns();
    let tags = meta.iter().map(|&(key, value)| {
        let value = read_string(ruby, texts.get(value)).as_value();
        Ok((read_string(ruby, texts.get(key)), value))
    });
    frozen_hash(ruby, tags)
}

fn metrics(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let draft = span.open(ruby)?;
    let Columns { texts, metrics, .. } = draft.columns();
    let metrics = metrics.iter().map(|&(key, value)| {
        let key = read_string(ruby, texts.get(key));
        Ok((key, value.into_value_with(ruby)))
    });
    frozen_hash(ruby, metrics)
}

fn meta_struct(ruby: &Ruby, span: &Span) -> Result<RHash, Error> {
    let values = extras(ruby, span, |extras| extras.meta_struct.clone())?;
    let values = values.iter().map(|(key, value)| {
        let key = read_string(ruby, key.as_str());
        Ok((key, meta_struct::decode(ruby, &mut value.as_ref())?))
    });
    frozen_hash(ruby, values)
}

fn links(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let links = extras(ruby, span, |extras| extras.links.clone())?;
    frozen_array(ruby, &links, |link| links::to_ruby(ruby, link))
}

fn events(ruby: &Ruby, span: &Span) -> Result<RArray, Error> {
    let events = extras(ruby, span, |extras| extras.events.clone())?;
    frozen_array(ruby, &events, |event| events::to_ruby(ruby, event))
}

fn extras<T: Default>(
    ruby: &Ruby,
    span: &Span,
    copy: impl FnOnce(&Extras) -> T,
) -> Result<T, Error> {
    Ok(span.open(ruby)?.extras().map(copy).unwrap_or_default())
}

fn frozen_hash(
    ruby: &Ruby,
    entries: impl Iterator<Item = Result<(RString, Value), Error>>,
) -> Result<RHash, Error> {
    let hash = ruby.hash_new();
    for entry in entries {
        let (key, value) = entry?;
        hash.aset(key, value)?;
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
