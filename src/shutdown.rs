//! Process shutdown: flushes all exporters within one time budget, however many exit hooks run.
//!
//! The order of exit hooks depends on what was loaded first, so that spans may be exported after
//! the first flush.

use crate::process::ProcessLocal;
use crate::queue::{Queue, Waiter};
use crate::runtime::Runtime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Microseconds that the shutdown of this process has waited so far.
static USED_US: ProcessLocal<AtomicU64> = ProcessLocal::new();

fn used() -> &'static AtomicU64 {
    USED_US.get_or_init(AtomicU64::default)
}

/// Sends what all exporters of this process have queued, exporters already freed included, in what
/// is left of the longest of their shutdown timeouts.
pub struct FinalFlush {
    waiters: Vec<Waiter>,
    began: Instant,
    limit: Duration,
}

impl FinalFlush {
    /// Starts to send. Waiting is up to the caller.
    pub fn begin() -> Self {
        let queues = queues();
        queues.iter().for_each(|queue| queue.note_ending());
        let limit = queues.iter().map(|queue| queue.shutdown_timeout()).max();
        let used_time = Duration::from_micros(used().load(Ordering::Relaxed));
        Self {
            waiters: queues.iter().map(Queue::flush).collect(),
            began: Instant::now(),
            limit: limit.unwrap_or_default().saturating_sub(used_time),
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
}

impl Drop for FinalFlush {
    fn drop(&mut self) {
        let waited = self.began.elapsed().as_micros() as u64;
        used().fetch_add(waited, Ordering::Relaxed);
    }
}

/// Describes the spans that are lost if the process ends now, by exporter, except those that were
/// described before.
pub fn take_unsent_lines() -> Vec<String> {
    let queues = queues();
    let lines = queues.iter().filter_map(|queue| queue.take_unsent_line());
    lines.collect()
}

fn queues() -> Vec<Arc<Queue>> {
    Runtime::started().map(Runtime::queues).unwrap_or_default()
}

/// Waits for what was exported after the first flush, at the last moment of the process. No logger
/// is left by then to be told what is lost.
pub fn at_process_end() {
    let flush = FinalFlush::begin();
    for waiter in flush.waiters() {
        waiter.wait(flush.time_left());
    }
    for line in take_unsent_lines() {
        eprintln!("datadog-native-export: {line}");
    }
}
