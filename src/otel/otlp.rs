//! OTLP for spans of OpenTelemetry's SDK.
//!
//! libdatadog's own OTLP encoder maps Datadog's spans, which have no place for a resource or a scope, for the types of
//! attributes, for a status of OK or for flags. A [`SpanBytes`] that comes from the SDK therefore carries what it has no
//! field for in entries of its `meta_struct`, as parts of OTLP's own messages.

use crate::span::{AttributeAnyValueBytes, AttributeArrayValueBytes, SpanBytes, SpanEventBytes};
use indexmap::IndexMap;
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
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Encoded(Bytes);

impl Encoded {
    pub fn new(message: &impl Message) -> Self {
        Self(message.encode_to_vec().into())
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
    let both = |pair: &[SpanBytes]| {
        let [one, other] = [&pair[0], &pair[1]];
        shared(one, other, RESOURCE).unwrap_or(0) + shared(one, other, SCOPE).unwrap_or(0)
    };
    chunk.windows(2).map(both).sum()
}

/// Returns the length of a message if it is the very same memory in two spans. Whether others are equal doesn't matter
/// to memory, and costs a look at all of their bytes.
fn shared(one: &SpanBytes, other: &SpanBytes, key: &str) -> Option<usize> {
    let [one, other] = [one, other].map(|span| span.meta_struct.get(key).map(|message| &**message));
    one.filter(|one| other.is_some_and(|other| std::ptr::eq(*one, other)))
        .map(<[u8]>::len)
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
    let mut resources = IndexMap::<Encoded, IndexMap<Encoded, Vec<proto::Span>>>::new();
    // Looked for once for all spans in a row that share them.
    let share = |one: &SpanBytes, other: &SpanBytes| {
        shared(one, other, RESOURCE).is_some() && shared(one, other, SCOPE).is_some()
    };
    for run in chunks.iter().flat_map(|chunk| chunk.chunk_by(share)) {
        let Carried {
            resource, scope, ..
        } = Carried::of(&run[0]).unwrap_or_default();
        let scopes = resources.entry(resource).or_default();
        let spans = scopes.entry(scope).or_default();
        spans.extend(run.iter().map(|span| {
            let Carried { rest, .. } = Carried::of(span).unwrap_or_default();
            map_span(span, decoded(&rest))
        }));
    }
    let scope_spans = |(scope, spans): (Encoded, Vec<proto::Span>)| ScopeSpans {
        scope: Some(decoded::<InstrumentationScope>(&scope)),
        spans,
        ..Default::default()
    };
    let resource_spans = |(resource, scopes): (Encoded, IndexMap<_, _>)| ResourceSpans {
        resource: Some(decoded::<Resource>(&resource)),
        scope_spans: scopes.into_iter().map(scope_spans).collect(),
        ..Default::default()
    };
    ProtoExportTraceServiceRequest {
        resource_spans: resources.into_iter().map(resource_spans).collect(),
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
            .map(|(key, text)| key_value(key, any(Value::StringValue(text.copy_to_string())))),
    );
    attributes.extend(span.metrics.iter().map(|(key, number)| {
        let value = match is_whole(*number) {
            true => Value::IntValue(*number as i64),
            false => Value::DoubleValue(*number),
        };
        key_value(key, any(value))
    }));
    mapped
}

/// Returns whether a number of `metrics` stands for an integer. Floats that are whole are among the rest.
pub fn is_whole(number: f64) -> bool {
    number.fract() == 0.0
}

fn map_event(event: &SpanEventBytes) -> Event {
    let attributes = event.attributes.iter();
    let attributes = attributes.map(|(key, value)| key_value(key, any_value(value)));
    Event {
        time_unix_nano: event.time_unix_nano,
        name: event.name.copy_to_string(),
        attributes: attributes.collect(),
        dropped_attributes_count: 0,
    }
}

/// Returns the value of an attribute in OTLP's form.
pub fn any_value(value: &AttributeAnyValueBytes) -> AnyValue {
    match value {
        AttributeAnyValueBytes::SingleValue(value) => scalar(value),
        AttributeAnyValueBytes::Array(values) => {
            let values = values.iter().map(scalar).collect();
            any(Value::ArrayValue(ArrayValue { values }))
        }
    }
}

fn scalar(value: &AttributeArrayValueBytes) -> AnyValue {
    any(match value {
        AttributeArrayValueBytes::String(text) => Value::StringValue(text.copy_to_string()),
        AttributeArrayValueBytes::Boolean(boolean) => Value::BoolValue(*boolean),
        AttributeArrayValueBytes::Integer(integer) => Value::IntValue(*integer),
        AttributeArrayValueBytes::Double(double) => Value::DoubleValue(*double),
    })
}

/// Returns an attribute.
pub fn key_value(key: &BytesString, value: AnyValue) -> KeyValue {
    KeyValue {
        key: key.copy_to_string(),
        value: Some(value),
        key_ref: 0,
    }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

#[cfg(test)]
mod tests;
