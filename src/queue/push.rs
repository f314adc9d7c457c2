//! The way into the queue, and its bounds.

use super::{PartOutcome, Queue, Queued, Responder, State};
use crate::config::WhenFull;
use crate::report::stats::Loss;
use crate::span::{Chunk, Size, TraceChunks};
use std::sync::{Arc, MutexGuard};
use tokio::time::Instant;

impl Queue {
    /// Queues chunks in order while there is room, and counts the rest as lost. Returns whether all
    /// were queued.
    pub fn push(&self, chunks: TraceChunks, responder: Option<Arc<Responder>>) -> bool {
        let size = chunks.size();
        let mut state = self.lock();
        self.count_exported(&mut state, &chunks);
        let (is_taken, part) = if state.closing {
            state.stats.dropped[Loss::Closed as usize] += size.spans as u64;
            let detail = "the exporter has been shut down".to_owned();
            (false, PartOutcome::unsent(Loss::Closed, detail))
        } else if size.spans == 0 {
            let (body, chunks) = (String::new(), 0);
            (true, PartOutcome::Accepted { body, chunks })
        } else if let Some(detail) = state.finished.clone() {
            self.count_lost(&mut state, size.spans as u64, Loss::Internal, &detail);
            (false, PartOutcome::unsent(Loss::Internal, detail))
        } else if self.has_room(&state, size) {
            self.enqueue(state, chunks.into_chunks(), size, responder);
            return true;
        } else {
            return self.push_what_fits(state, chunks.into_chunks(), responder);
        };
        drop(state);
        if let Some(responder) = responder {
            responder.add(part);
        }
        is_taken
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
            // Once a chunk is lost those after it are, too, so that what arrives of a list is its beginning.
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
        assert_ne!(self.address, "http://panic");
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
        if let Some(example) = chunks.left_out() {
            state.loss_log.left_out(example);
            self.note_lines(state);
        }
    }
}
