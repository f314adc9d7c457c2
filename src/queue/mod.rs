//! The bounded queue between the threads that trace and the task that sends.
//!
//! One mutex guards the queued chunks, the record of what is in flight and the counters, so that at
//! every moment the spans exported are those sent, dropped, queued and in flight. It is held for a
//! few instructions at a time: chunks are moved under it, never built, encoded or freed.
//!
//! Chunks are numbered in the order in which they came, leave from the front only, and leave as
//! payloads: as many at once as the size of a request allows.
//!
//! - [`push`]: what is taken, and what is given up, when the queue is full.
//! - [`take`]: when chunks are due, and which of them share a request.
//! - [`in_flight`]: what becomes of a payload.
//! - [`statistics`]: when those that are computed on the way are sent.
//! - [`waiter`]: how threads wait for that.
//! - [`lost_sender`]: what happens if the sender cannot be woken any more.

mod in_flight;
mod interrupt;
mod lost_sender;
mod outcome;
mod push;
mod reply;
mod statistics;
mod take;
mod waiter;

pub(crate) use in_flight::{Payload, Tracker};
pub use interrupt::Interrupt;
pub(crate) use outcome::{Accepted, Count, Failure, Outcome};
pub use reply::{PartOutcome, SendOutcome};
pub(crate) use reply::{ReplySlot, Responder};
pub(crate) use statistics::Flush;
pub(crate) use take::Work;
pub(crate) use waiter::WaitFor;
pub use waiter::Waiter;

use crate::config::{Config, WhenFull};
use crate::process::descriptors::Descriptors;
use crate::report::loss_log::LossLog;
use crate::report::rates::Rates;
use crate::report::stats::{Loss, RequestOutcome, SendTimes, Stats};
use crate::span::Chunk;
use in_flight::InFlight;
use statistics::Flushes;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Bytes on the wire from which the queue is sent before its time.
const SEND_EARLY_BYTES: usize = 1024 * 1024;

pub struct Queue {
    /// Where spans are sent, for messages.
    address: String,
    max_spans: usize,
    max_bytes: usize,
    when_full: WhenFull,
    /// Bound of a payload, as of its v0.4 form.
    max_payload_wire: usize,
    flush_interval: Duration,
    shutdown_timeout: Duration,
    /// Whether statistics may be computed from the spans.
    has_statistics: bool,
    state: Mutex<State>,
    /// Wakes the sender.
    work: Notify,
    /// Whether the exporter or the process is about to end.
    ending: watch::Sender<bool>,
    /// The descriptors that the sender needs, once it was started.
    descriptors: OnceLock<Arc<Descriptors>>,
    /// Whether the sender cannot be woken any more.
    has_lost_sender: AtomicBool,
    has_lines: AtomicBool,
    rates: Arc<Rates>,
}

#[derive(Default)]
struct State {
    queued: VecDeque<Queued>,
    /// When the oldest chunk came.
    oldest: Option<Instant>,
    /// Number that the next chunk gets.
    next_number: u64,
    /// Chunks below this number are sent without waiting for their time.
    urgent: u64,
    /// Payloads that have left the queue and are not settled.
    in_flight: Vec<InFlight>,
    /// Threads to be woken when a payload is settled.
    waiters: Vec<Thread>,
    flushes: Flushes,
    /// Whether no more chunks are taken, and the sender ends once the queue is empty.
    closing: bool,
    /// Why nothing more is sent, once that is so.
    finished: Option<String>,
    stats: Stats,
    send_times: SendTimes,
    /// The latest outcomes that have not been fetched.
    requests: VecDeque<RequestOutcome>,
    loss_log: LossLog,
    /// Spans exported when spans that are lost with the process were last described.
    described: u64,
}

struct Queued {
    chunk: Chunk,
    responder: Option<Arc<Responder>>,
}

impl State {
    /// Returns the number of the chunk at the front.
    fn first_number(&self) -> u64 {
        self.next_number - self.queued.len() as u64
    }

    fn has_enough(&self) -> bool {
        self.stats.queued.wire >= SEND_EARLY_BYTES
    }
}

impl Queue {
    pub fn new(config: &Config) -> Self {
        Self {
            address: config.url().to_string(),
            max_spans: config.max_queue_spans,
            max_bytes: config.max_queue_bytes,
            when_full: config.when_full,
            max_payload_wire: config.max_payload_wire(),
            flush_interval: config.flush_interval,
            shutdown_timeout: config.shutdown_timeout,
            has_statistics: config.stats,
            state: Mutex::default(),
            work: Notify::new(),
            ending: watch::Sender::new(false),
            descriptors: OnceLock::new(),
            has_lost_sender: AtomicBool::new(false),
            has_lines: AtomicBool::new(false),
            rates: Arc::default(),
        }
    }

    /// Returns the sampling rates of the agent's latest answer.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Has all chunks queued so far sent at once, and statistics of them. The returned wait is over when
    /// they are settled.
    pub fn flush(self: &Arc<Self>) -> Waiter {
        let mut state = self.lock();
        state.urgent = state.next_number;
        let goal = WaitFor::Settled {
            chunks: state.next_number,
            statistics: self.ask_for_statistics(&mut state),
        };
        drop(state);
        self.wake_sender(|queue| queue.work.notify_one());
        Waiter::new(Arc::clone(self), goal)
    }

