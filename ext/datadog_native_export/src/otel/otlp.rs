//! What an OTLP endpoint gets of a span: what the SDK's own exporter sends (`as_otlp_span` of
//! opentelemetry-exporter-otlp-common).

use super::span_data::{self, SpanData};
use super::tags::Tags;
use super::{Header, SpanLowering, StatusCode, Target};
use crate::errors::Failure;
use crate::ruby::{RubyInteger, same_object};
use magnus::value::ReprValue;
use magnus::{RArray, RHash, Value};
use pipeline::otel::Kind;
use pipeline::otel::otlp::proto::span::{Link, SpanKind};
use pipeline::otel::otlp::proto::{InstrumentationScope, Resource, Span, Status};
use pipeline::otel::otlp::{Carried, Encoded};
use pipeline::span::SpanBytes;

/// The bits of `SpanFlags` that say whether the parent, or what a link leads to, is in another process, and that this is
/// known.
const IS_REMOTE: u32 = 0x200;
const HAS_IS_REMOTE: u32 = 0x100;
const SAMPLED: u32 = 1;

/// What is known from one span to the next: the last messages, which spans share.
#[derive(Default)]
pub struct Known {
    resource: Option<(Value, Encoded)>,
    scope: Option<(Value, Encoded)>,
    rest: Option<(Span, Encoded)>,
}

impl SpanLowering<'_> {
    pub(super) fn fill_for_otlp(
        &mut self,
        data: &SpanData,
        header: Header,
        lowered: &mut SpanBytes,
    ) -> Result<(), Failure> {
        let Header { name, kind, status } = header;
        lowered.resource = name;
        let mut tags = Tags::of(lowered);
        tags.add_for_otlp(&mut self.lowering, data.attributes)?;
        let others = std::mem::take(&mut tags.others);
        tags.put_into(lowered);
        let rest = Span {
            trace_state: self.tracestate(data.tracestate)?.copy_to_string(),
            flags: self.flags(data.trace_flags, data.parent_span_is_remote),
            kind: span_kind(kind).into(),
            attributes: others,
            dropped_attributes_count: dropped(
                data.total_recorded_attributes,
                RHash::from_value(data.attributes).map_or(0, |hash| hash.len()),
            ),
            dropped_events_count: dropped(data.total_recorded_events, length(data.events)),
            links: self.proto_links(data.links)?,
            dropped_links_count: dropped(data.total_recorded_links, length(data.links)),
            status: Some(Status {
                message: status.description.copy_to_string(),
                code: match status.code {
                    StatusCode::Unset => 0,
                    StatusCode::Ok => 1,
                    StatusCode::Error => 2,
                },
            }),
            ..Span::default()
        };
        let carried = Carried {
            resource: self.encoded_resource(data.resource)?,
            scope: self.encoded_scope(data.instrumentation_scope)?,
            rest: self.encoded_rest(rest),
        };
        carried.put_into(lowered);
        Ok(())
    }

    fn encoded_rest(&mut self, rest: Span) -> Encoded {
        match &self.for_otlp.rest {
            Some((last, encoded)) if *last == rest => encoded.clone(),
            _ => {
                let encoded = Encoded::new(&rest);
                self.for_otlp.rest = Some((rest, encoded.clone()));
                encoded
            }
        }
    }

    fn encoded_resource(&mut self, value: Value) -> Result<Encoded, Failure> {
        if let Some((last, encoded)) = &self.for_otlp.resource
            && same_object(*last, value)
        {
            return Ok(encoded.clone());
        }
        let mut resource = Resource::default();
        if let Some([attributes]) = self.readers.resource.read(value) {
            resource.attributes = self.lowering.key_values(attributes, "resource")?;
        } else if !value.is_nil() {
            let class = "OpenTelemetry::SDK::Resources::Resource";
            let reason = Failure::wrong_class("resource", class, value);
            self.lowering.left_out(reason)?;
        }
        let encoded = Encoded::new(&resource);
        self.for_otlp.resource = Some((value, encoded.clone()));
        Ok(encoded)
    }

    fn encoded_scope(&mut self, value: Value) -> Result<Encoded, Failure> {
        if let Some((last, encoded)) = &self.for_otlp.scope
            && same_object(*last, value)
        {
            return Ok(encoded.clone());
        }
        let mut scope = InstrumentationScope::default();
        if let Some([name, version, attributes]) = self.structs.scope.read(value) {
            let field = "instrumentation_scope";
            scope.name = self.lowering.label(name, field)?.copy_to_string();
            scope.version = self.lowering.label(version, field)?.copy_to_string();
            scope.attributes = self.lowering.key_values(attributes, field)?;
        } else if !value.is_nil() {
            let class = "OpenTelemetry::SDK::InstrumentationScope";
            let reason = Failure::wrong_class("instrumentation_scope", class, value);
            self.lowering.left_out(reason)?;
        }
        let encoded = Encoded::new(&scope);
        self.for_otlp.scope = Some((value, encoded.clone()));
        Ok(encoded)
    }

    fn proto_links(&mut self, links: Value) -> Result<Vec<Link>, Failure> {
        let mut lowered = Vec::new();
        crate::convert::each_of(self, links, "links", |this, link| {
            lowered.push(this.proto_link(link)?);
            Ok(())
        })?;
        Ok(lowered)
    }

    fn proto_link(&mut self, link: Value) -> Result<Link, Failure> {
        let ([trace_id, span_id, flags, tracestate, is_remote], attributes) =
            self.readers.link(link)?;
        let trace_id = span_data::trace_id(trace_id, Target::Otlp)?;
        let span_id = span_data::span_id(span_id)?;
        Ok(Link {
            trace_id: trace_id.to_be_bytes().into(),
            span_id: span_id.to_be_bytes().into(),
            trace_state: self.tracestate(tracestate)?.copy_to_string(),
            attributes: self.lowering.key_values(attributes, "attributes")?,
            flags: self.flags(flags, is_remote),
            ..Link::default()
        })
    }

    /// Returns the flags of a span or a link (`build_span_flags` of the SDK's exporter).
    fn flags(&mut self, trace_flags: Value, is_remote: Value) -> u32 {
        let sampled = self.readers.flags(trace_flags).unwrap_or_default() & SAMPLED;
        match is_remote.to_bool() {
            true => sampled | HAS_IS_REMOTE | IS_REMOTE,
            false => sampled | HAS_IS_REMOTE,
        }
    }
}

fn span_kind(kind: Kind) -> SpanKind {
    match kind {
        Kind::Unspecified => SpanKind::Unspecified,
        Kind::Internal => SpanKind::Internal,
        Kind::Server => SpanKind::Server,
        Kind::Client => SpanKind::Client,
        Kind::Producer => SpanKind::Producer,
        Kind::Consumer => SpanKind::Consumer,
    }
}

/// Returns how many of those that were recorded are not there.
fn dropped(recorded: Value, kept: usize) -> u32 {
    let recorded = RubyInteger::from_value(recorded).and_then(|whole| whole.to::<u32>());
    recorded.unwrap_or_default().saturating_sub(kept as u32)
}

fn length(array: Value) -> usize {
    RArray::from_value(array).map_or(0, |array| array.len())
}
