//! Process shutdown: flushes all exporters within one time budget, however many exit hooks run.
//!
//! The order of exit hooks depends on what was loaded first, so that spans may be exported after
//! the first flush.

use crate::process::ProcessLocal;
use crate::queue::{Queue, Waiter};
use crate::runtime::Runtime;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

static BUDGET: ProcessLocal<Budget> = ProcessLocal::new();

/// What the shutdown of this process has used and reported so far.
#[derive(Default)]
struct Budget {
    used_us: AtomicU64,
    /// Spans that had been exported when losses were last reported.
    reported: AtomicU64,
}

impl Budget {
    fn get() -> &'static Self {
        let Ok(budget) = BUDGET.get_or_try_init(|| Ok::<_, Infallible>(Self::default()));
        budget
    }
}

/// Sends what all exporters of this process have queued, exporters already freed included, in what
/// is left of the longest of their shutdown timeouts.
pub struct FinalFlush {
    queues: Vec<Arc<Queue>>,
    waiters: Vec<Waiter>,
    began: Instant,
    limit: Duration,
}

impl FinalFlush {
    /// Starts to send. Waiting is up to the caller.
    pub fn begin() -> Self {
        let queues = Runtime::started().map(Runtime::queues).unwrap_or_default();
        queues.iter().for_each(|queue| queue.hasten());
        let limit = queues.iter().map(|queue| queue.shutdown_timeout()).max();
        let used = Duration::from_micros(Budget::get().used_us.load(Ordering::Relaxed));
        Self {
            waiters: queues.iter().map(Queue::flush).collect(),
            queues,
            began: Instant::now(),
            limit: limit.unwrap_or_default().saturating_sub(used),
        }
    }

    /// Returns what to wait for.
    pub fn waiters(&self) -> &[Waiter] {
        &self.waiters
    }

    /// Returns how long to wait for it.
    pub fn time_left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    /// Returns the number of spans that are lost if the process ends now.
    pub fn unsent(&self) -> u64 {
        self.waiters.iter().map(Waiter::unsettled).sum()
    }

    /// Returns how many of the unsent spans have not been reported yet, and marks all as reported.
    pub fn take_unreported(&self) -> u64 {
        let exported = self.queues.iter().map(|queue| queue.stats().spans_exported);
        let exported = exported.sum::<u64>();
        let reported = Budget::get().reported.swap(exported, Ordering::Relaxed);
        // Spans are sent in turn, so that the last ones are lost first.
        self.unsent().min(exported.saturating_sub(reported))
    }
}

impl Drop for FinalFlush {
    fn drop(&mut self) {
        let used = self.began.elapsed().as_micros() as u64;
        Budget::get().used_us.fetch_add(used, Ordering::Relaxed);
    }
}

/// Waits for what was exported after the first flush, at the last moment of the process. No logger
/// is left by then to be told what is lost.
pub fn at_process_end() {
    let flush = FinalFlush::begin();
    for waiter in flush.waiters() {
        waiter.wait(flush.time_left());
    }
    let lost = flush.take_unreported();
    if lost > 0 {
        eprintln!("datadog-native-export: {lost} spans are lost: the process ends");
    }
}
