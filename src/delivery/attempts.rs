//! Delivery of one payload: which requests are repeated, when and for how long, and what came of
//! them.
//!
//! The request with the payload that is made within [`Delivery::send`] comes to [`Delivery::run`].
//! That hands accepted answers back to the trace exporter and never returns otherwise, so that the
//! exporter's own retries don't begin; `send` then drops the exporter's future. What the request
//! doesn't hold, or all if there is none, was left out by the trace exporter on purpose.
//!
//! | answer | consequence |
//! | --- | --- |
//! | 2xx | accepted, but for what a partial success of OTLP says |
//! | 413, several chunks in the v0.4 format | both halves are sent on their own |
//! | 408, 429, 5xx | repeated after a pause, or after `Retry-After` if that is longer |
//! | any other | refused |
//! | none (connection failed, timeout) | repeated after a pause; the breaker opens |
//!
//! - An answer whose status has come is an answer, even if its body cannot be read.
//! - No attempt begins after the retry deadline, but one that has begun has all of its time: a
//!   request that is cut short may have arrived.
//! - A request that timed out may have arrived too, and its answer may still come. It is listened
//!   for until the end of the next attempt, which is not made if the answer comes before.
//! - Each request has one outcome, which is known when no answer to it is listened for any more.
//! - Time in which the process was stopped does not count, see [`Deadline`].

use super::answer::{agent_state, may_succeed_later, retry_after, text};
use super::backoff::Backoff;
use super::breaker::{Breaker, Permit};
use super::capability::DELIVERY;
use super::deadline::Deadline;
use super::failure;
use super::http_client::{Body, BoxFuture, HttpClient, NoAnswer, read_body};
use super::late_answer::LateAnswer;
use super::made_request::MadeRequest;
use super::partial_success::partial_success;
use super::payload::{self, Part};
use crate::config::Config;
use crate::process::panics;
use crate::queue::{Accepted, Count, Failure, Outcome, Tracker};
use crate::report::stats::Loss;
use bytes::Bytes;
use http::{Request, Response};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long an answer that came while the process was stopped may take to be read, or to be sent
/// again by the other end's kernel.
const READ_AFTER_STOP: Duration = Duration::from_secs(1);
/// Timers that are this far apart run in their order.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);

/// One payload on its way.
pub struct Delivery {
    config: Arc<Config>,
    http: Arc<dyn HttpClient>,
    breaker: Arc<Breaker>,
    tracker: Tracker,
    /// What is handed to the trace exporter.
    count: Count,
    outcome: Mutex<Outcome>,
    /// No part of the payload was accepted.
    failed: Notify,
}

