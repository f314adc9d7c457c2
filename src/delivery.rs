//! Delivering one payload: what is tried again, when and for how long, and what came of it.
//!
//! The trace exporter repeats any failed request five times at fixed intervals, whatever failed.
//! [`AgentClient`] takes its place as HTTP client and decides itself: a request made within
//! [`Delivery::send`] goes through [`Delivery::run`], which hands back accepted answers alone and
//! otherwise never returns, so that the exporter's own retries do not begin; `send` then drops it.
//! All other requests (`/info`) pass through as they are.

use crate::gate::Gate;
use crate::size::Size;
use crate::split;
use crate::stats::Loss;
use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use libdd_capabilities::http::{BodySender, HttpError, ResponseFuture};
use libdd_capabilities::{HttpClientCapability, LogWriterCapability, MaybeSend, SleepCapability};
use libdd_capabilities_impl::{NativeCapabilities, ResponseBodyLimit};
use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::Instant;

const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// An agent answers with sampling rates or a short error.
const LARGEST_ANSWER: usize = 1024 * 1024;
const SHOWN_OF_ANSWER: usize = 200;
/// How the HTTP client says that an answer was larger (`http_body_util::LengthLimitError`).
const BODY_LIMIT: &str = "length limit exceeded";
const TRACE_COUNT: &str = "x-datadog-trace-count";

tokio::task_local! {
    static DELIVERY: Arc<Delivery>;
}

/// One payload on its way.
pub struct Delivery {
    pub agent: String,
    pub request_timeout: Duration,
    pub retry_deadline: Duration,
    pub gate: Arc<Gate>,
    pub size: Size,
    /// Sent with every request, in place of the library's own of the same name.
    pub headers: HeaderMap,
    pub observer: Box<dyn Observer>,
    pub outcome: Mutex<Outcome>,
    pub failed: Notify,
}

/// Is told of what happens on the way.
pub trait Observer: Send + Sync {
    /// The payload takes this many bytes, for as long as it is on its way.
    fn encoded(&self, bytes: usize);
    /// A request is made again.
    fn retried(&self);
    /// A request was answered.
    fn answered(&self, took: Duration);
}

/// What became of a payload: of all of its spans, in one or several requests.
#[derive(Default)]
pub struct Outcome {
    pub accepted: Vec<Accepted>,
    pub failures: Vec<Failure>,
}

/// The agent took a payload, or a part of one.
pub struct Accepted {
    pub chunks: usize,
    pub spans: usize,
    pub bytes: usize,
    pub body: String,
    /// `Datadog-Agent-State` of the answer.
    pub agent_state: Option<String>,
}

/// A payload, or a part of one, is lost.
#[derive(Clone)]
pub struct Failure {
    pub spans: usize,
    pub loss: Loss,
    pub detail: String,
    pub answer: Option<(u16, String)>,
}

struct Part {
    request: Request<Bytes>,
    chunks: usize,
    spans: usize,
}

