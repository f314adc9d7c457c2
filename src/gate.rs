//! One request at a time, and none at all for a while after the agent could not be reached.
//!
//! However many payloads wait, an agent that is down sees one request for each growing wait; when it
//! answers again all of them go on.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub struct Gate {
    turn: Semaphore,
    /// Deliveries that have their turn or wait for it.
    inside: AtomicUsize,
    down: Mutex<Option<Down>>,
    changed: Notify,
}

struct Down {
    cause: String,
    wait: Duration,
    until: Instant,
}

/// The turn to make a request; the next one waits until it is dropped.
pub struct Turn<'a> {
    _permit: SemaphorePermit<'a>,
    _inside: Inside<'a>,
}

struct Inside<'a>(&'a Gate);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

impl Gate {
    pub fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            inside: AtomicUsize::new(0),
            down: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    /// Waits until a request could be made at once. What comes meanwhile is better off in the queue,
    /// where it is merged with others, can still be given up for newer data, and has all of its time
    /// before it.
    pub async fn vacant(&self) {
        loop {
            let changed = self.changed.notified();
            let closed_until = self.closed_until();
            if closed_until.is_none() && self.inside.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(closed_until.unwrap_or_else(Instant::now)),
                    if closed_until.is_some() => {}
            }
        }
    }

    /// Waits for the turn to make a request.
    ///
    /// # Errors
    /// Why the agent cannot be reached, when `deadline` comes first.
    pub async fn enter(&self, deadline: Instant) -> Result<Turn<'_>, String> {
        self.inside.fetch_add(1, Ordering::Relaxed);
        let inside = Inside(self);
        loop {
            if Instant::now() >= deadline {
                return Err(self.cause());
            }
            let changed = self.changed.notified();
            if let Some(until) = self.closed_until() {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(until.min(deadline)) => {}
                }
                continue;
            }
            let permit = tokio::time::timeout_at(deadline, self.turn.acquire()).await;
            let Ok(Ok(permit)) = permit else {
                return Err(self.cause());
            };
            // Whoever had the turn may have found the agent down.
            if self.closed_until().is_none() {
                return Ok(Turn {
                    _permit: permit,
                    _inside: inside,
                });
            }
        }
    }

    /// The agent answered.
    pub fn reached(&self) {
        if self.down().take().is_some() {
            self.changed.notify_waiters();
        }
    }

    /// The agent did not answer; nobody asks it again for a while.
    pub fn unreachable(&self, cause: &str) {
        let mut down = self.down();
        let wait = match &*down {
            Some(down) => (down.wait * 2).min(LONGEST_WAIT),
            None => FIRST_WAIT,
        };
        *down = Some(Down {
            cause: cause.to_owned(),
            wait,
            until: Instant::now() + crate::delivery::jittered(wait),
        });
    }

    fn closed_until(&self) -> Option<Instant> {
        let until = self.down().as_ref()?.until;
        (until > Instant::now()).then_some(until)
    }

    fn cause(&self) -> String {
        let down = self.down();
        down.as_ref().map_or_else(
            || "the time for it was over before its turn came".into(),
            |down| down.cause.clone(),
        )
    }

    fn down(&self) -> MutexGuard<'_, Option<Down>> {
        self.down.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