impl Delivery {
    pub fn new(
        config: Arc<Config>,
        http: Arc<dyn HttpClient>,
        breaker: Arc<Breaker>,
        tracker: Tracker,
        count: Count,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            http,
            breaker,
            tracker,
            count,
            outcome: Mutex::default(),
            failed: Notify::new(),
        })
    }

    /// Drives `exporting`, which makes the request, and returns what became of the payload.
    pub async fn send<T, E: std::fmt::Display>(
        self: Arc<Self>,
        exporting: impl Future<Output = Result<T, E>>,
    ) -> Outcome {
        let exporting = DELIVERY.scope(Arc::clone(&self), exporting);
        let result = tokio::select! {
            biased;
            () = self.failed.notified() => None,
            result = exporting => result.err(),
        };
        let mut outcome = std::mem::take(&mut *self.outcome());
        if outcome.accepted.is_empty() && outcome.failures.is_empty() {
            match result {
                Some(error) => outcome.failures.push(Failure {
                    spans: self.count.spans,
                    loss: Loss::Internal,
                    detail: failure::shown(&self.config, &error.to_string()),
                    answer: None,
                }),
                None => outcome.sampled_out = self.count,
            }
        }
        outcome
    }

    /// Returns whether a request carries the payload. The trace exporter may make others meanwhile.
    pub fn is_payload(&self, request: &Request<Bytes>) -> bool {
        payload::is_payload(&self.config, request)
    }

    /// Delivers the payload that `request` carries, in parts if need be. Returns the last answer
    /// that accepted one, and never if there was none.
    pub async fn run(&self, mut request: Request<Bytes>) -> Response<Bytes> {
        self.tracker.encoded(request.body().len());
        for (name, value) in self.config.request_headers() {
            request.headers_mut().insert(name, value.clone());
        }
        let count = payload::count(&self.config, &request).unwrap_or(self.count);
        self.outcome().sampled_out = self.count - count;
        let mut deadline = Deadline::new(self.config.retry_deadline);
        let mut parts = vec![Part { request, count }];
        let mut last = None;
        let mut refusal: Option<Failure> = None;
        while let Some(part) = parts.pop() {
            if let Some(refusal) = &refusal
                && Instant::now() >= deadline.at
            {
                // No time is left for it: it is lost for what the whole was refused for.
                self.outcome().failures.push(Failure {
                    spans: part.count.spans,
                    ..refusal.clone()
                });
                continue;
            }
            match self.deliver(&part, &mut deadline).await {
                Ok(answer) => {
                    self.accept(&part, &answer);
                    last = Some(answer);
                }
                Err(failure) => match self.split_refused(&part, &failure) {
                    Some([first, second]) => {
                        parts.extend([second, first]);
                        refusal = Some(failure);
                    }
                    None => self.outcome().failures.push(failure),
                },
            }
        }
        match last {
            Some(answer) => answer,
            None => {
                self.failed.notify_one();
                pending().await
            }
        }
    }

    fn accept(&self, part: &Part, answer: &Response<Bytes>) {
        let mut count = part.count;
        let mut outcome = self.outcome();
        if self.config.otlp.is_some()
            && let Some(partial) = partial_success(answer, part.count.spans)
        {
            // Which ones is not said: each may be of another chunk.
            let (chunks, spans) = (partial.rejected, partial.rejected);
            count = count - Count { chunks, spans };
            outcome
                .failures
                .push(failure::rejected(&self.config, partial, answer));
        }
        outcome.accepted.push(Accepted {
            count,
            bytes: part.request.body().len(),
            body: text(answer),
            agent_state: agent_state(answer),
        });
    }

    /// Returns the halves of a part that was too large as a whole, if it can be divided.
    fn split_refused(&self, part: &Part, failure: &Failure) -> Option<[Part; 2]> {
        (failure.loss == Loss::TooLarge && self.config.otlp.is_none())
            .then(|| part.halves())
            .flatten()
    }

    /// Makes the request until it is accepted, can't be, or the time is over.
    async fn deliver<'a>(
        &'a self,
        part: &'a Part,
        deadline: &mut Deadline,
    ) -> Result<Response<Bytes>, Failure> {
        let mut backoff = Backoff::new();
        let mut next_attempt = Instant::now();
        let mut is_retry = false;
        let mut late = LateAnswer::default();
        // The agent's last answer, unless it could not be reached since.
        let mut refusal: Option<Failure> = None;
        loop {
            let (attempt, permit) = tokio::select! {
                biased;
                (head, made) = late.head() => {
                    let limit = Instant::now() + self.config.request_timeout();
                    (Ok(read(head, made, limit).await), None)
                }
                permit = self.permit(next_attempt, deadline) => {
                    let permit = permit.map_err(|cause| {
                        let refusal = refusal.take();
                        refusal.unwrap_or_else(|| {
                            failure::unreachable(&self.config, part, &cause)
                        })
                    })?;
                    if std::mem::replace(&mut is_retry, true) {
                        self.tracker.retried();
                    }
                    (self.attempt(part, &mut late, deadline).await, Some(permit))
                }
            };
            match attempt {
                Ok(answer) => {
                    self.breaker.reached();
                    drop(permit);
                    if answer.status().is_success() {
                        return Ok(answer);
                    }
                    let failure = failure::refused(&self.config, part, &answer);
                    let pause = backoff.next_pause().max(retry_after(&answer));
                    let left = deadline.at.saturating_duration_since(Instant::now());
                    if !may_succeed_later(answer.status()) || pause > left {
                        return Err(failure);
                    }
                    self.tracker.attempt_failed(&failure.detail);
                    refusal = Some(failure);
                    next_attempt = Instant::now() + pause;
                }
                Err(cause) => {
                    let open_until = self.breaker.unreachable(&cause);
                    drop(permit);
                    let failure = failure::unreachable(&self.config, part, &cause);
                    self.tracker.attempt_failed(&failure.detail);
                    refusal = None;
                    // Steps back behind other payloads: it may be this one that the agent can't stand.
                    let pause = Instant::now() + backoff.next_pause();
                    next_attempt = pause.max(open_until + TIMER_RESOLUTION).min(deadline.at);
                }
            }
        }
    }

    /// Waits for the time of the next attempt and for permission to make it.
    ///
    /// # Errors
    /// When the deadline comes first: why the agent cannot be reached.
    async fn permit(&self, at: Instant, deadline: &mut Deadline) -> Result<Permit<'_>, String> {
        if Instant::now() < at {
            tokio::time::sleep_until(at).await;
            deadline.note_stop(at);
        }
        loop {
            let (began, until) = (Instant::now(), deadline.at);
            match self.breaker.acquire(until).await {
                Err(_) if began < until && deadline.note_stop(until) => {}
                result => return result,
            }
        }
    }

    /// Makes the request once. Returns the answer, or why there is none; one that may still come is
    /// left in `late`.
    async fn attempt<'a>(
        &'a self,
        part: &'a Part,
        late: &mut LateAnswer<'a>,
        deadline: &mut Deadline,
    ) -> Result<Response<Bytes>, String> {
        let made = MadeRequest::new(&self.tracker, part);
        let limit = made.began + self.config.request_timeout();
        let http = Arc::clone(&self.http);
        let request = part.request.clone();
        // A name cannot be looked up where no thread can be had: the HTTP library panics then.
        let request = async move { panics::caught_in(http.send(request)).await };
        let mut request: BoxFuture<_> = Box::pin(async {
            request
                .await
                .map_err(NoAnswer::before_it_was_sent)
                .flatten()
        });
        let mut head = tokio::select! {
            biased;
            (head, made) = late.accepting_head() => return Ok(read(head, made, limit).await),
            head = tokio::time::timeout_at(limit, &mut request) => head,
        };
        if head.is_err() && deadline.note_stop(limit) {
            // The answer may have come while the process was stopped, and only has to be read.
            head = tokio::time::timeout(READ_AFTER_STOP, &mut request).await;
        }
        match head {
            Ok(Ok(head)) => Ok(read(head, made, limit).await),
            Ok(Err(no_answer)) => Err(no_answer.cause),
            Err(_) => {
                let seconds = made.began.elapsed().as_secs_f64();
                *late = LateAnswer::new(request, made);
                Err(format!("no answer within {seconds:.3} s"))
            }
        }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads the rest of the answer to a request.
async fn read(head: Response<Body>, made: MadeRequest<'_>, limit: Instant) -> Response<Bytes> {
    let answer = read_body(head, limit).await;
    made.answered(answer.status());
    answer
}

#[cfg(test)]
mod tests;