impl Delivery {
    /// Drives `exporting`, which makes the request, and tells what became of it.
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
            outcome.failures.push(Failure {
                spans: self.size.spans,
                loss: Loss::Internal,
                detail: result.map_or("no request was made".into(), |error| error.to_string()),
                answer: None,
            });
        }
        outcome
    }

    async fn run(&self, http: &NativeCapabilities, mut request: Request<Bytes>) -> Response<Bytes> {
        self.observer.encoded(request.body().len());
        request
            .extensions_mut()
            .insert(ResponseBodyLimit(LARGEST_ANSWER));
        for (name, value) in &self.headers {
            request.headers_mut().insert(name, value.clone());
        }
        let deadline = Instant::now() + self.retry_deadline;
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
                // No time is left for it: it is lost for what its whole was refused for.
                self.outcome().failures.push(Failure {
                    spans: part.spans,
                    ..refusal.clone()
                });
                continue;
            }
            match self.deliver(http, &part, deadline).await {
                Ok(response) => {
                    let accepted = Accepted {
                        chunks: part.chunks,
                        spans: part.spans,
                        bytes: part.request.body().len(),
                        body: text(&response),
                        agent_state: agent_state(&response),
                    };
                    self.outcome().accepted.push(accepted);
                    last = Some(response);
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
            Some(response) => response,
            None => {
                self.failed.notify_one();
                pending().await
            }
        }
    }

    /// Makes the request until it is accepted, can't be, or the time is over.
    async fn deliver(
        &self,
        http: &NativeCapabilities,
        part: &Part,
        deadline: Instant,
    ) -> Result<Response<Bytes>, Failure> {
        let mut wait = FIRST_WAIT;
        let mut tried = false;
        // What the agent said last, unless it could not be reached since.
        let mut refusal = None;
        loop {
            let turn = self.gate.enter(deadline).await;
            let turn = turn.map_err(|cause| {
                let refusal = refusal.take();
                refusal.unwrap_or_else(|| self.unreachable(part, &cause))
            })?;
            if std::mem::replace(&mut tried, true) {
                self.observer.retried();
            }
            let started = Instant::now();
            // A request that was begun has all of its time: cut short, it may have arrived.
            let request = http.request(part.request.clone());
            let attempt = tokio::time::timeout(self.request_timeout, request).await;
            let cause = match attempt {
                Ok(Ok(response)) => {
                    self.gate.reached();
                    drop(turn);
                    self.observer.answered(started.elapsed());
                    if response.status().is_success() {
                        return Ok(response);
                    }
                    let failure = self.refused(part, &response);
                    let pause = jittered(wait).max(retry_after(&response));
                    let left = deadline.saturating_duration_since(Instant::now());
                    if !may_succeed_later(response.status()) || pause > left {
                        return Err(failure);
                    }
                    refusal = Some(failure);
                    tokio::time::sleep(pause).await;
                    wait = (wait * 2).min(LONGEST_WAIT);
                    continue;
                }
                Ok(Err(error)) => {
                    let cause = cause(error);
                    if cause.contains(BODY_LIMIT) {
                        self.gate.reached();
                        return Err(self.unreadable(part, &cause));
                    }
                    cause
                }
                Err(_) => format!("no answer within {:.3} s", started.elapsed().as_secs_f64()),
            };
            self.gate.unreachable(&cause);
            refusal = None;
            drop(turn);
            // What failed steps back behind the others: it may be this payload that the agent can't
            // stand.
            tokio::time::sleep_until(deadline.min(Instant::now() + jittered(wait))).await;
            wait = (wait * 2).min(LONGEST_WAIT);
        }
    }

    fn refused(&self, part: &Part, response: &Response<Bytes>) -> Failure {
        let status = response.status();
        let body = text(response);
        let shown = shown(&body);
        let agent = &self.agent;
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

    fn unreadable(&self, part: &Part, cause: &str) -> Failure {
        let agent = &self.agent;
        Failure {
            spans: part.spans,
            loss: Loss::Refused,
            detail: format!("the answer of the agent at {agent} cannot be read: {cause}"),
            answer: None,
        }
    }

    fn unreachable(&self, part: &Part, cause: &str) -> Failure {
        let agent = &self.agent;
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

/// What was too large as a whole may not be in two parts.
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

/// `Retry-After` in seconds; the form with a date is not used by agents.
fn retry_after(response: &Response<Bytes>) -> Duration {
    let header = response.headers().get(RETRY_AFTER);
    let seconds = header
        .and_then(|seconds| seconds.to_str().ok())
        .map(str::trim);
    let seconds = seconds.filter(|seconds| seconds.bytes().all(|byte| byte.is_ascii_digit()));
    // More than there are numbers for is still more than there is time for.
    Duration::from_secs(seconds.map_or(0, |seconds| match seconds {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    }))
}

/// The beginning of an answer, for logs: on one line, without control characters.
fn shown(body: &str) -> String {
    let shown = body.chars().take(SHOWN_OF_ANSWER);
    shown
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn text(response: &Response<Bytes>) -> String {
    String::from_utf8_lossy(response.body()).into_owned()
}

fn agent_state(response: &Response<Bytes>) -> Option<String> {
    let state = response.headers().get("datadog-agent-state")?;
    state.to_str().ok().map(str::to_owned)
}

fn cause(error: HttpError) -> String {
    match error {
        HttpError::Network(cause)
        | HttpError::ResponseBody(cause)
        | HttpError::InvalidRequest(cause)
        | HttpError::Other(cause) => format!("{cause:#}"),
        HttpError::Timeout => error.to_string(),
    }
}

/// Between half of `wait` and all of it, so that a fleet does not come back in step.
pub fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().hash_one(0) as f64 / u64::MAX as f64;
    wait.mul_f64(0.5 + random / 2.0)
}

/// The HTTP client of the trace exporter. See the module's description.
#[derive(Clone, Debug)]
pub struct AgentClient(NativeCapabilities);

impl HttpClientCapability for AgentClient {
    fn new_client() -> Self {
        Self(NativeCapabilities::new_client())
    }

    fn new_periodic() -> Self {
        Self(NativeCapabilities::new_periodic())
    }

    async fn request(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        match DELIVERY.try_with(Arc::clone) {
            Ok(delivery) => Ok(delivery.run(&self.0, request).await),
            Err(_) => self.0.request(request).await,
        }
    }

    fn request_streamed(&self, request: Request<()>) -> (BodySender, ResponseFuture) {
        self.0.request_streamed(request)
    }
}

impl SleepCapability for AgentClient {
    fn new() -> Self {
        Self(NativeCapabilities::new())
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + MaybeSend {
        self.0.sleep(duration)
    }
}

impl LogWriterCapability for AgentClient {
    fn write_log_output(&self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.write_log_output(bytes)
    }
}
