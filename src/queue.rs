//! The bounded queue between the threads that trace and the task that sends.
//!
//! One mutex guards what waits, what is in the air and what has been counted, so that the counts
//! add up at every moment. It is held for a few instructions at a time: chunks are moved, never
//! built, encoded or freed under it.

mod in_flight;
mod interrupt;
mod pending;
mod reply;

pub use in_flight::{Batch, Payload};
pub use interrupt::Interrupt;
pub use pending::{Goal, Pending};
pub use reply::{Answer, Reply, ReplySlot, ReplyTo};

use crate::chunks::{Share, TraceChunks};
use crate::config::{Config, WhenFull};
use crate::rates::Rates;
use crate::size::Size;
use crate::stats::{Loss, Stats, Times};
use crate::trouble::Trouble;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Thread;
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// With this much waiting, in bytes on the wire, the queue is sent before its time.
const ENOUGH_BYTES: usize = 1024 * 1024;

pub struct Queue {
    max_spans: usize,
    max_bytes: usize,
    when_full: WhenFull,
    max_payload_bytes: usize,
    flush_interval: Duration,
    shutdown_timeout: Duration,
    state: Mutex<State>,
    /// Wakes the sender.
    work: Notify,
    has_lines: AtomicBool,
    rates: Rates,
}

#[derive(Default)]
struct State {
    entries: VecDeque<Entry>,
    /// When the oldest entry came.
    oldest: Option<Instant>,
    /// Number that the next entry gets; they are numbered in the order they came.
    next: u64,
    /// Entries below this number are sent without waiting for their time.
    hurry: u64,
    /// Batches that have left the queue and are not answered for, each with its first entry.
    in_flight: Vec<u64>,
    /// What they hold, encoded payloads included.
    in_flight_size: Size,
    /// Threads to be woken at the next answer.
    waiters: Vec<Thread>,
    closing: bool,
    ended: bool,
    stats: Stats,
    times: Times,
    trouble: Trouble,
}

/// Has those who wait look again at what they wait for, once they can.
fn wake_waiters(mut state: MutexGuard<State>) {
    let waiters = std::mem::take(&mut state.waiters);
    drop(state);
    waiters.iter().for_each(Thread::unpark);
}

struct Entry {
    chunks: TraceChunks,
    reply: Option<ReplyTo>,
}

impl Queue {
    pub fn new(config: &Config) -> Self {
        Self {
            max_spans: config.max_queue_spans,
            max_bytes: config.max_queue_bytes,
            when_full: config.when_full,
            max_payload_bytes: config.max_payload_bytes,
            flush_interval: config.flush_interval,
            shutdown_timeout: config.shutdown_timeout,
            state: Mutex::default(),
            work: Notify::new(),
            has_lines: AtomicBool::new(false),
            rates: Rates::default(),
        }
    }

    /// The sampling rates that the agent sent last.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// Takes chunks in order while there is room, and counts the rest as lost. Whether all were
    /// taken.
    pub fn push(&self, mut chunks: TraceChunks, mut reply: Option<ReplyTo>) -> bool {
        chunks.close();
        let size = chunks.size();
        let mut state = self.lock();
        state.stats.spans_exported += size.spans as u64;
        state.stats.values_repaired += size.repaired as u64;
        state.stats.values_left_out += size.left_out as u64;
        let refused = chunks.refused();
        if refused.spans > 0 {
            let spans = refused.spans as u64;
            state.stats.spans_exported += spans;
            self.count_lost(&mut state, spans, Loss::Invalid, &refused.problem);
        }
        if state.closing {
            state.stats.dropped[Loss::Closed as usize] += size.spans as u64;
            drop(state);
            if let Some(reply) = &mut reply {
                let detail = "the exporter has been shut down".to_owned();
                reply.add(Reply::unsent(Loss::Closed, detail));
            }
            return false;
        }
        if size.spans == 0 {
            drop(state);
            if let Some(reply) = &mut reply {
                let body = String::new();
                reply.add(Reply::Accepted { body, chunks: 0 });
            }
            return true;
        }
        if self.has_room(&state, size) {
            self.enter(state, chunks, reply);
            return true;
        }
        let mut taken = TraceChunks::default();
        let mut evicted = Vec::new();
        while let Some(chunk) = chunks.first_size() {
            let mut together = taken.size();
            together += chunk;
            if self.when_full == WhenFull::DropOldest {
                self.make_room(&mut state, together, &mut evicted);
            }
            if !self.has_room(&state, together) {
                break;
            }
            if let Some(chunk) = chunks.pop_front() {
                taken.push_share(chunk);
            }
        }
        let lost = chunks.size().spans as u64;
        let all_lost = lost
            + evicted
                .iter()
                .map(|chunk| chunk.first_size().spans as u64)
                .sum::<u64>();
        let detail = self.full();
        self.count_lost(&mut state, all_lost, Loss::QueueFull, &detail);
        if lost > 0
            && let Some(reply) = &mut reply
        {
            reply.add(Reply::unsent(Loss::QueueFull, detail));
        }
        if taken.is_empty() {
            drop(state);
        } else {
            self.enter(state, taken, reply);
        }
        // What was evicted is answered for, and freed here, without the lock.
        if !evicted.is_empty() {
            wake_waiters(self.lock());
        }
        lost == 0
    }

