//! OTLP for spans of OpenTelemetry's SDK.
//!
//! libdatadog's own OTLP encoder maps Datadog's spans, which have no place for a resource or a scope, for the types of
//! attributes, for a status of OK or for flags. A [`SpanBytes`] that comes from the SDK therefore carries what it has no
//! field for in entries of its `meta_struct`, as parts of OTLP's own messages.

use crate::span::{AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes};
use libdd_tinybytes::{Bytes, BytesString};
use libdd_trace_utils::otlp_encoder::ProtoExportTraceServiceRequest;
use prost::Message;
use proto::any_value::Value;
use proto::span::Event;
use proto::{
    AnyValue, ArrayValue, InstrumentationScope, KeyValue, Resource, ResourceSpans, ScopeSpans,
};

/// The messages.
pub mod proto {
    pub use libdd_trace_protobuf::opentelemetry::proto::common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value,
    };
    pub use libdd_trace_protobuf::opentelemetry::proto::resource::v1::Resource;
    pub use libdd_trace_protobuf::opentelemetry::proto::trace::v1::{
        ResourceSpans, ScopeSpans, Span, Status, span,
    };
}

/// The keys of the entries. No attribute becomes an entry of `meta_struct`.
const RESOURCE: &str = "otlp.resource";
const SCOPE: &str = "otlp.scope";
const REST: &str = "otlp.span";

/// A message in the form in which spans share it.
#[derive(Clone, Debug, Default)]
pub struct Encoded(Bytes);

impl Encoded {
    pub fn new(message: &impl Message) -> Self {
        Self(message.encode_to_vec().into())
    }

    /// Returns its length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a [`SpanBytes`] has no field for.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    pub resource: Encoded,
    pub scope: Encoded,
    /// A [`proto::Span`] without ids, times, events and those attributes that `meta` and `metrics` have.
    pub rest: Encoded,
}

impl Carried {
    /// Adds the entries to a span.
    pub fn put_into(self, span: &mut SpanBytes) {
        for (key, Encoded(message)) in [
            (RESOURCE, self.resource),
            (SCOPE, self.scope),
            (REST, self.rest),
        ] {
            let key = BytesString::from_static(key);
            span.meta_struct.insert_or_replace(key, message);
        }
    }

    fn of(span: &SpanBytes) -> Option<Self> {
        let part = |key| span.meta_struct.get(key).cloned().map(Encoded);
        Some(Self {
            resource: part(RESOURCE)?,
            scope: part(SCOPE)?,
            rest: part(REST)?,
        })
    }
}

/// Returns the bytes of resources and scopes that the spans of a chunk share with the one before: those are neither kept
/// nor sent again.
pub fn shared_bytes(chunk: &[SpanBytes]) -> usize {
    let shared = |pair: &[SpanBytes], key| {
        let [one, other] = [&pair[0], &pair[1]].map(|span| span.meta_struct.get(key));
        one.filter(|_| one == other)
            .map_or(0, |message| message.len())
    };
    let both = |pair| shared(pair, RESOURCE) + shared(pair, SCOPE);
    chunk.windows(2).map(both).sum()
}

/// Returns whether a chunk comes from OpenTelemetry's SDK.
pub fn is_carried(chunk: &[SpanBytes]) -> bool {
    let first = chunk.first();
    first.is_some_and(|span| span.meta_struct.contains_key(REST))
}

/// Returns whether chunks, which are not mixed, come from OpenTelemetry's SDK.
pub fn are_carried(chunks: &[Vec<SpanBytes>]) -> bool {
    chunks.first().is_some_and(|chunk| is_carried(chunk))
}

