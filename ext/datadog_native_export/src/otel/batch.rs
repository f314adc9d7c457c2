//! The spans of a call, gathered by trace.

use super::{SpanLowering, Target};
use crate::convert::{Lowering, Policy};
use crate::errors::Failure;
use crate::ruby::values_from;
use crate::scratch::Scratch;
use magnus::{RArray, Ruby};
use pipeline::otel::otlp;
use pipeline::span::{Chunk, LeftOut, Refused, Size, SpanBytes, pool, take_spans};
use std::collections::HashMap;

/// Spans to lower into that are taken from the pool together.
const BATCH: usize = 16;

/// What became of the spans.
pub struct Lowered {
    /// One for each trace.
    pub chunks: Vec<Chunk>,
    pub refused: Refused,
    pub left_out: LeftOut,
}

/// Lowers spans of any traces: OpenTelemetry's `SpanData`. A span that can't be sent costs itself.
///
/// # Errors
/// What has nothing to do with a value.
pub fn lower(ruby: &Ruby, spans: RArray, target: Target) -> Result<Lowered, Failure> {
    let mut scratch = Scratch::take();
    let Scratch {
        texts,
        otel: readers,
        ..
    } = &mut *scratch;
    let before = texts.arena.allocated();
    let lowering = Lowering::new(ruby, texts, Policy::Lenient);
    let mut lowering = SpanLowering::new(lowering, readers, target);
    let mut traces = Traces::default();
    let lowered = lowering.batch(spans, &mut traces);
    let left_out = lowering.lowering.tally.first_left_out;
    let text = texts.arena.allocated() - before;
    scratch.put_back();
    if let Err(failure) = lowered {
        pool().add_chunks(traces.chunks.into_iter().map(|trace| trace.spans));
        return Err(failure);
    }
    let refused = std::mem::take(&mut traces.refused);
    Ok(Lowered {
        chunks: traces.into_chunks(text, target),
        refused,
        left_out,
    })
}

impl SpanLowering<'_> {
    fn batch(&mut self, spans: RArray, traces: &mut Traces) -> Result<(), Failure> {
        let mut fresh = Vec::with_capacity(BATCH);
        let lowered = self.each(spans, &mut fresh, traces);
        pool().add_chunks([fresh]);
        lowered
    }

    /// Lowers each span into one of the fresh ones, and leaves those that are not needed.
    fn each(
        &mut self,
        spans: RArray,
        fresh: &mut Vec<SpanBytes>,
        traces: &mut Traces,
    ) -> Result<(), Failure> {
        let mut index = 0;
        // The length is asked for each time: rare values call Ruby code, which may change the Array.
        while let [Some(span)] = values_from(spans, index) {
            if fresh.is_empty() {
                take_spans(fresh, BATCH.min(spans.len() - index));
            }
            let mut lowered = fresh.pop().unwrap_or_default();
            let before = (self.lowering.tally.repaired, self.lowering.tally.left_out);
            match self.span(span, &mut lowered) {
                Ok(()) => {
                    let tally = &self.lowering.tally;
                    let trace = traces.of(lowered.trace_id);
                    trace.spans.push(lowered);
                    trace.repaired += tally.repaired - before.0;
                    trace.left_out += tally.left_out - before.1;
                }
                Err(failure) => {
                    pool().add_chunks([vec![lowered]]);
                    if !failure.is_about_value(self.lowering.ruby) {
                        return Err(failure);
                    }
                    let failure = failure.within(&format!("span_data[{index}]."));
                    traces.refused.spans += 1;
                    traces.refused.problem = failure.message();
                }
            }
            index += 1;
        }
        Ok(())
    }
}

/// The spans of one trace.
#[derive(Default)]
struct Trace {
    spans: Vec<SpanBytes>,
    repaired: usize,
    left_out: usize,
}

/// Traces in the order in which they were met.
#[derive(Default)]
struct Traces {
    chunks: Vec<Trace>,
    index: HashMap<u128, usize>,
    refused: Refused,
}

impl Traces {
    fn of(&mut self, trace_id: u128) -> &mut Trace {
        let index = *self.index.entry(trace_id).or_insert(self.chunks.len());
        if index == self.chunks.len() {
            self.chunks.push(Trace::default());
        }
        &mut self.chunks[index]
    }

    /// Makes chunks of the traces, whose text takes `text` bytes of memory together.
    fn into_chunks(self, text: usize, target: Target) -> Vec<Chunk> {
        let spans = self.chunks.iter().map(|trace| trace.spans.len());
        let text = text / spans.sum::<usize>().max(1);
        let chunks = self.chunks.into_iter().map(|mut trace| {
            if target == Target::Agent {
                super::datadog_span::keep(&mut trace.spans);
            }
            let size = Size::of_chunk(&trace.spans, text * trace.spans.len());
            let shared = otlp::shared_bytes(&trace.spans);
            let size = Size {
                repaired: trace.repaired,
                left_out: trace.left_out,
                memory: size.memory - shared,
                wire: size.wire - shared,
                ..size
            };
            Chunk {
                spans: trace.spans,
                size,
            }
        });
        chunks.collect()
    }
}
