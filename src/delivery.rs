//! Delivering one payload: what is tried again, for how long, and what came of it.
//!
//! The trace exporter repeats any failed request five times at fixed intervals, whatever failed.
//! [`AgentClient`] takes its place as HTTP client and decides itself: a request made within
//! [`Delivery::send`] goes through [`Delivery::run`], which hands back accepted answers alone and
//! otherwise never returns, so that the exporter's own retries do not begin; `send` then drops it.
//! All other requests (`/info`) pass through as they are.

use crate::stats::Loss;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use libdd_capabilities::http::{BodySender, HttpError, ResponseFuture};
use libdd_capabilities::{HttpClientCapability, LogWriterCapability, MaybeSend, SleepCapability};
use libdd_capabilities_impl::{NativeCapabilities, ResponseBodyLimit};
use std::future::{Future, pending};
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// How long a payload is tried for.
const RETRY_FOR: Duration = Duration::from_secs(3);
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// An agent answers with sampling rates or a short error.
const LARGEST_ANSWER: usize = 1024 * 1024;
const SHOWN_OF_ANSWER: usize = 200;

tokio::task_local! {
    static DELIVERY: Arc<Delivery>;
}

/// One payload on its way.
pub struct Delivery {
    agent: String,
    request_timeout: Duration,
    /// Called before a request is made again.
    on_retry: Box<dyn Fn() + Send + Sync>,
    outcome: Mutex<Option<Result<Accepted, Failure>>>,
    failed: Notify,
}

/// The agent took the payload.
pub struct Accepted {
    pub bytes: usize,
    pub body: String,
    /// `Datadog-Agent-State` of the answer.
    pub agent_state: Option<String>,
}

/// The payload is lost.
pub struct Failure {
    pub loss: Loss,
    pub detail: String,
    pub answer: Option<(u16, String)>,
}

impl Delivery {
    pub fn new(
        agent: String,
        request_timeout: Duration,
        on_retry: impl Fn() + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self {
            agent,
            request_timeout,
            on_retry: Box::new(on_retry),
            outcome: Mutex::new(None),
            failed: Notify::new(),
        })
    }

    /// Drives `exporting`, which makes the request, and tells what became of it.
    pub async fn send<T, E: std::fmt::Display>(
        self: Arc<Self>,
        exporting: impl Future<Output = Result<T, E>>,
    ) -> Result<Accepted, Failure> {
        let exporting = DELIVERY.scope(Arc::clone(&self), exporting);
        let result = tokio::select! {
            biased;
            () = self.failed.notified() => None,
            result = exporting => result.err(),
        };
        let outcome = self.outcome().take();
        outcome.unwrap_or_else(|| {
            let detail = result.map_or("no request was made".into(), |error| error.to_string());
            Err(Failure {
                loss: Loss::Internal,
                detail,
                answer: None,
            })
        })
    }

    async fn run(&self, http: &NativeCapabilities, mut request: Request<Bytes>) -> Response<Bytes> {
        request
            .extensions_mut()
            .insert(ResponseBodyLimit(LARGEST_ANSWER));
        let deadline = Instant::now() + RETRY_FOR;
        let mut wait = FIRST_WAIT;
        loop {
            let attempt = tokio::time::timeout(self.request_timeout, http.request(request.clone()));
            let (failure, may_succeed_later) = match attempt.await {
                Ok(Ok(response)) if response.status().is_success() => {
                    *self.outcome() = Some(Ok(Accepted {
                        bytes: request.body().len(),
                        body: text(&response),
                        agent_state: agent_state(&response),
                    }));
                    return response;
                }
                Ok(Ok(response)) => self.refused(&response),
                Ok(Err(error)) => (self.unreachable(&cause(error)), true),
                Err(_) => {
                    let seconds = self.request_timeout.as_secs_f64();
                    (
                        self.unreachable(&format!("no answer within {seconds} s")),
                        true,
                    )
                }
            };
            let pause = jittered(wait);
            if !may_succeed_later || Instant::now() + pause > deadline {
                *self.outcome() = Some(Err(failure));
                self.failed.notify_one();
                return pending().await;
            }
            tokio::time::sleep(pause).await;
            wait = (wait * 2).min(LONGEST_WAIT);
            (self.on_retry)();
        }
    }

    fn refused(&self, response: &Response<Bytes>) -> (Failure, bool) {
        let status = response.status();
        let body = text(response);
        let shown: String = body.chars().take(SHOWN_OF_ANSWER).collect();
        let agent = &self.agent;
        let failure = Failure {
            loss: match status {
                StatusCode::PAYLOAD_TOO_LARGE => Loss::TooLarge,
                _ => Loss::Refused,
            },
            detail: format!("the agent at {agent} answered {status}: {shown}"),
            answer: Some((status.as_u16(), body)),
        };
        let may_succeed_later = status.is_server_error()
            || status == StatusCode::REQUEST_TIMEOUT
            || status == StatusCode::TOO_MANY_REQUESTS;
        (failure, may_succeed_later)
    }

    fn unreachable(&self, cause: &str) -> Failure {
        let agent = &self.agent;
        Failure {
            loss: Loss::Unreachable,
            detail: format!("the agent at {agent} cannot be reached: {cause}"),
            answer: None,
        }
    }

    fn outcome(&self) -> std::sync::MutexGuard<'_, Option<Result<Accepted, Failure>>> {
        self.outcome.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
fn jittered(wait: Duration) -> Duration {
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
