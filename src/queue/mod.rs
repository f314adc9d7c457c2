//! The bounded queue between the threads that trace and the task that sends.
//!
//! One mutex guards the queued chunks, the record of what is in flight and the counters, so that at
//! every moment the spans exported are those sent, dropped, queued and in flight. It is held for a
//! few instructions at a time: chunks are moved under it, never built, encoded or freed.
//!
//! Chunks are numbered in the order in which they came, leave from the front only, and leave as
//! payloads: as many at once as the size of a request allows.

mod in_flight;
mod interrupt;
mod outcome;
mod reply;
mod waiter;

pub(crate) use in_flight::{Payload, Tracker};
pub use interrupt::Interrupt;
pub(crate) use outcome::{Accepted, Failure, Outcome};
pub use reply::{PartOutcome, SendOutcome};
pub(crate) use reply::{ReplySlot, Responder};
pub(crate) use waiter::WaitFor;
pub use waiter::Waiter;

use crate::config::{Config, WhenFull};
use crate::process::descriptors::Descriptors;
use crate::process::panics;
use crate::report::loss_log::LossLog;
use crate::report::rates::Rates;
use crate::report::stats::{Loss, RequestOutcome, RequestOutcomes, SendTimes, Stats};
use crate::span::{Chunk, Size, TraceChunks};
use in_flight::InFlight;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// Bytes on the wire from which the queue is sent before its time.
const SEND_EARLY_BYTES: usize = 1024 * 1024;

/// The largest request that an agent takes (`max_request_bytes` of the Go agent).
pub(crate) const AGENT_MAX_BYTES: usize = 25 * 1024 * 1024;

pub struct Queue {
    /// Address of the agent, for messages.
    agent: String,
    max_spans: usize,
    max_bytes: usize,
    when_full: WhenFull,
    max_payload_bytes: usize,
    flush_interval: Duration,
    shutdown_timeout: Duration,
    state: Mutex<State>,
    /// Wakes the sender.
    work: Notify,
    /// Whether the exporter or the process is about to end.
    closing: watch::Sender<bool>,
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
    /// Whether no more chunks are taken, and the sender ends once the queue is empty.
    closing: bool,
    /// Why nothing more is sent, once that is so.
    finished: Option<String>,
    stats: Stats,
    send_times: SendTimes,
    requests: RequestOutcomes,
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
    pub fn new(config: &Config) -> Self {
        Self {
            agent: config.agent_url.to_string(),
            max_spans: config.max_queue_spans,
            max_bytes: config.max_queue_bytes,
            when_full: config.when_full,
            max_payload_bytes: config.max_payload_bytes,
            flush_interval: config.flush_interval,
            shutdown_timeout: config.shutdown_timeout,
            state: Mutex::default(),
            work: Notify::new(),
            closing: watch::Sender::new(false),
            descriptors: OnceLock::new(),
            has_lost_sender: AtomicBool::new(false),
            has_lines: AtomicBool::new(false),
            rates: Arc::default(),
        }
    }

    /// Creates a queue in place of one whose sender is lost. Queued chunks and all counts are moved to
    /// it; what is in flight is lost.
    pub fn in_place_of(lost: &Self, config: &Config) -> Self {
        let mut state = lost.lock();
        let queued = std::mem::take(&mut state.queued);
        // Whatever becomes of it, its loss is counted here.
        state.in_flight.clear();
        let successor = Self {
            rates: Arc::clone(&lost.rates),
            state: Mutex::new(State {
                oldest: state.oldest.take(),
                next_number: queued.len() as u64,
                urgent: queued.len() as u64,
                queued,
                stats: std::mem::take(&mut state.stats),
                loss_log: std::mem::take(&mut state.loss_log),
                ..State::default()
            }),
            ..Self::new(config)
        };
        drop(state);
        lost.wake_waiters();
        let mut state = successor.lock();
        let spans = std::mem::take(&mut state.stats.in_flight).spans as u64;
        if spans > 0 {
            let detail = "the application has closed the descriptors of the exporter";
            successor.count_lost(&mut state, spans, Loss::Internal, detail);
        }
        drop(state);
        successor
    }

    /// Notes the descriptors that the sender needs.
    pub fn set_descriptors(&self, descriptors: Arc<Descriptors>) {
        let _ = self.descriptors.set(descriptors);
    }

    /// Returns whether the sender cannot be woken any more: the application has closed the descriptors
    /// that it needs.
    pub fn has_lost_sender(&self) -> bool {
        self.has_lost_sender.load(Ordering::Relaxed)
    }

