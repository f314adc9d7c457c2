//! The way out of the queue: when chunks are sent, and which of them together.

use super::in_flight::{InFlight, Payload};
use super::{Queue, Responder};
use crate::span::{AGENT_MAX_BYTES, Size};
use std::sync::Arc;
use tokio::time::Instant;

/// When there is something to send.
enum Due {
    Now,
    At(Instant),
    /// Nothing is queued.
    Unknown,
    /// Nothing is queued, and nothing will be.
    Never,
}

impl Queue {
    /// Waits until chunks are due to be sent. Returns `false` when the queue is closed and empty.
    pub async fn due(&self) -> bool {
        loop {
            match self.next_due() {
                Due::Now => return true,
                Due::Never => return false,
                Due::At(due) => tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                Due::Unknown => self.work.notified().await,
            }
        }
    }

    fn next_due(&self) -> Due {
        let state = self.lock();
        let Some(oldest) = state.oldest else {
            return match state.closing {
                true => Due::Never,
                false => Due::Unknown,
            };
        };
        let due = oldest + self.flush_interval;
        let is_urgent = state.closing || state.first_number() < state.urgent || state.has_enough();
        match is_urgent || Instant::now() >= due {
            true => Due::Now,
            false => Due::At(due),
        }
    }

    /// Takes chunks from the front: as many as fit into one request, and at least one if any is
    /// queued. Those of a synchronous send are not mixed with others, and a chunk that may be too large
    /// for an agent goes alone, so that it doesn't cost its neighbours.
    pub fn take(self: &Arc<Self>) -> Option<Payload> {
        let mut state = self.lock();
        let first = state.first_number();
        let mut chunks = Vec::new();
        let mut size = Size::default();
        let mut responder: Option<Arc<Responder>> = None;
        while let Some(next) = state.queued.front() {
            let bytes = size.wire + next.chunk.size.wire;
            let fits = bytes <= self.max_payload_bytes.min(AGENT_MAX_BYTES);
            let joins = fits && same_send(&responder, &next.responder);
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
        let queue = Arc::clone(self);
        Some(Payload::new(queue, first, chunks, size, responder))
    }
}

fn same_send(one: &Option<Arc<Responder>>, other: &Option<Arc<Responder>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}
