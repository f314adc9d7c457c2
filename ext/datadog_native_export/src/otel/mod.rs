//! `TraceChunks#push_span_data`: lowering the spans of OpenTelemetry's SDK.

mod agent;
mod any_value;
mod batch;
mod datadog_span;
mod otlp;
mod span_data;
mod tags;
mod values;

pub use batch::lower;
pub use span_data::Readers;

use crate::convert::events::Moment;
use crate::convert::{Lowering, each_of, numbers};
use crate::errors::Failure;
use libdd_tinybytes::BytesString;
use magnus::Value;
use magnus::value::ReprValue;
use pipeline::otel::Kind;
use pipeline::span::SpanBytes;
use span_data::{SpanData, Structs};

/// Who receives the spans.
#[derive(Clone, Copy, PartialEq)]
pub enum Target {
    /// A Datadog agent.
    Agent,
    /// An OTLP endpoint.
    Otlp,
}

/// Whether a span has failed, and what is said about it.
#[derive(Default)]
struct Status {
    code: StatusCode,
    description: BytesString,
}

/// The codes of `OpenTelemetry::Trace::Status`.
#[derive(Clone, Copy, Default, PartialEq)]
enum StatusCode {
    #[default]
    Unset,
    Ok,
    Error,
}

/// What says whom a span is about, and how it went.
struct Header {
    name: BytesString,
    kind: Kind,
    status: Status,
}

/// What is known while the spans of a call are lowered.
struct SpanLowering<'a> {
    lowering: Lowering<'a>,
    readers: &'a mut Readers,
    structs: Structs,
    target: Target,
    for_agent: agent::Known,
    for_otlp: otlp::Known,
}

impl<'a> AsMut<Lowering<'a>> for SpanLowering<'a> {
    fn as_mut(&mut self) -> &mut Lowering<'a> {
        &mut self.lowering
    }
}

impl<'a> SpanLowering<'a> {
    fn new(mut lowering: Lowering<'a>, readers: &'a mut Readers, target: Target) -> Self {
        lowering.mixed_arrays = target == Target::Otlp;
        Self {
            lowering,
            readers,
            structs: Structs::new(),
            target,
            for_agent: Default::default(),
            for_otlp: Default::default(),
        }
    }

    /// Lowers a span into one that is empty.
    ///
    /// # Errors
    /// What keeps the span from being sent.
    fn span(&mut self, span: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        let data = self.structs.span_data(span)?;
        self.lowering.begin_span();
        lowered.trace_id = span_data::trace_id(data.trace_id, self.target)?;
        lowered.span_id = span_data::span_id(data.span_id)?;
        let parent_id = span_data::parent_id(data.parent_span_id);
        lowered.parent_id = self.lowering.or_left_out(parent_id)?.unwrap_or_default();
        self.times(&data, lowered)?;
        self.events(data.events, lowered)?;
        let header = Header {
            name: self.lowering.label(data.name, "name")?,
            kind: Kind::of_name(self.lowering.label(data.kind, "kind")?.as_str()),
            status: self.status(data.status)?,
        };
        match self.target {
            Target::Agent => self.fill_for_agent(&data, header, lowered),
            Target::Otlp => self.fill_for_otlp(&data, header, lowered),
        }
    }

    fn times(&mut self, data: &SpanData, lowered: &mut SpanBytes) -> Result<(), Failure> {
        if data.start_timestamp.is_nil() {
            return Ok(());
        }
        lowered.start = self.time(data.start_timestamp, "start_timestamp")?;
        if data.end_timestamp.is_nil() {
            return Ok(());
        }
        let end = self.time(data.end_timestamp, "end_timestamp")?;
        let duration = end.checked_sub(lowered.start).ok_or_else(|| {
            let expected = "times up to 2**63-1 nanoseconds apart";
            Failure::out_of_range("end_timestamp", expected, data.end_timestamp)
        });
        lowered.duration = self.lowering.or_left_out(duration)?.unwrap_or_default();
        Ok(())
    }

    fn time(&mut self, value: Value, field: &str) -> Result<i64, Failure> {
        let time = numbers::timestamp(value, field);
        Ok(self.lowering.or_left_out(time)?.unwrap_or_default())
    }

    fn status(&mut self, value: Value) -> Result<Status, Failure> {
        let mut status = Status::default();
        if value.is_nil() {
            return Ok(status);
        }
        let Some([code, description]) = self.readers.status.read(value) else {
            let class = "OpenTelemetry::Trace::Status";
            let reason = Failure::wrong_class("status", class, value);
            return self.lowering.left_out(reason).map(|()| status);
        };
        status.code = match numbers::error(code) {
            Ok(0) => StatusCode::Ok,
            Ok(2) => StatusCode::Error,
            _ => StatusCode::Unset,
        };
        status.description = self.lowering.label(description, "status.description")?;
        Ok(status)
    }

    /// Lowers a `Tracestate`, empty when there is none.
    fn tracestate(&mut self, value: Value) -> Result<BytesString, Failure> {
        let header = self.readers.tracestate(&mut self.lowering, value);
        Ok(self.lowering.or_left_out(header)?.unwrap_or_default())
    }

    fn events(&mut self, events: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        each_of(self, events, "events", |this, event| {
            let Some([name, time, attributes]) = this.structs.event.read(event) else {
                let class = "OpenTelemetry::SDK::Trace::Event";
                return Err(Failure::wrong_class("event", class, event));
            };
            let time = Moment::Nanoseconds(time);
            let event = this.lowering.event(name, time, attributes)?;
            lowered.span_events.push(event);
            Ok(())
        })
    }
}