    /// Wakes the sender by `notify`. Without its descriptors that would panic, or write to a file of
    /// the application's that has got the number of one of them.
    fn wake_sender(&self, notify: impl FnOnce(&Self)) {
        let descriptors = self.descriptors.get();
        let are_open = descriptors.is_none_or(|descriptors| descriptors.are_open());
        if !are_open || panics::caught(|| notify(self)).is_err() {
            self.lose_sender();
        }
    }

    /// Notes that the sender cannot be woken any more. Ends all waits for it.
    pub fn lose_sender(&self) {
        self.has_lost_sender.store(true, Ordering::Relaxed);
        self.wake_waiters();
    }

    /// Returns the sampling rates of the agent's latest answer.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Queues chunks in order while there is room, and counts the rest as lost. Returns whether all
    /// were queued.
    pub fn push(&self, chunks: TraceChunks, responder: Option<Arc<Responder>>) -> bool {
        let size = chunks.size();
        let mut state = self.lock();
        self.count_exported(&mut state, &chunks);
        if state.closing {
            state.stats.dropped[Loss::Closed as usize] += size.spans as u64;
            drop(state);
            if let Some(responder) = responder {
                let detail = "the exporter has been shut down".to_owned();
                responder.add(PartOutcome::unsent(Loss::Closed, detail));
            }
            return false;
        }
        if size.spans == 0 {
            drop(state);
            if let Some(responder) = responder {
                let (body, chunks) = (String::new(), 0);
                responder.add(PartOutcome::Accepted { body, chunks });
            }
            return true;
        }
        if let Some(detail) = state.finished.clone() {
            self.count_lost(&mut state, size.spans as u64, Loss::Internal, &detail);
            drop(state);
            if let Some(responder) = responder {
                responder.add(PartOutcome::unsent(Loss::Internal, detail));
            }
            return false;
        }
        let chunks = chunks.into_chunks();
        if self.has_room(&state, size) {
            self.enqueue(state, chunks, size, responder);
            return true;
        }
        self.push_what_fits(state, chunks, responder)
    }

    /// Queues chunks that do not all fit. Returns whether room could be made for all.
    fn push_what_fits(
        &self,
        mut state: MutexGuard<State>,
        chunks: impl Iterator<Item = Chunk>,
        responder: Option<Arc<Responder>>,
    ) -> bool {
        let mut taken = Vec::new();
        let mut taken_size = Size::default();
        let mut lost = Vec::new();
        let mut evicted = Vec::new();
        for chunk in chunks {
            let mut together = taken_size;
            together += chunk.size;
            if lost.is_empty() && self.when_full == WhenFull::DropOldest {
                self.make_room(&mut state, together, &mut evicted);
            }
            if lost.is_empty() && self.has_room(&state, together) {
                taken_size = together;
                taken.push(chunk);
            } else {
                lost.push(chunk);
            }
        }
        let evicted_spans = evicted.iter().map(|queued| queued.chunk.size.spans);
        let lost_spans = lost.iter().map(|chunk| chunk.size.spans);
        let spans = evicted_spans.chain(lost_spans).sum::<usize>() as u64;
        let detail = self.full();
        self.count_lost(&mut state, spans, Loss::QueueFull, &detail);
        if let Some(responder) = responder.as_ref().filter(|_| !lost.is_empty()) {
            responder.add(PartOutcome::unsent(Loss::QueueFull, detail));
        }
        if taken.is_empty() {
            drop(state);
        } else {
            self.enqueue(state, taken.into_iter(), taken_size, responder);
        }
        // Evicted chunks are answered for and freed here, without the lock.
        if !evicted.is_empty() {
            for responder in evicted
                .iter()
                .filter_map(|queued| queued.responder.as_ref())
            {
                responder.add(PartOutcome::unsent(Loss::QueueFull, self.full()));
            }
            drop(evicted);
            self.wake_waiters();
        }
        lost.is_empty()
    }

    /// Evicts the oldest chunks until there is room for `more`, if there can be.
    fn make_room(&self, state: &mut State, more: Size, evicted: &mut Vec<Queued>) {
        if !self.is_within(state.stats.in_flight, more) {
            return;
        }
        while !self.has_room(state, more)
            && let Some(oldest) = state.queued.pop_front()
        {
            state.stats.queued -= oldest.chunk.size;
            evicted.push(oldest);
        }
        if state.queued.is_empty() {
            state.oldest = None;
        }
    }