    /// Gives up what has waited longest until there is room for `more`, if there can be.
    fn make_room(&self, state: &mut State, more: Size, evicted: &mut Vec<Share>) {
        let on_its_way = state.in_flight_size;
        if !self.is_within(on_its_way, more) {
            return;
        }
        while !self.has_room(state, more)
            && let Some(entry) = state.entries.front_mut()
        {
            if let Some(chunk) = entry.chunks.pop_front() {
                state.stats.queued -= chunk.first_size();
                if let Some(reply) = &mut entry.reply {
                    reply.add(Reply::unsent(Loss::QueueFull, self.full()));
                }
                evicted.push(chunk);
            }
            if entry.chunks.is_empty() {
                state.entries.pop_front();
            }
        }
        if state.entries.is_empty() {
            state.oldest = None;
        }
    }

    fn full(&self) -> String {
        let (spans, bytes) = (self.max_spans, self.max_bytes);
        format!("the queue holds its limit of {spans} spans or {bytes} bytes")
    }

    /// Counts chunks as lost that there is nobody to send.
    pub fn refuse(&self, chunks: TraceChunks, mut reply: ReplyTo, error: &std::io::Error) {
        let spans = chunks.size().spans as u64;
        let detail = format!("the sender cannot be started: {error}");
        let mut state = self.lock();
        state.stats.spans_exported += spans;
        self.count_lost(&mut state, spans, Loss::Internal, &detail);
        drop(state);
        reply.add(Reply::unsent(Loss::Internal, detail));
    }

    /// Asks for everything queued so far to be sent now. Returns the number to wait for with
    /// [`Goal::Answered`].
    pub fn hurry(&self) -> u64 {
        let mut state = self.lock();
        state.hurry = state.next;
        let goal = state.next;
        drop(state);
        self.work.notify_one();
        goal
    }

    /// Takes nothing more; what is queued is sent, and then the sender ends.
    pub fn close(&self) {
        self.lock().closing = true;
        self.work.notify_one();
    }

    pub fn shutdown_timeout(&self) -> Duration {
        self.shutdown_timeout
    }

    /// Whether nothing waits to be sent.
    pub fn is_empty(&self) -> bool {
        self.lock().entries.is_empty()
    }

    pub fn stats(&self) -> Stats {
        let state = self.lock();
        Stats {
            send_time_p50: state.times.median(),
            send_time_max: state.times.longest,
            ..state.stats.clone()
        }
    }

    /// Whether [`Queue::take_lines`] has something to tell. Costs one load.
    pub fn has_lines(&self) -> bool {
        self.has_lines.load(Ordering::Relaxed)
    }

    /// Lines for the log that have not been fetched yet.
    pub fn take_lines(&self) -> VecDeque<String> {
        let mut state = self.lock();
        self.has_lines.store(false, Ordering::Relaxed);
        state.trouble.take_lines()
    }