    /// Takes no more chunks. The sender ends once the queue is empty.
    pub fn close(&self) {
        self.lock().closing = true;
        self.note_ending();
        self.wake_sender(|queue| queue.work.notify_one());
    }

    /// Notes that the process or the exporter is about to end, so that nothing is sent later than it
    /// has to be.
    pub fn note_ending(&self) {
        self.wake_sender(|queue| {
            queue.ending.send_replace(true);
        });
    }

    /// Waits until the process or the exporter is about to end.
    pub async fn ending(&self) {
        // Fails only if the sender of the channel is gone, which `self` owns.
        let _ = self.ending.subscribe().wait_for(|ending| *ending).await;
    }

    pub fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// Returns whether no chunk waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.lock().queued.is_empty()
    }

    pub fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            send_time_p50: state.send_times.median(),
            send_time_max: state.send_times.longest,
            ..state.stats.clone()
        }
    }

    /// Returns whether [`Queue::take_lines`] has something to return. Costs one load.
    pub fn has_lines(&self) -> bool {
        self.has_lines.load(Ordering::Relaxed)
    }

    /// Returns the lines for the log that have not been fetched yet.
    pub fn take_lines(&self) -> VecDeque<String> {
        let mut state = self.lock();
        self.has_lines.store(false, Ordering::Relaxed);
        state.loss_log.take_lines()
    }

    /// Returns the outcomes of requests that have not been fetched yet, the latest ones if they are
    /// many.
    pub fn take_requests(&self) -> VecDeque<RequestOutcome> {
        std::mem::take(&mut self.lock().requests)
    }

    /// Describes the spans, and statistics, that are lost if the process ends now: how many, where they
    /// were going and why they are not there. Returns `None` if there are none that were exported since the last call.
    pub fn take_unsent_line(&self) -> Option<String> {
        let mut state = self.lock();
        let exported = state.stats.spans_exported;
        let since = exported - std::mem::replace(&mut state.described, exported);
        // Spans are sent in turn, so that the last ones are lost first.
        let spans = state.stats.unsettled().min(since);
        let statistics = self.undescribed_statistics(&mut state);
        let what = match (spans, statistics) {
            (0, 0) => return None,
            (0, _) => "statistics of spans are lost".to_owned(),
            (spans, 0) => format!("{spans} spans are lost"),
            (spans, _) => format!("{spans} spans are lost, and statistics of others"),
        };
        let cause = state.loss_log.current().unwrap_or("no answer yet");
        let address = &self.address;
        Some(format!(
            "{what}: the process ends, on their way to {address} ({cause})"
        ))
    }

    /// Counts what a panic in a call of the application's has cost: chunks that were handed over and are
    /// nowhere.
    pub fn note_panic(&self, panic: &str) {
        let mut state = self.lock();
        let held = state.stats.queued.spans + state.stats.in_flight.spans;
        let lost = state.stats.unsettled() - held as u64;
        self.count_lost(
            &mut state,
            lost,
            Loss::Internal,
            &format!("internal error: {panic}"),
        );
    }

    /// Notes that the sender could not be started. What is queued stays queued.
    pub fn note_start_failure(&self, error: &std::io::Error) {
        self.lock().stats.last_error = Some(format!("the sender cannot be started: {error}"));
    }

    /// Ends all waits: nothing more will be sent, usually because everything has been. Chunks that
    /// are still queued, or come later, are lost for the reason in `detail`.
    pub fn finish(&self, detail: &str) {
        let mut state = self.lock();
        state.finished = Some(detail.to_owned());
        let unsent = std::mem::take(&mut state.queued);
        state.oldest = None;
        let spans = std::mem::take(&mut state.stats.queued).spans;
        if spans > 0 {
            self.count_lost(&mut state, spans as u64, Loss::Internal, detail);
        }
        drop(state);
        // Results are handed in before the threads that wait for them are woken.
        for responder in unsent.iter().filter_map(|queued| queued.responder.as_ref()) {
            responder.add(PartOutcome::unsent(Loss::Internal, detail.to_owned()));
        }
        drop(unsent);
        self.wake_waiters();
    }

    /// Wakes all waiting threads so that they check what they wait for.
    fn wake_waiters(&self) {
        let waiters = std::mem::take(&mut self.lock().waiters);
        waiters.iter().for_each(Thread::unpark);
    }

    fn count_lost(&self, state: &mut State, spans: u64, loss: Loss, detail: &str) {
        state.stats.dropped[loss as usize] += spans;
        state.stats.last_error = Some(detail.to_owned());
        state.loss_log.lost(spans, loss, detail);
        self.note_lines(state);
    }

    fn note_lines(&self, state: &State) {
        self.has_lines
            .store(state.loss_log.has_lines(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under the lock leaves at worst chunks uncounted, which `note_panic` counts.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
