//! Delivery of one payload: which requests are repeated, when and for how long, and what came of
//! them.
//!
//! A request made within [`Delivery::send`] comes to [`Delivery::run`]. That hands accepted answers
//! back to the trace exporter and never returns otherwise, so that the exporter's own retries
//! don't begin; `send` then drops the exporter's future.
//!
//! | answer | consequence |
//! | --- | --- |
//! | 2xx | accepted |
//! | 413, several chunks | both halves are sent on their own |
//! | 408, 429, 5xx | repeated after a pause, or after `Retry-After` if that is longer |
//! | any other | refused |
//! | none (connection failed, timeout) | repeated after a pause; the breaker opens |
//!
//! An answer whose status has come is an answer, even if its body cannot be read. No attempt begins
//! after the retry deadline, but one that has begun has all of its time: a request that is cut
//! short may have arrived.

use super::backoff::Backoff;
use super::breaker::Breaker;
use super::capability::DELIVERY;
use super::http_client::{HttpClient, read_body};
use super::split;
use crate::config::Config;
use crate::queue::{Accepted, Failure, Outcome, Tracker};
use crate::report::stats::Loss;
use crate::span::Size;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderValue, Request, Response, StatusCode};
use std::future::{Future, pending};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

/// Characters of an answer's body that are shown in messages.
const SHOWN_CHARS: usize = 200;
/// Timers that are this far apart run in their order.
const TIMER_RESOLUTION: Duration = Duration::from_millis(1);
const TRACE_COUNT: &str = "x-datadog-trace-count";

/// One payload on its way.
pub struct Delivery {
    config: Arc<Config>,
    http: Arc<dyn HttpClient>,
    breaker: Arc<Breaker>,
    tracker: Tracker,
    /// Chunks and spans of the payload.
    size: Size,
    outcome: Mutex<Outcome>,
    /// No part of the payload was accepted.
    failed: Notify,
}

/// The payload, or a part of it after a split.
struct Part {
    request: Request<Bytes>,
    chunks: usize,
    spans: usize,
}

