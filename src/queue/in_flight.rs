//! Chunks between the queue and the agent's answer.

use super::{Queue, Reply, ReplyTo, State, wake_waiters};
use crate::chunks::TraceChunks;
use crate::delivery::{Failure, Observer, Outcome};
use crate::size::Size;
use crate::stats::Loss;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Entries that have left the queue.
pub struct Batch {
    pub chunks: Vec<TraceChunks>,
    in_flight: Arc<InFlight>,
}

impl Batch {
    pub(super) fn new(
        queue: Arc<Queue>,
        first: u64,
        chunks: Vec<TraceChunks>,
        reply: Option<ReplyTo>,
    ) -> Self {
        let reply = Mutex::new(reply);
        Self {
            chunks,
            in_flight: Arc::new(InFlight {
                queue,
                first,
                reply,
            }),
        }
    }

    /// Some of its chunks, to be answered for together.
    pub fn payload(&self, size: Size) -> Payload {
        Payload {
            in_flight: Arc::clone(&self.in_flight),
            left: size,
            encoded: Arc::default(),
        }
    }
}

/// What the payloads of a batch share; dropped when all of them are answered for.
struct InFlight {
    queue: Arc<Queue>,
    first: u64,
    reply: Mutex<Option<ReplyTo>>,
}

impl Drop for InFlight {
    fn drop(&mut self) {
        // Handed in before the waiters are woken.
        *self.reply.get_mut().unwrap_or_else(PoisonError::into_inner) = None;
        let mut state = self.queue.lock();
        state.in_flight.retain(|first| *first != self.first);
        wake_waiters(state);
    }
}

/// Chunks on their way. What was not answered for when it is dropped (the sender panicked) is
/// counted as lost.
pub struct Payload {
    in_flight: Arc<InFlight>,
    left: Size,
    /// Bytes of the encoded payload, as long as there is one.
    encoded: Arc<AtomicUsize>,
}

impl Payload {
    pub fn size(&self) -> Size {
        self.left
    }

    pub fn observer(&self) -> Box<dyn Observer> {
        Box::new(PayloadObserver {
            queue: Arc::clone(&self.in_flight.queue),
            encoded: Arc::clone(&self.encoded),
        })
    }

    /// Counts what became of all of it.
    pub fn settle(mut self, outcome: Outcome) {
        let queue = Arc::clone(&self.in_flight.queue);
        let mut state = queue.lock();
        self.release(&mut state);
        for accepted in &outcome.accepted {
            state.stats.spans_sent += accepted.spans as u64;
            state.stats.payloads_sent += 1;
            state.stats.bytes_sent += accepted.bytes as u64;
        }
        for failure in &outcome.failures {
            let spans = failure.spans as u64;
            queue.count_lost(&mut state, spans, failure.loss, &failure.detail);
        }
        if outcome.failures.is_empty() {
            state.trouble.sent();
            queue
                .has_lines
                .store(state.trouble.has_lines(), Ordering::Relaxed);
        }
        drop(state);
        for accepted in outcome.accepted {
            queue.rates.update(&accepted.body);
            self.answer(Reply::Accepted {
                body: accepted.body,
                chunks: accepted.chunks,
            });
        }
        for failure in outcome.failures {
            let (status, body) = failure.answer.unzip();
            self.answer(Reply::Lost {
                loss: failure.loss,
                detail: failure.detail,
                status,
                body: body.unwrap_or_default(),
            });
        }
    }

    /// Counts all of it as lost before a request was made.
    pub fn give_up(self, loss: Loss, detail: String) {
        let spans = self.left.spans;
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

    fn release(&mut self, state: &mut State) {
        state.in_flight_size -= std::mem::take(&mut self.left);
        state.in_flight_size.memory -= self.encoded.swap(0, Ordering::Relaxed);
    }

    fn answer(&self, reply: Reply) {
        let mut slot = self
            .in_flight
            .reply
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slot.as_mut() {
            slot.add(reply);
        }
    }
}

impl Drop for Payload {
    fn drop(&mut self) {
        if self.left.spans > 0 {
            let queue = Arc::clone(&self.in_flight.queue);
            let mut state = queue.lock();
            let spans = self.left.spans as u64;
            self.release(&mut state);
            let detail = "the sender stopped at an internal error".to_owned();
            queue.count_lost(&mut state, spans, Loss::Internal, &detail);
            drop(state);
            self.answer(Reply::unsent(Loss::Internal, detail));
        }
    }
}

struct PayloadObserver {
    queue: Arc<Queue>,
    encoded: Arc<AtomicUsize>,
}

impl Observer for PayloadObserver {
    fn encoded(&self, bytes: usize) {
        let mut state = self.queue.lock();
        self.encoded.fetch_add(bytes, Ordering::Relaxed);
        state.in_flight_size.memory += bytes;
    }

    fn retried(&self) {
        self.queue.lock().stats.retries += 1;
    }

    fn answered(&self, took: Duration) {
        self.queue.lock().times.add(took);
    }
}
