//! `TraceChunks#push_trace`: lowering the spans of one trace.

mod batch;
mod tracer_span;

pub use tracer_span::Readers;

use crate::convert::events::Moment;
use crate::convert::links::Link;
use crate::convert::{Lowering, Policy, each_of, numbers};
use crate::errors::{Failure, Kind};
use crate::ruby::same_object;
use crate::scratch::Scratch;
use batch::Batch;
use libdd_tinybytes::BytesString;
use magnus::value::ReprValue;
use magnus::{RArray, RHash, Ruby, Value};
use pipeline::span::{Chunk, LeftOut, POOL_CHUNK, Size, SpanBytes, pool, take_spans};
use tracer_span::TracerSpan;

/// Lowers the spans of one trace: objects with the instance variables of `Datadog::Tracing::Span`, read without calling
/// a method of theirs. `docs/tracer-spans.md` says what becomes of values that can't be sent as they are.
///
/// # Errors
/// What keeps the trace from being sent; when `strict`, also what else would be repaired or left out.
#[inline(never)]
pub fn lower(ruby: &Ruby, spans: RArray, strict: bool) -> Result<(Chunk, LeftOut), Failure> {
    let policy = match strict {
        true => Policy::Strict,
        false => Policy::Lenient,
    };
    let mut scratch = Scratch::take();
    let Scratch {
        texts,
        tracer: readers,
        ..
    } = &mut *scratch;
    let before = texts.arena.allocated();
    let mut trace = TraceLowering {
        lowering: Lowering::new(ruby, texts, policy),
        readers,
        trace_id: None,
    };
    let mut chunk = Vec::new();
    let lowered = trace.spans(spans, &mut chunk);
    let tally = trace.lowering.tally;
    let text = texts.arena.allocated() - before;
    scratch.put_back();
    if let Err(failure) = lowered {
        pool().add_chunks([chunk]);
        return Err(failure);
    }
    let size = Size {
        repaired: tally.repaired,
        left_out: tally.left_out,
        ..Size::of_chunk(&chunk, text)
    };
    Ok((Chunk { spans: chunk, size }, tally.first_left_out))
}

struct TraceLowering<'a> {
    lowering: Lowering<'a>,
    readers: &'a mut Readers,
    /// The id of the trace, once its first span was read, and the Integer that it was read from, which spans share.
    trace_id: Option<(Value, u128)>,
}

impl<'a> AsMut<Lowering<'a>> for TraceLowering<'a> {
    fn as_mut(&mut self) -> &mut Lowering<'a> {
        &mut self.lowering
    }
}

