//! The time that a payload has, in a process that may be stopped.

use std::time::Duration;
use tokio::time::Instant;

/// Lateness of a timer from which on a stop is assumed; a busy machine delays them by less.
const STOPPED: Duration = Duration::from_millis(300);
/// Enough for the longest pause of the breaker and the turns of a few payloads.
const ONE_MORE_ATTEMPT: Duration = Duration::from_secs(3);

/// Time after which no further attempt is made.
///
/// A wait that ends much later than it had to shows that the process was stopped meanwhile: by a
/// signal, with its container, or with its machine. Time lost that way does not count. The first
/// time, at least [`ONE_MORE_ATTEMPT`] is left, so that nothing is lost without an attempt after the
/// stop.
pub struct Deadline {
    pub at: Instant,
    was_stopped: bool,
}

impl Deadline {
    pub fn new(time: Duration) -> Self {
        Self {
            at: Instant::now() + time,
            was_stopped: false,
        }
    }

    /// Checks a wait that was to end at `due`. Returns whether the process was stopped meanwhile.
    pub fn note_stop(&mut self, due: Instant) -> bool {
        let now = Instant::now();
        let late = now.saturating_duration_since(due);
        if late < STOPPED {
            return false;
        }
        self.at += late;
        if !std::mem::replace(&mut self.was_stopped, true) {
            self.at = self.at.max(now + ONE_MORE_ATTEMPT);
        }
        true
    }
}
