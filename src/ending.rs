//! The end of the process: one time for all exporters, however often what is left is waited for.
//!
//! What runs at exit is asked in an order that depends on who was loaded first, so that spans may be
//! exported after the first flush.

use crate::exporter::flush;
use crate::queue::{Pending, Queue};
use crate::runtime::Runtime;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// What the end of a process has done so far.
#[derive(Default)]
pub struct Ending {
    waited_us: AtomicU64,
    /// Spans that were exported when it was last told how many are lost.
    told_of: AtomicU64,
}

/// Sends what all exporters of this process have queued, forgotten ones included, in what is left
/// of the longest of their shutdown timeouts.
pub struct LastFlush {
    runtime: Option<&'static Runtime>,
    queues: Vec<Arc<Queue>>,
    pending: Vec<Pending>,
    began: Instant,
    limit: Duration,
}

impl LastFlush {
    pub fn begin() -> Self {
        let runtime = Runtime::started();
        let queues = runtime.map(Runtime::queues).unwrap_or_default();
        let limit = queues.iter().map(|queue| queue.shutdown_timeout()).max();
        let waited = runtime.map_or(0, |runtime| {
            runtime.ending().waited_us.load(Ordering::Relaxed)
        });
        Self {
            runtime,
            pending: queues.iter().map(Arc::clone).map(flush).collect(),
            queues,
            began: Instant::now(),
            limit: limit
                .unwrap_or_default()
                .saturating_sub(Duration::from_micros(waited)),
        }
    }

    /// What to wait for.
    pub fn pending(&self) -> &[Pending] {
        &self.pending
    }

    /// How long to wait for it.
    pub fn left(&self) -> Duration {
        self.limit.saturating_sub(self.began.elapsed())
    }

    /// Spans that are lost when the process ends now.
    pub fn unsent(&self) -> u64 {
        self.pending.iter().map(Pending::unsettled).sum()
    }

    /// Of the spans that are lost those that were exported since this was last called.
    pub fn untold(&self) -> u64 {
        let Some(runtime) = self.runtime else {
            return 0;
        };
        let exported = self.queues.iter().map(|queue| queue.stats().spans_exported);
        let exported = exported.sum::<u64>();
        let told = runtime.ending().told_of.swap(exported, Ordering::Relaxed);
        // They are sent in turn, so that the last ones are lost first.
        self.unsent().min(exported.saturating_sub(told))
    }
}

impl Drop for LastFlush {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime {
            let waited = self.began.elapsed().as_micros() as u64;
            runtime
                .ending()
                .waited_us
                .fetch_add(waited, Ordering::Relaxed);
        }
    }
}

/// The last moment of a process: waits for what was exported after the first flush. There is no
/// logger any more to tell of what is lost.
pub fn drain() {
    let flush = LastFlush::begin();
    for pending in flush.pending() {
        pending.wait(flush.left());
    }
    let lost = flush.untold();
    if lost > 0 {
        eprintln!("datadog-native-export: {lost} spans are lost: the process ends");
    }
}