impl TraceLowering<'_> {
    fn spans(&mut self, spans: RArray, chunk: &mut Vec<SpanBytes>) -> Result<(), Failure> {
        let mut index = 0;
        let mut batch = Batch::default();
        // Each batch is asked for when it is its turn: rare values call Ruby code, which may change the Array.
        while index < spans.len() {
            Self::make_room(chunk, index, spans.len())?;
            batch.read(spans, index, self.readers, &chunk[index..]);
            for (object, span) in batch.spans() {
                Self::make_room(chunk, index, spans.len())?;
                let lowered = match span {
                    Some(span) => self.span(span, &mut chunk[index]),
                    None => Err(Failure::wrong_class("span", "a tracer's span", object)),
                };
                lowered.map_err(|failure| failure.within(&format!("spans[{index}].")))?;
                index += 1;
            }
        }
        chunk.truncate(index);
        Ok(())
    }

    /// Adds some spans to lower into to the chunk, if it has none at `index`, and makes room for the rest of a trace of
    /// `length` spans.
    #[inline]
    fn make_room(chunk: &mut Vec<SpanBytes>, index: usize, length: usize) -> Result<(), Failure> {
        if index < chunk.len() {
            return Ok(());
        }
        let left = length.saturating_sub(chunk.len());
        take_spans(chunk, left.clamp(1, POOL_CHUNK));
        let left = length.saturating_sub(chunk.len());
        let reserved = chunk.try_reserve_exact(left);
        reserved.map_err(|_| Failure::new(Kind::NoMemory, "spans", "failed to allocate memory"))
    }

    #[inline]
    fn span(&mut self, span: &TracerSpan, lowered: &mut SpanBytes) -> Result<(), Failure> {
        self.lowering.begin_span();
        lowered.trace_id = self.trace_id(span.trace_id)?;
        lowered.span_id = numbers::span_id(span.id)?;
        lowered.parent_id = self.number(span.parent_id, |_, id| numbers::parent_id(id))?;
        lowered.start = self.moment(span.start_time, "start")?;
        lowered.duration = self.duration(span.duration, lowered.start, span.end_time)?;
        lowered.error = self.number(span.status, |_, error| numbers::error(error))?;
        self.label(span.name, "name", &mut lowered.name)?;
        self.label(span.service, "service", &mut lowered.service)?;
        self.label(span.resource, "resource", &mut lowered.resource)?;
        self.label(span.r#type, "type", &mut lowered.r#type)?;
        self.lowering.meta(span.meta, &mut lowered.meta)?;
        self.lowering.metrics(span.metrics, &mut lowered.metrics)?;
        self.meta_struct(span.metastruct, lowered)?;
        self.links(span.links, lowered)?;
        self.events(span.events, lowered)
    }

    #[inline]
    fn trace_id(&mut self, value: Value) -> Result<u128, Failure> {
        match self.trace_id {
            Some((read_from, trace_id)) if same_object(read_from, value) => Ok(trace_id),
            _ => self.other_trace_id(value),
        }
    }

    #[inline(never)]
    fn other_trace_id(&mut self, value: Value) -> Result<u128, Failure> {
        let trace_id = numbers::trace_id(value)?;
        if trace_id as u64 == 0 {
            let expected = "an id whose lower 64 bits are not 0";
            return Err(Failure::out_of_range("trace_id", expected, value));
        }
        match self.trace_id {
            Some((_, of_trace)) if of_trace == trace_id => {}
            Some((_, of_trace)) => {
                let problem = format!("expected {of_trace:#x} like the first, got {trace_id:#x}");
                return Err(Failure::new(Kind::Argument, "trace_id", problem));
            }
            None => self.trace_id = Some((value, trace_id)),
        }
        Ok(trace_id)
    }

    /// Reads a number, 0 for nil.
    #[inline]
    fn number<T: Default>(
        &mut self,
        value: Value,
        read: impl Fn(&Ruby, Value) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if value.is_nil() {
            return Ok(T::default());
        }
        let number = read(self.lowering.ruby, value);
        Ok(self.lowering.or_left_out(number)?.unwrap_or_default())
    }

    #[inline]
    fn moment(&mut self, value: Value, field: &str) -> Result<i64, Failure> {
        self.number(value, |ruby, value| numbers::moment(ruby, value, field))
    }

    #[inline]
    fn duration(&mut self, duration: Value, start: i64, end: Value) -> Result<i64, Failure> {
        if !duration.is_nil() || end.is_nil() {
            return self.number(duration, numbers::seconds);
        }
        let end_time = self.moment(end, "end_time")?;
        let passed = end_time.checked_sub(start).ok_or_else(|| {
            let expected = "times up to 2**63-1 nanoseconds apart";
            Failure::out_of_range("end_time", expected, end)
        });
        Ok(self.lowering.or_left_out(passed)?.unwrap_or_default())
    }

    #[inline(always)]
    fn label(&mut self, value: Value, field: &str, label: &mut BytesString) -> Result<(), Failure> {
        if let Some((text, _)) = self.lowering.texts.kept(value) {
            *label = BytesString::from_static(text);
        } else if let Some(text) = self.lowering.texts.append(value) {
            *label = text.share();
        } else {
            *label = self.lowering.label(value, field)?;
        }
        Ok(())
    }

    #[inline]
    fn meta_struct(&mut self, value: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        if value.is_nil() {
            return Ok(());
        }
        // The tracer wraps the Hash in an object.
        let hash = match self.readers.meta_struct.read(value) {
            Some([hash]) => hash,
            None => value,
        };
        match RHash::from_value(hash) {
            Some(hash) if hash.is_empty() => Ok(()),
            _ => self.lowering.meta_structs(hash, &mut lowered.meta_struct),
        }
    }

    fn links(&mut self, links: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        each_of(self, links, "links", |trace, link| {
            let Some([trace_id, span_id, attributes, tracestate, flags]) =
                trace.readers.link.read(link)
            else {
                return Err(Failure::wrong_class("link", "a tracer's link", link));
            };
            let link = Link {
                trace_id,
                span_id,
                attributes,
                tracestate,
                flags,
            };
            lowered.span_links.push(trace.lowering.link(&link)?);
            Ok(())
        })
    }

    fn events(&mut self, events: Value, lowered: &mut SpanBytes) -> Result<(), Failure> {
        each_of(self, events, "events", |trace, event| {
            let Some([name, time, attributes]) = trace.readers.event.read(event) else {
                return Err(Failure::wrong_class("event", "a tracer's event", event));
            };
            let event = trace.lowering.event(name, Moment::Any(time), attributes)?;
            lowered.span_events.push(event);
            Ok(())
        })
    }
}
