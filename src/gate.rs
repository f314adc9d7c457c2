//! One request at a time, and none at all for a while after the agent could not be reached.
//!
//! However many payloads wait, an agent that is down sees one request for each growing wait; when it
//! answers again all of them go on.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

pub struct Gate {
    turn: Semaphore,
    down: Mutex<Option<Down>>,
    up: Notify,
}

struct Down {
    cause: String,
    wait: Duration,
    until: Instant,
}

impl Gate {
    pub fn new() -> Self {
        Self {
            turn: Semaphore::new(1),
            down: Mutex::new(None),
            up: Notify::new(),
        }
    }

    /// Waits for the turn to make a request; the next one waits until the permit is dropped.
    ///
    /// # Errors
    /// Why the agent cannot be reached, when `deadline` comes first.
    pub async fn enter(&self, deadline: Instant) -> Result<SemaphorePermit<'_>, String> {
        loop {
            let up = self.up.notified();
            if let Some(until) = self.closed_until() {
                tokio::select! {
                    () = up => {}
                    () = tokio::time::sleep_until(until.min(deadline)) => {}
                }
                if until > deadline && Instant::now() >= deadline {
                    return Err(self.cause());
                }
                continue;
            }
            let turn = tokio::time::timeout_at(deadline, self.turn.acquire()).await;
            let Ok(Ok(permit)) = turn else {
                return Err(self.cause());
            };
            // Whoever had the turn may have found the agent down.
            if self.closed_until().is_none() {
                return Ok(permit);
            }
        }
    }

    /// The agent answered.
    pub fn reached(&self) {
        if self.down().take().is_some() {
            self.up.notify_waiters();
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
