//! Waiting for the pipeline without holding up Ruby.

use crate::ruby::{check_interrupts, without_gvl};
use magnus::Error;
use pipeline::queue::Pending;
use std::time::{Duration, Instant};

/// Ruby 3.1 does not always wake a waiting thread at a signal when another Ruby thread is alive,
/// so that no wait is longer than this.
const SLICE: Duration = Duration::from_millis(100);

/// Waits for `pending` with the GVL released, at most for `limit`. Whether it came to an end. Looks
/// at least once, however short the limit.
///
/// # Errors
/// What Ruby raises in this thread meanwhile (`Thread#kill`, `Timeout`, Ctrl-C). A signal that is
/// merely handled changes nothing. What is being sent goes on in either case.
pub fn wait(pending: &Pending, limit: Option<Duration>) -> Result<bool, Error> {
    if pending.wait(Duration::ZERO) {
        return Ok(true);
    }
    let deadline = limit.and_then(|limit| Instant::now().checked_add(limit));
    loop {
        let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let slice = left.unwrap_or(SLICE).min(SLICE);
        let done = without_gvl(|interrupt| pending.wait_unless(interrupt, slice))?;
        check_interrupts()?;
        if pending.is_inherited() {
            // A signal handler has forked, and this is the child: nobody serves that queue here.
            return Ok(false);
        }
        if done == Some(true) {
            return Ok(true);
        }
        if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Ok(false);
        }
    }
}
