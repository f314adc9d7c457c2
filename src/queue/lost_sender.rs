//! A sender that cannot be woken any more, because the application has closed the descriptors that it
//! needs.

use super::{Queue, State};
use crate::config::Config;
use crate::process::descriptors::Descriptors;
use crate::process::panics;
use crate::report::stats::Loss;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

impl Queue {
    /// Creates a queue in place of one whose sender is lost. Queued chunks and all counts are moved to
    /// it; what is in flight is lost.
    pub fn in_place_of(lost: &Self, config: &Config) -> Self {
        let mut state = lost.lock();
        let queued = std::mem::take(&mut state.queued);
        // Whatever becomes of it, its loss is counted here.
        state.in_flight.clear();
        let flushes = state.lose_statistics();
        let successor = Self {
            rates: Arc::clone(&lost.rates),
            state: Mutex::new(State {
                oldest: state.oldest.take(),
                next_number: queued.len() as u64,
                urgent: queued.len() as u64,
                queued,
                flushes,
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
    pub(super) fn wake_sender(&self, notify: impl FnOnce(&Self)) {
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
}