    fn full(&self) -> String {
        let (spans, bytes) = (self.max_spans, self.max_bytes);
        format!("the queue holds its limit of {spans} spans or {bytes} bytes")
    }

    fn enqueue(
        &self,
        mut state: MutexGuard<State>,
        chunks: impl Iterator<Item = Chunk>,
        size: Size,
        responder: Option<Arc<Responder>>,
    ) {
        #[cfg(test)]
        assert_ne!(self.agent, "http://panic");
        let had_enough = state.has_enough();
        let was_empty = state.queued.is_empty();
        for chunk in chunks {
            state.next_number += 1;
            let responder = responder.clone();
            state.queued.push_back(Queued { chunk, responder });
        }
        state.stats.queued += size;
        if responder.is_some() {
            state.urgent = state.next_number;
        }
        if was_empty {
            state.oldest = Some(Instant::now());
        }
        let wake = was_empty || responder.is_some() || !had_enough && state.has_enough();
        drop(state);
        if wake {
            self.wake_sender(|queue| queue.work.notify_one());
        }
    }

    /// Counts chunks as lost because no sender can be started for them.
    pub fn refuse(&self, chunks: &TraceChunks, responder: &Responder, error: &std::io::Error) {
        let detail = format!("the sender cannot be started: {error}");
        let mut state = self.lock();
        self.count_exported(&mut state, chunks);
        let spans = chunks.size().spans as u64;
        self.count_lost(&mut state, spans, Loss::Internal, &detail);
        drop(state);
        responder.add(PartOutcome::unsent(Loss::Internal, detail));
    }

    /// Has all chunks queued so far sent at once. The returned wait is over when they are settled.
    pub fn flush(self: &Arc<Self>) -> Waiter {
        let mut state = self.lock();
        state.urgent = state.next_number;
        let goal = WaitFor::Settled(state.next_number);
        drop(state);
        self.wake_sender(|queue| queue.work.notify_one());
        Waiter::new(Arc::clone(self), goal)
    }

    /// Takes no more chunks. The sender ends once the queue is empty.
    pub fn close(&self) {
        self.lock().closing = true;
        self.hasten();
        self.wake_sender(|queue| queue.work.notify_one());
    }

    /// Notes that the process or the exporter is about to end, so that nothing is sent later than it
    /// has to be.
    pub fn hasten(&self) {
        self.wake_sender(|queue| {
            queue.closing.send_replace(true);
        });
    }

    /// Waits until the process or the exporter is about to end.
    pub async fn closing(&self) {
        // Fails only if the sender of the channel is gone, which `self` owns.
        let _ = self.closing.subscribe().wait_for(|closing| *closing).await;
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
        self.lock().requests.take()
    }

    /// Describes the spans that are lost if the process ends now: how many, where they were going and
    /// why they are not there. Returns `None` if there are none that were exported since the last call.
    pub fn take_unsent_line(&self) -> Option<String> {
        let mut state = self.lock();
        let exported = state.stats.spans_exported;
        let since = exported - std::mem::replace(&mut state.described, exported);
        // Spans are sent in turn, so that the last ones are lost first.
        let spans = state.stats.unsettled().min(since);
        let cause = state
            .loss_log
            .current()
            .unwrap_or("it has not answered yet");
        let agent = &self.agent;
        (spans > 0).then(|| {
            format!(
                "{spans} spans are lost: the process ends before the agent at {agent} has taken them ({cause})"
            )
        })
    }

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

    fn has_room(&self, state: &State, more: Size) -> bool {
        let mut held = state.stats.queued;
        held += state.stats.in_flight;
        self.is_within(held, more)
    }

    fn is_within(&self, held: Size, more: Size) -> bool {
        held.spans + more.spans <= self.max_spans && held.memory + more.memory <= self.max_bytes
    }

    /// Counts chunks as handed over, and the spans that were refused before they became part of one
    /// as lost.
    fn count_exported(&self, state: &mut State, chunks: &TraceChunks) {
        let size = chunks.size();
        state.stats.spans_exported += size.spans as u64;
        state.stats.values_repaired += size.repaired as u64;
        state.stats.values_left_out += size.left_out as u64;
        let refused = chunks.refused();
        if refused.spans > 0 {
            let spans = refused.spans as u64;
            state.stats.spans_exported += spans;
            self.count_lost(state, spans, Loss::Invalid, &refused.problem);
        }
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

fn same_send(one: &Option<Arc<Responder>>, other: &Option<Arc<Responder>>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => Arc::ptr_eq(one, other),
        (None, None) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
