//! Lowering the spans of one trace: into the block that their list has open when all of them are simple, or else apart
//! from it.

use crate::known::Known;
use crate::simple_span::SimpleSpans;
use crate::tools::Tools;
use crate::tracer_span::Lowering;
use magnus::{Error, RArray, Ruby};
use pipeline::chunks::TraceChunks;

/// Lowers the spans of one trace into the open block of `chunks`, when all of them are simple. Whether they are.
///
/// What is `known` is of that block, and is marked. No Ruby code runs.
///
/// # Errors
/// What comes from outside, as from `Thread#kill`.
pub fn lower_simple(
    ruby: &Ruby,
    spans: RArray,
    chunks: &mut TraceChunks,
    known: &Known,
) -> Result<bool, Error> {
    let mut tools = Tools::take();
    let mut attempt = Ok(Attempt::NotSimple);
    if !tools.odd {
        attempt = tools.try_simple(ruby, spans, chunks, known);
        if let Ok(Attempt::TooLarge) = attempt {
            chunks.open_another();
            attempt = tools.try_simple(ruby, spans, chunks, known);
        }
    }
    tools.put_back();
    attempt.map(|attempt| matches!(attempt, Attempt::Lowered))
}

enum Attempt {
    Lowered,
    NotSimple,
    /// The chunks in the block would stay in memory as long as this large one.
    TooLarge,
}

impl Tools {
    /// Leaves no trace of spans that it does not lower.
    fn try_simple(
        &mut self,
        ruby: &Ruby,
        spans: RArray,
        chunks: &mut TraceChunks,
        known: &Known,
    ) -> Result<Attempt, Error> {
        let (block, number) = chunks.open();
        known.refresh();
        known.seen.use_for(number);
        let lowered = SimpleSpans {
            ruby,
            meta_struct: &mut self.meta_struct,
            known,
            block,
            compactions: 0,
            trace_id: &mut None,
        }
        .lower(&mut self.span, spans);
        let is_too_large = block.is_pending_large() && !block.is_empty();
        if matches!(lowered, Ok(true)) && !is_too_large {
            chunks.end_chunk();
            return Ok(Attempt::Lowered);
        }
        block.cancel_chunk();
        known.seen.forget();
        lowered.map(|all| {
            if all {
                Attempt::TooLarge
            } else {
                Attempt::NotSimple
            }
        })
    }
}

/// The spans of one trace.
pub struct Lowered(Box<Tools>);

impl Lowered {
    pub fn put_into(mut self, chunks: &mut TraceChunks) {
        if self.0.scratch.is_pending_large() {
            chunks.open_another();
        }
        chunks.open().0.append(&mut self.0.scratch);
        chunks.end_chunk();
        self.0.put_back();
    }
}

/// Lowers the spans of one trace, whatever they are.
///
/// # Errors
/// What keeps the trace from being sent; when `strict`, also what else would be repaired or left
/// out.
pub fn lower(ruby: &Ruby, spans: RArray, strict: bool) -> Result<Lowered, Error> {
    let mut tools = Tools::take();
    tools.odd = false;
    let mut lowering = Lowering {
        ruby,
        strict,
        tools: &mut tools,
        trace_id: None,
    };
    match lowering.trace(spans) {
        Ok(()) => Ok(Lowered(tools)),
        Err(error) => {
            tools.scratch.cancel_chunk();
            tools.put_back();
            Err(error)
        }
    }
}
