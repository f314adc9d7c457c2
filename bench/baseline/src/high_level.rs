//! `Baseline::Span`: what `Datadog::NativeExport::Span` would be with magnus's own conversions.

use crate::tracer_spans::text_bytes;
use libdd_tinybytes::BytesString;
use libdd_trace_utils::span::v04::SpanBytes;
use magnus::r_hash::ForEach;
use magnus::{Class, Error, Module, RHash, RModule, Ruby, method};
use std::cell::RefCell;

#[derive(Default)]
#[magnus::wrap(class = "Baseline::Span", free_immediately)]
struct Span(RefCell<SpanBytes>);

impl Span {
    #[allow(clippy::too_many_arguments)]
    fn lower(
        &self,
        name: String,
        service: Option<String>,
        resource: Option<String>,
        r#type: Option<String>,
        trace_id: u128,
        span_id: u64,
        parent_id: u64,
        start: i64,
        duration: i64,
        error: i32,
        meta: RHash,
        metrics: RHash,
    ) -> Result<(), Error> {
        let mut span = SpanBytes {
            name: BytesString::from(name),
            service: BytesString::from(service.unwrap_or_default()),
            resource: BytesString::from(resource.unwrap_or_default()),
            r#type: BytesString::from(r#type.unwrap_or_default()),
            trace_id,
            span_id,
            parent_id,
            start,
            duration,
            error,
            ..SpanBytes::default()
        };
        meta.foreach(|key: String, value: String| {
            span.meta
                .insert(BytesString::from(key), BytesString::from(value));
            Ok(ForEach::Continue)
        })?;
        metrics.foreach(|key: String, value: f64| {
            span.metrics.insert(BytesString::from(key), value);
            Ok(ForEach::Continue)
        })?;
        self.0.replace(span);
        Ok(())
    }

    fn set_meta(&self, key: String, value: String) {
        let (key, value) = (BytesString::from(key), BytesString::from(value));
        self.0.borrow_mut().meta.insert_or_replace(key, value);
    }

    fn set_metric(&self, key: String, value: f64) {
        let key = BytesString::from(key);
        self.0.borrow_mut().metrics.insert_or_replace(key, value);
    }

    fn text_bytes(&self) -> usize {
        text_bytes(&self.0.borrow())
    }
}

pub fn init(ruby: &Ruby, module: RModule) -> Result<(), Error> {
    let class = module.define_class("Span", ruby.class_object())?;
    class.define_alloc_func::<Span>();
    class.define_private_method("lower", method!(Span::lower, 12))?;
    class.define_method("set_meta", method!(Span::set_meta, 2))?;
    class.define_method("set_metric", method!(Span::set_metric, 2))?;
    class.define_method("text_bytes", method!(Span::text_bytes, 0))
}