/// Returns the request that exports chunks, by resource and scope as the SDK's own exporter has it (`as_etsr` of
/// opentelemetry-exporter-otlp-common).
pub fn request(chunks: &[Vec<SpanBytes>]) -> ProtoExportTraceServiceRequest {
    let mut resources = Groups::default();
    for span in chunks.iter().flatten() {
        let carried = Carried::of(span).unwrap_or_default();
        let rest = decoded::<proto::Span>(&carried.rest);
        let scopes = resources.of(carried.resource, Groups::default);
        let spans = scopes.of(carried.scope, Vec::new);
        spans.push(map_span(span, rest));
    }
    let scope_spans = |(scope, spans): (Encoded, Vec<proto::Span>)| ScopeSpans {
        scope: Some(decoded::<InstrumentationScope>(&scope)),
        spans,
        ..Default::default()
    };
    let resource_spans = |(resource, scopes): (Encoded, Groups<_>)| ResourceSpans {
        resource: Some(decoded::<Resource>(&resource)),
        scope_spans: scopes.0.into_iter().map(scope_spans).collect(),
        ..Default::default()
    };
    ProtoExportTraceServiceRequest {
        resource_spans: resources.0.into_iter().map(resource_spans).collect(),
    }
}

/// What belongs to each of a few messages, in the order in which they were met.
struct Groups<T>(Vec<(Encoded, T)>);

impl<T> Default for Groups<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Groups<T> {
    fn of(&mut self, message: Encoded, new: impl FnOnce() -> T) -> &mut T {
        let known = self.0.iter().position(|(other, _)| *other.0 == *message.0);
        let index = known.unwrap_or_else(|| {
            self.0.push((message, new()));
            self.0.len() - 1
        });
        &mut self.0[index].1
    }
}

fn decoded<T: Message + Default>(message: &Encoded) -> T {
    // What was encoded here can be decoded.
    T::decode(&*message.0).unwrap_or_default()
}

fn map_span(span: &SpanBytes, rest: proto::Span) -> proto::Span {
    let mut mapped = proto::Span {
        trace_id: span.trace_id.to_be_bytes().into(),
        span_id: span.span_id.to_be_bytes().into(),
        name: span.resource.copy_to_string(),
        start_time_unix_nano: span.start.max(0) as u64,
        end_time_unix_nano: span.start.saturating_add(span.duration).max(0) as u64,
        events: span.span_events.iter().map(map_event).collect(),
        ..rest
    };
    if span.parent_id != 0 {
        mapped.parent_span_id = span.parent_id.to_be_bytes().into();
    }
    let attributes = &mut mapped.attributes;
    attributes.reserve(span.meta.len() + span.metrics.len());
    attributes.extend(
        span.meta
            .iter()
            .map(|(key, text)| key_value(key, Value::StringValue(text.copy_to_string()))),
    );
    attributes.extend(span.metrics.iter().map(|(key, number)| {
        let value = match is_whole(*number) {
            true => Value::IntValue(*number as i64),
            false => Value::DoubleValue(*number),
        };
        key_value(key, value)
    }));
    mapped
}

/// Returns whether a number of `metrics` stands for an integer. Floats that are whole are among the rest.
pub fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
}

fn map_event(event: &SpanEventBytes) -> Event {
    let attributes = event.attributes.iter().map(|(key, value)| {
        let value = match value {
            AttributeAnyValueBytes::SingleValue(value) => scalar(value),
            AttributeAnyValueBytes::Array(values) => {
                let values = values.iter().map(|value| any(scalar(value))).collect();
                Value::ArrayValue(ArrayValue { values })
            }
        };
        key_value(key, value)
    });
    Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.copy_to_string(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
    }
}

fn scalar(value: &AttributeArrayValueBytes) -> Value {
    match value {
        AttributeArrayValueBytes::String(text) => Value::StringValue(text.copy_to_string()),
        AttributeArrayValueBytes::Boolean(boolean) => Value::BoolValue(*boolean),
        AttributeArrayValueBytes::Integer(integer) => Value::IntValue(*integer),
        AttributeArrayValueBytes::Double(double) => Value::DoubleValue(*double),
    }
}

fn key_value(key: &BytesString, value: Value) -> KeyValue {
    KeyValue {
        key: key.copy_to_string(),
        value: Some(any(value)),
        key_ref: 0,
    }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

#[cfg(test)]
mod tests;
