//! The way out of the queue: when chunks are sent, and which of them together.

use super::in_flight::{InFlight, Payload};
use super::{Queue, Responder};
use crate::otel::otlp;
use crate::span::{AGENT_MAX_BYTES, Size, SpanBytes};
use std::sync::Arc;
use tokio::time::Instant;

/// When there is something to do.
enum Due {
    Now(Work),
    At(Instant),
    /// Nothing is queued.
    Unknown,
    /// Nothing is queued, and nothing will be.
    Never,
}

/// What there is to do for the sender.
#[derive(Debug, PartialEq)]
pub enum Work {
    /// Chunks are to be sent.
    Payload,
    /// Statistics of what was taken so far are to be sent, by the flush of this number.
    Statistics(u64),
}

impl Queue {
    /// Waits until chunks or statistics are due to be sent. Returns `None` when the queue is closed and
    /// empty.
    pub async fn due(&self) -> Option<Work> {
        loop {
            match self.next_due() {
                Due::Now(work) => return Some(work),
                Due::Never => return None,
                Due::At(due) => tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                Due::Unknown => self.work.notified().await,
            }
        }
    }

    fn next_due(&self) -> Due {
        let mut state = self.lock();
        let first = state.first_number();
        let has_urgent = first < state.urgent;
        if let Some(flush) = state.flushes.begin(first) {
            return Due::Now(Work::Statistics(flush));
        }
        let Some(oldest) = state.oldest else {
            return match state.closing {
                true => Due::Never,
                false => Due::Unknown,
            };
        };
        let due = oldest + self.flush_interval;
        let is_urgent = state.closing || has_urgent || state.has_enough();
        match is_urgent || Instant::now() >= due {
            true => Due::Now(Work::Payload),
            false => Due::At(due),
        }
    }

    /// Takes chunks from the front: as many as fit into one request, and at least one if any is
    /// queued. Those of a synchronous send are not mixed with others, nor are spans of OpenTelemetry's
    /// SDK, which take another way to an OTLP endpoint; and a chunk that may be too large
    /// for an agent goes alone, so that it doesn't cost its neighbours.
    pub fn take(self: &Arc<Self>) -> Option<Payload> {
        let mut state = self.lock();
        let first = state.first_number();
        let mut chunks: Vec<Vec<SpanBytes>> = Vec::new();
        let mut size = Size::default();
        let mut responder: Option<Arc<Responder>> = None;
        while let Some(next) = state.queued.front() {
            let bytes = size.wire + next.chunk.size.wire;
            let fits = bytes <= self.max_payload_wire.min(AGENT_MAX_BYTES);
            let joins = fits
                && same_send(&responder, &next.responder)
                && chunks.first().is_none_or(|first| {
                    otlp::is_carried(first) == otlp::is_carried(&next.chunk.spans)
                });
            if !joins && !chunks.is_empty() {
                break;
            }
            let Some(next) = state.queued.pop_front() else {
                break;
            };
            size += next.chunk.size;
            chunks.push(next.chunk.spans);
            responder = next.responder;
        }
        if chunks.is_empty() {
            return None;
        }
        if state.queued.is_empty() {
            state.oldest = None;
        }
        state.stats.queued -= size;
        state.stats.in_flight += size;
        state.in_flight.push(InFlight { first, encoded: 0 });
        drop(state);
        Some(Payload {
            queue: Arc::clone(self),
            first,
            chunks,
            size,
            responder,
        })
    }
}

fn same_send(one: &Option<Arc<Responder>>, other: &Option<Arc<Responder>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