    /// For the sender: the next entries that are due, or `None` when the queue is closed and
    /// empty.
    pub async fn next(self: &Arc<Self>) -> Option<Batch> {
        loop {
            let due = match self.take_due() {
                Take::Batch(batch) => return Some(batch),
                Take::Closed => return None,
                Take::Later(due) => due,
            };
            match due {
                Some(due) => tokio::select! {
                    () = self.work.notified() => {}
                    () = tokio::time::sleep_until(due.into()) => {}
                },
                None => self.work.notified().await,
            }
        }
    }

    /// The sender could not be started; what is queued stays there.
    pub fn cannot_send(&self, error: &std::io::Error) {
        self.lock().stats.last_error = Some(format!("the sender cannot be started: {error}"));
    }

    /// Nothing more will be sent, usually because everything has been.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        let unsent = std::mem::take(&mut state.entries);
        let spans = std::mem::take(&mut state.stats.queued).spans;
        if spans > 0 {
            let detail = "the sender could not be started";
            self.count_lost(&mut state, spans as u64, Loss::Internal, detail);
        }
        drop(state);
        // Replies are handed in before those who wait for them are woken.
        drop(unsent);
        wake_waiters(self.lock());
    }

    fn take_due(self: &Arc<Self>) -> Take {
        let mut state = self.lock();
        let first = state.next - state.entries.len() as u64;
        let Some(oldest) = state.oldest else {
            return if state.closing {
                Take::Closed
            } else {
                Take::Later(None)
            };
        };
        let due = oldest + self.flush_interval;
        let now = state.closing || first < state.hurry || enough(state.stats.queued);
        if !now && Instant::now() < due {
            return Take::Later(Some(due));
        }

        let mut chunks = Vec::new();
        let mut size = Size::default();
        let mut reply = None;
        while let Some(entry) = state.entries.front() {
            let together = size.wire + entry.chunks.size().wire;
            // An answer is about one send: it gets payloads of its own.
            let apart = entry.reply.is_some() || reply.is_some();
            if !chunks.is_empty() && (apart || together > self.max_payload_bytes) {
                break;
            }
            if let Some(entry) = state.entries.pop_front() {
                size += entry.chunks.size();
                chunks.push(entry.chunks);
                reply = entry.reply;
            }
        }
        if state.entries.is_empty() {
            state.oldest = None;
        }
        state.stats.queued -= size;
        state.in_flight_size += size;
        state.in_flight.push(first);
        let queue = Arc::clone(self);
        Take::Batch(Batch::new(queue, first, chunks, reply))
    }

    fn has_room(&self, state: &State, more: Size) -> bool {
        let mut held = state.stats.queued;
        held += state.in_flight_size;
        self.is_within(held, more)
    }

    fn is_within(&self, held: Size, more: Size) -> bool {
        held.spans + more.spans <= self.max_spans && held.memory + more.memory <= self.max_bytes
    }

    fn enter(&self, mut state: MutexGuard<State>, chunks: TraceChunks, reply: Option<ReplyTo>) {
        let had_enough = enough(state.stats.queued);
        let was_empty = state.entries.is_empty();
        state.next += 1;
        if reply.is_some() {
            state.hurry = state.next;
        }
        if was_empty {
            state.oldest = Some(Instant::now());
        }
        state.stats.queued += chunks.size();
        let wake = was_empty || reply.is_some() || !had_enough && enough(state.stats.queued);
        state.entries.push_back(Entry { chunks, reply });
        drop(state);
        if wake {
            self.work.notify_one();
        }
    }

    fn count_lost(&self, state: &mut State, spans: u64, loss: Loss, detail: &str) {
        state.stats.dropped[loss as usize] += spans;
        state.stats.last_error = Some(detail.to_owned());
        state.trouble.lost(spans, loss, detail);
        self.has_lines
            .store(state.trouble.has_lines(), Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No code under the lock can leave the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn enough(queued: Size) -> bool {
    queued.wire >= ENOUGH_BYTES
}

enum Take {
    Batch(Batch),
    Later(Option<Instant>),
    Closed,
}
