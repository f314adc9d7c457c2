//! Statistics that are computed from the spans on their way out, and when they have to be sent.
//!
//! They are sent every ten seconds by themselves, and at once by a flush: when all chunks queued
//! before it have been taken out of the queue, and so have been counted.

use super::{Queue, State};
use std::collections::VecDeque;
use std::sync::Arc;

/// How far flushes of statistics have come.
#[derive(Default)]
pub(super) struct Flushes {
    /// For each that was asked for and has not begun, the number of the first chunk that it doesn't wait
    /// for.
    asked: VecDeque<u64>,
    /// Number of the latest that has begun.
    begun: u64,
    /// Number of the latest that is over.
    done: u64,
    /// Requests with statistics begun.
    requests: u64,
    /// Requests begun when those that are lost with the process were last described.
    described: u64,
}

impl Flushes {
    /// Returns whether a flush, and with it all before it, is over.
    pub fn is_done(&self, number: u64) -> bool {
        self.done >= number
    }

    /// Returns the number of the flush to begin with, if one is asked for whose chunks have all left the
    /// queue. `first` is the number of the first chunk that has not.
    pub fn begin(&mut self, first: u64) -> Option<u64> {
        let ready = self.asked.iter().take_while(|after| **after <= first);
        let ready = ready.count();
        self.asked.drain(..ready);
        self.begun += ready as u64;
        (ready > 0).then_some(self.begun)
    }

    /// Returns the number of the latest that was asked for.
    fn latest(&self) -> u64 {
        self.begun + self.asked.len() as u64
    }
}

/// A flush of statistics under way. It is over when it is dropped, also if the sender panics.
pub struct Flush {
    queue: Arc<Queue>,
    number: u64,
}

impl Drop for Flush {
    fn drop(&mut self) {
        let mut state = self.queue.lock();
        state.flushes.done = state.flushes.done.max(self.number);
        drop(state);
        self.queue.wake_waiters();
    }
}

impl State {
    /// Counts requests with statistics as lost that are under way. Returns where to go on from.
    pub(super) fn lose_statistics(&mut self) -> Flushes {
        let requests = self.flushes.requests;
        self.stats.stats_payloads_dropped = requests - self.stats.stats_payloads_sent;
        Flushes {
            requests,
            described: requests,
            ..Flushes::default()
        }
    }
}

impl Queue {
    /// Asks for a flush of statistics, if spans may have been counted. Returns its number.
    pub(super) fn ask_for_statistics(&self, state: &mut State) -> u64 {
        if self.has_statistics && state.next_number > 0 && state.finished.is_none() {
            let after = state.next_number;
            state.flushes.asked.push_back(after);
        }
        state.flushes.latest()
    }

    /// Returns what ends the wait for a flush of statistics once it is dropped, when what was counted
    /// before the flush is sent or lost.
    pub fn statistics_flush(self: &Arc<Self>, number: u64) -> Flush {
        let queue = Arc::clone(self);
        Flush { queue, number }
    }

    /// Notes that a request with statistics begins.
    pub fn statistics_begin(&self) {
        self.lock().flushes.requests += 1;
    }

    /// Returns how many requests with statistics are neither sent nor lost, of those that have begun
    /// since the last call.
    pub(super) fn undescribed_statistics(&self, state: &mut State) -> u64 {
        let requests = state.flushes.requests;
        let since = requests - std::mem::replace(&mut state.flushes.described, requests);
        let stats = &state.stats;
        since.min(requests - stats.stats_payloads_sent - stats.stats_payloads_dropped)
    }

    /// Counts a request with statistics that the agent accepted.
    pub fn statistics_sent(&self) {
        let mut state = self.lock();
        state.stats.stats_payloads_sent += 1;
        state.loss_log.statistics_sent();
        self.note_lines(&state);
    }

    /// Counts a request with statistics that is lost.
    pub fn statistics_lost(&self, detail: &str) {
        let mut state = self.lock();
        state.stats.stats_payloads_dropped += 1;
        state.stats.last_error = Some(detail.to_owned());
        state.loss_log.statistics_lost(detail);
        self.note_lines(&state);
    }
}
