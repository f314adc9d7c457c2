//! Circuit breaker: one request at a time, and none for a while after the agent could not be
//! reached.
//!
//! However many payloads wait, an agent that is down sees one request for each growing pause. Once
//! it answers again, all of them go on.

use super::backoff::Backoff;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;

pub struct Breaker {
    requests: Semaphore,
    /// Deliveries that hold a permit or wait for one.
    busy: AtomicUsize,
    outage: Mutex<Option<Outage>>,
    changed: Notify,
}

/// The agent cannot be reached.
struct Outage {
    cause: String,
    backoff: Backoff,
    /// When the next request may be made.
    until: Instant,
}

/// Permission to make one request. The next one waits until it is dropped.
pub struct Permit<'a> {
    _permit: SemaphorePermit<'a>,
    _busy: Busy<'a>,
}

struct Busy<'a>(&'a Breaker);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
        self.0.changed.notify_waiters();
    }
}

impl Breaker {
    pub fn new() -> Self {
        Self {
            requests: Semaphore::new(1),
            busy: AtomicUsize::new(0),
            outage: Mutex::new(None),
            changed: Notify::new(),
        }
    }

    /// Waits until a request could be made at once.
    ///
    /// Until then chunks are better left in the queue, where they are merged with others, can be
    /// evicted for newer ones, and don't use up their time to be retried.
    pub async fn ready(&self) {
        loop {
            let changed = self.changed.notified();
            let open_until = self.open_until();
            if open_until.is_none() && self.busy.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::select! {
                () = changed => {}
                () = tokio::time::sleep_until(open_until.unwrap_or_else(Instant::now)),
                    if open_until.is_some() => {}
            }
        }
    }

    /// Waits for permission to make a request.
    ///
    /// # Errors
    /// When `deadline` comes first: why the agent cannot be reached.
    pub async fn acquire(&self, deadline: Instant) -> Result<Permit<'_>, String> {
        self.busy.fetch_add(1, Ordering::Relaxed);
        let busy = Busy(self);
        loop {
            if Instant::now() >= deadline {
                return Err(self.cause());
            }
            let changed = self.changed.notified();
            if let Some(until) = self.open_until() {
                tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(until.min(deadline)) => {}
                }
                continue;
            }
            let permit = tokio::time::timeout_at(deadline, self.requests.acquire()).await;
            let Ok(Ok(permit)) = permit else {
                return Err(self.cause());
            };
            // The previous holder may have found that the agent is down.
            if self.open_until().is_none() {
                return Ok(Permit {
                    _permit: permit,
                    _busy: busy,
                });
            }
        }
    }

    /// Notes that the agent answered.
    pub fn reached(&self) {
        if self.outage().take().is_some() {
            self.changed.notify_waiters();
        }
    }

    /// Notes that the agent did not answer. Returns until when no request is made.
    pub fn unreachable(&self, cause: &str) -> Instant {
        let mut outage = self.outage();
        let mut backoff = outage
            .take()
            .map_or_else(Backoff::new, |outage| outage.backoff);
        let until = Instant::now() + backoff.next_pause();
        *outage = Some(Outage {
            cause: cause.to_owned(),
            until,
            backoff,
        });
        until
    }

    /// Returns until when no request may be made, if there is such a time.
    fn open_until(&self) -> Option<Instant> {
        let until = self.outage().as_ref()?.until;
        (until > Instant::now()).then_some(until)
    }

    fn cause(&self) -> String {
        self.outage().as_ref().map_or_else(
            || "the time for it was over before its turn came".into(),
            |outage| outage.cause.clone(),
        )
    }

    fn outage(&self) -> MutexGuard<'_, Option<Outage>> {
        self.outage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::pin;
    use std::time::Duration;

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(5)
    }

    /// Returns whether the future is ready without time passing.
    async fn is_ready(future: impl Future) -> bool {
        tokio::time::timeout(Duration::ZERO, future).await.is_ok()
    }

    #[tokio::test(start_paused = true)]
    async fn one_request_is_permitted_at_a_time() {
        let breaker = Breaker::new();
        let permit = breaker.acquire(soon()).await.unwrap();
        assert!(!is_ready(breaker.acquire(soon())).await);
        assert!(!is_ready(breaker.ready()).await);
        drop(permit);
        assert!(is_ready(breaker.ready()).await);
        assert!(is_ready(breaker.acquire(soon())).await);
    }

    #[tokio::test(start_paused = true)]
    async fn after_failures_nothing_is_permitted_for_growing_pauses() {
        let breaker = Breaker::new();
        for bound in [100, 200, 400, 800, 1_000, 1_000].map(Duration::from_millis) {
            breaker.unreachable("refused");
            let began = Instant::now();
            drop(breaker.acquire(soon()).await.unwrap());
            let waited = began.elapsed();
            // Timers have a resolution of a millisecond.
            let range = bound / 2..=bound + Duration::from_millis(1);
            assert!(range.contains(&waited), "{waited:?} of {bound:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_lets_all_go_on_and_starts_the_pauses_anew() {
        let breaker = Breaker::new();
        for _ in 0..5 {
            breaker.unreachable("refused");
        }
        let mut waiting = pin!(breaker.acquire(soon()));
        assert!(!is_ready(&mut waiting).await);
        breaker.reached();
        assert!(is_ready(&mut waiting).await);
        breaker.unreachable("refused");
        let began = Instant::now();
        drop(breaker.acquire(soon()).await);
        assert!(began.elapsed() <= Duration::from_millis(101));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_beyond_the_deadline_is_told_why() {
        let breaker = Breaker::new();
        let _permit = breaker.acquire(soon()).await.unwrap();
        let late = breaker.acquire(soon()).await.err().unwrap();
        assert!(late.contains("before its turn came"), "{late}");
        breaker.unreachable("connection refused");
        let down = breaker.acquire(Instant::now()).await;
        assert_eq!(down.err().as_deref(), Some("connection refused"));
    }
}
