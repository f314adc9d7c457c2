//! What an agent gets of a span: the objects that it is lowered from.

use super::datadog_span::{Context, fill_in};
use super::span_data::{self, SpanData};
use super::tags::Tags;
use super::{Header, SpanLowering, Target};
use crate::convert::links::link_to;
use crate::errors::Failure;
use crate::ruby::same_object;
use libdd_tinybytes::BytesString;
use magnus::Value;
use magnus::value::ReprValue;
use pipeline::span::{SpanBytes, SpanLinkBytes};
use std::rc::Rc;

/// What is known from one span to the next.
#[derive(Default)]
pub struct Known {
    /// The tags of the last resource that was met. Nearly always it is the only one.
    resource: Option<(Value, Rc<Tags>)>,
}

/// What made a span: the `InstrumentationScope`.
#[derive(Default)]
pub struct Scope {
    pub name: BytesString,
    pub version: BytesString,
    pub attributes: Tags,
}

impl SpanLowering<'_> {
    pub(super) fn fill_for_agent(
        &mut self,
        data: &SpanData,
        header: Header,
        lowered: &mut SpanBytes,
    ) -> Result<(), Failure> {
        self.links(data.links, lowered)?;
        let mut tags = Tags::of(lowered);
        tags.add_for_agent(&mut self.lowering, data.attributes, "attributes")?;
        let resource = self.resource(data.resource)?;
        let context = Context {
            header,
            scope: self.scope(data.instrumentation_scope)?,
            resource: &resource,
            tracestate: self.tracestate(data.tracestate)?,
        };
        fill_in(&mut self.lowering, lowered, tags, context)
    }

    fn resource(&mut self, value: Value) -> Result<Rc<Tags>, Failure> {
        match &self.for_agent.resource {
            Some((last, tags)) if same_object(*last, value) => Ok(Rc::clone(tags)),
            _ => {
                let tags = Rc::new(self.other_resource(value)?);
                self.for_agent.resource = Some((value, Rc::clone(&tags)));
                Ok(tags)
            }
        }
    }

    fn other_resource(&mut self, value: Value) -> Result<Tags, Failure> {
        let mut tags = Tags::default();
        if value.is_nil() {
            return Ok(tags);
        }
        let Some([attributes]) = self.readers.resource.read(value) else {
            let class = "OpenTelemetry::SDK::Resources::Resource";
            let reason = Failure::wrong_class("resource", class, value);
            return self.lowering.left_out(reason).map(|()| tags);
        };
        tags.add_for_agent(&mut self.lowering, attributes, "resource")?;
        tags.numbers_to_text(&mut self.lowering)?;
        Ok(tags)
    }

    fn scope(&mut self, value: Value) -> Result<Scope, Failure> {
        if value.is_nil() {
            return Ok(Scope::default());
        }
        let Some([name, version, attributes]) = self.structs.scope.read(value) else {
            let class = "OpenTelemetry::SDK::InstrumentationScope";
            let reason = Failure::wrong_class("instrumentation_scope", class, value);
            return self.lowering.left_out(reason).map(|()| Scope::default());
        };
        let mut scope = Scope {
            name: self.lowering.label(name, "instrumentation_scope.name")?,
            version: self
                .lowering
                .label(version, "instrumentation_scope.version")?,
            attributes: Tags::default(),
        };
        if !attributes.is_nil() {
            let field = "instrumentation_scope.attributes";
            let tags = &mut scope.attributes;
            tags.add_for_agent(&mut self.lowering, attributes, field)?;
        }
        Ok(scope)
    }

    fn links(&mut self, links: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        crate::convert::each_of(self, links, "links", |this, link| {
            lowered.span_links.push(this.link(link)?);
            Ok(())
        })
    }

    fn link(&mut self, link: Value) -> Result<SpanLinkBytes, Failure> {
        let ([trace_id, span_id, flags, tracestate, _], attributes) = self.readers.link(link)?;
        let trace_id = span_data::trace_id(trace_id, Target::Agent)?;
        let span_id = span_data::span_id(span_id)?;
        let flags = self.readers.flags(flags);
        Ok(SpanLinkBytes {
            tracestate: self.readers.tracestate(&mut self.lowering, tracestate)?,
            attributes: self.lowering.link_attributes(attributes)?,
            ..link_to(trace_id, span_id, flags)
        })
    }
}