impl Delivery {
    pub fn new(
        config: Arc<Config>,
        http: Arc<dyn HttpClient>,
        breaker: Arc<Breaker>,
        tracker: Tracker,
        size: Size,
    ) -> Arc<Self> {
        Arc::new(Self {
            config,
            http,
            breaker,
            tracker,
            size,
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
            let detail = result.map_or("no request was made".into(), |error| error.to_string());
            outcome.failures.push(Failure {
                spans: self.size.spans,
                loss: Loss::Internal,
                detail,
                answer: None,
            });
        }
        outcome
    }

    /// Delivers the payload that `request` carries, in parts if need be. Returns the last answer
    /// that accepted one, and never if there was none.
    pub async fn run(&self, mut request: Request<Bytes>) -> Response<Bytes> {
        self.tracker.encoded(request.body().len());
        for (name, value) in &self.config.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let deadline = Instant::now() + self.config.retry_deadline;
        let mut parts = vec![Part {
            request,
            chunks: self.size.chunks,
            spans: self.size.spans,
        }];
        let mut last = None;
        let mut refusal: Option<Failure> = None;
        while let Some(part) = parts.pop() {
            if let Some(refusal) = &refusal
                && Instant::now() >= deadline
            {
                // No time is left for it: it is lost for what the whole was refused for.
                self.outcome().failures.push(Failure {
                    spans: part.spans,
                    ..refusal.clone()
                });
                continue;
            }
            match self.deliver(&part, deadline).await {
                Ok(answer) => {
                    let accepted = Accepted {
                        chunks: part.chunks,
                        spans: part.spans,
                        bytes: part.request.body().len(),
                        body: text(&answer),
                        agent_state: agent_state(&answer),
                    };
                    self.outcome().accepted.push(accepted);
                    last = Some(answer);
                }
                Err(failure) => match split_refused(&part, &failure) {
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

    /// Makes the request until it is accepted, can't be, or the time is over.
    async fn deliver(&self, part: &Part, deadline: Instant) -> Result<Response<Bytes>, Failure> {
        let mut backoff = Backoff::new();
        let mut is_retry = false;
        // The agent's last answer, unless it could not be reached since.
        let mut refusal: Option<Failure> = None;
        loop {
            let permit = self.breaker.acquire(deadline).await;
            let permit = permit.map_err(|cause| {
                let refusal = refusal.take();
                refusal.unwrap_or_else(|| self.unreachable(part, &cause))
            })?;
            if std::mem::replace(&mut is_retry, true) {
                self.tracker.retried();
            }
            match self.attempt(part).await {
                Ok(answer) => {
                    self.breaker.reached();
                    drop(permit);
                    if answer.status().is_success() {
                        return Ok(answer);
                    }
                    let failure = self.refused(part, &answer);
                    let pause = backoff.next_pause().max(retry_after(&answer));
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !may_succeed_later(answer.status()) || pause > left {
                        return Err(failure);
                    }
                    refusal = Some(failure);
                    tokio::time::sleep(pause).await;
                }
                Err(cause) => {
                    let open_until = self.breaker.unreachable(&cause);
                    drop(permit);
                    refusal = None;
                    // Steps back behind other payloads: it may be this one that the agent can't stand.
                    let pause = Instant::now() + backoff.next_pause();
                    let pause = pause.max(open_until + TIMER_RESOLUTION);
                    tokio::time::sleep_until(deadline.min(pause)).await;
                }
            }
        }
    }

    /// Makes the request once. Returns the answer, or why there is none.
    async fn attempt(&self, part: &Part) -> Result<Response<Bytes>, String> {
        let began = Instant::now();
        let deadline = began + self.config.agent_timeout;
        let request = self.http.send(part.request.clone());
        let head = tokio::time::timeout_at(deadline, request).await;
        let head = head.unwrap_or_else(|_| {
            let seconds = began.elapsed().as_secs_f64();
            Err(format!("no answer within {seconds:.3} s"))
        })?;
        let answer = read_body(head, deadline).await;
        self.tracker.answered(began.elapsed());
        Ok(answer)
    }

    fn refused(&self, part: &Part, answer: &Response<Bytes>) -> Failure {
        let status = answer.status();
        let body = text(answer);
        let shown = shown(&body);
        let agent = &self.config.agent_url;
        Failure {
            spans: part.spans,
            loss: match status {
                StatusCode::PAYLOAD_TOO_LARGE => Loss::TooLarge,
                _ => Loss::Refused,
            },
            detail: format!("the agent at {agent} answered {status}: {shown}"),
            answer: Some((status.as_u16(), body)),
        }
    }

    fn unreachable(&self, part: &Part, cause: &str) -> Failure {
        let agent = &self.config.agent_url;
        Failure {
            spans: part.spans,
            loss: Loss::Unreachable,
            detail: format!("the agent at {agent} cannot be reached: {cause}"),
            answer: None,
        }
    }

    fn outcome(&self) -> MutexGuard<'_, Outcome> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the halves of a part that was too large as a whole, unless it is a single chunk.
fn split_refused(part: &Part, failure: &Failure) -> Option<[Part; 2]> {
    if failure.loss != Loss::TooLarge || part.request.headers().get(TRACE_COUNT).is_none() {
        return None;
    }
    let halves = split::halves(part.request.body())?;
    Some(halves.map(|half| {
        let mut request = part.request.clone();
        *request.body_mut() = half.body;
        request
            .headers_mut()
            .insert(TRACE_COUNT, HeaderValue::from(half.chunks));
        Part {
            request,
            chunks: half.chunks,
            spans: half.spans,
        }
    }))
}

fn may_succeed_later(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
}

/// Returns the pause that `Retry-After` asks for, in seconds; agents don't use its form with a date.
fn retry_after(answer: &Response<Bytes>) -> Duration {
    let header = answer.headers().get(RETRY_AFTER);
    let seconds = header
        .and_then(|seconds| seconds.to_str().ok())
        .map(str::trim);
    let seconds = seconds.filter(|seconds| seconds.bytes().all(|byte| byte.is_ascii_digit()));
    // A number too large to be represented is still more than there is time for.
    Duration::from_secs(seconds.map_or(0, |seconds| match seconds {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    }))
}

/// Returns the beginning of an answer for logs, on one line and without control characters.
fn shown(body: &str) -> String {
    let shown = body.chars().take(SHOWN_CHARS);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

fn agent_state(answer: &Response<Bytes>) -> Option<String> {
    let state = answer.headers().get("datadog-agent-state")?;
    state.to_str().ok().map(str::to_owned)
}

#[cfg(test)]
mod tests;
