//! Payloads between the queue and the agent's answer.

use super::{Accepted, Failure, Outcome, PartOutcome, Queue, Responder, State};
use crate::report::push_bounded;
use crate::report::stats::{Loss, RequestOutcome};
use crate::span::{Size, SpanBytes};
use std::sync::Arc;

/// Chunks that have left the queue and are sent in one request. If it is dropped unsettled (the
/// sender panicked), its spans are counted as lost.
pub struct Payload {
    pub(super) queue: Arc<Queue>,
    /// Number of its first chunk.
    pub(super) first: u64,
    pub(super) chunks: Vec<Vec<SpanBytes>>,
    /// Weight of its chunks; nothing once it is settled.
    pub(super) size: Size,
    pub(super) responder: Option<Arc<Responder>>,
}

/// A payload as the queue's state remembers it.
pub(super) struct InFlight {
    /// Number of its first chunk.
    pub first: u64,
    /// Bytes of its encoded form, from when it is encoded.
    pub encoded: usize,
}

impl Payload {
    /// Returns whether any of its spans has events.
    pub fn has_span_events(&self) -> bool {
        let mut spans = self.chunks.iter().flatten();
        spans.any(|span| !span.span_events.is_empty())
    }

    /// Moves the chunks out. They stay in flight until the payload is settled.
    pub fn take_chunks(&mut self) -> Vec<Vec<SpanBytes>> {
        std::mem::take(&mut self.chunks)
    }

    pub fn size(&self) -> Size {
        self.size
    }

    pub fn tracker(&self) -> Tracker {
        Tracker {
            queue: Arc::clone(&self.queue),
            first: self.first,
        }
    }

    /// Counts what became of all of it.
    pub fn settle(mut self, outcome: Outcome) {
        let Outcome {
            accepted,
            mut failures,
            sampled_out,
        } = outcome;
        let mut state = self.queue.lock();
        if !Self::release(&mut self.size, self.first, &mut state) {
            return;
        }
        for accepted in &accepted {
            state.stats.spans_sent += accepted.count.spans as u64;
            state.stats.payloads_sent += 1;
            state.stats.bytes_sent += accepted.bytes as u64;
        }
        state.stats.spans_sampled_out += sampled_out.spans as u64;
        // A payload without spans tells the agent of unsampled ones alone.
        failures.retain(|failure| failure.spans > 0);
        for failure in &failures {
            let spans = failure.spans as u64;
            self.queue
                .count_lost(&mut state, spans, failure.loss, &failure.detail);
        }
        if failures.is_empty() && !accepted.is_empty() {
            state.loss_log.sent();
            self.queue.note_lines(&state);
        }
        drop(state);
        if sampled_out.chunks > 0 {
            self.respond(PartOutcome::SampledOut(sampled_out.chunks));
        }
        for Accepted { body, count, .. } in accepted {
            self.queue.rates.update(&body);
            let chunks = count.chunks;
            self.respond(PartOutcome::Accepted { body, chunks });
        }
        for failure in failures {
            let (status, body) = failure.answer.unzip();
            self.respond(PartOutcome::Lost {
                loss: failure.loss,
                detail: failure.detail,
                status,
                body: body.unwrap_or_default(),
            });
        }
    }

    /// Counts all of it as lost before a request was made.
    pub fn give_up(self, loss: Loss, detail: String) {
        let spans = self.size.spans;
        self.settle(Outcome {
            failures: vec![Failure {
                spans,
                loss,
                detail,
                answer: None,
            }],
            ..Outcome::default()
        });
    }

    /// Takes the payload out of what is in flight. Returns `false` if it is not there any more: then
    /// it has been counted as lost.
    fn release(size: &mut Size, first: u64, state: &mut State) -> bool {
        let size = std::mem::take(size);
        let position = state.in_flight.iter().position(|one| one.first == first);
        let Some(position) = position else {
            return false;
        };
        state.stats.in_flight -= size;
        state.stats.in_flight.memory -= state.in_flight.swap_remove(position).encoded;
        true
    }

    fn respond(&self, part: PartOutcome) {
        if let Some(responder) = &self.responder {
            responder.add(part);
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.size.spans > 0 {
            let spans = self.size.spans as u64;
            let detail = "the sender stopped at an internal error".to_owned();
            let mut state = self.queue.lock();
            if Self::release(&mut self.size, self.first, &mut state) {
                self.queue
                    .count_lost(&mut state, spans, Loss::Internal, &detail);
            }
            drop(state);
            self.respond(PartOutcome::unsent(Loss::Internal, detail));
        }
        // The result is handed in before the threads that wait for it are woken.
        self.responder = None;
        self.queue.wake_waiters();
    }
}

/// Counts what happens to a payload on its way.
pub struct Tracker {
    queue: Arc<Queue>,
    first: u64,
}

impl Tracker {
    /// The payload's encoded form takes this many bytes, for as long as it is in flight.
    pub fn encoded(&self, bytes: usize) {
        let mut state = self.queue.lock();
        let mut in_flight = state.in_flight.iter_mut();
        if let Some(payload) = in_flight.find(|payload| payload.first == self.first) {
            payload.encoded += bytes;
            state.stats.in_flight.memory += bytes;
        }
    }

    /// Values of spans are left out, which the receiver's format has no room for.
    pub fn left_out(&self, values: usize, example: &str) {
        let mut state = self.queue.lock();
        state.stats.values_left_out += values as u64;
        state.loss_log.left_out(example);
        self.queue.note_lines(&state);
    }

    /// A request is made again.
    pub fn retried(&self) {
        self.queue.lock().stats.retries += 1;
    }

    /// A request failed and will be made again.
    pub fn attempt_failed(&self, detail: &str) {
        let mut state = self.queue.lock();
        state.stats.last_error = Some(detail.to_owned());
        state.loss_log.attempt_failed(detail);
        self.queue.note_lines(&state);
    }

    /// A request is over.
    pub fn requested(&self, outcome: RequestOutcome) {
        let mut state = self.queue.lock();
        if outcome.status.is_some() {
            state.send_times.add(outcome.duration);
        }
        push_bounded(&mut state.requests, outcome, RequestOutcome::KEPT);
    }
}
