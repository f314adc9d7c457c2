//! The requests of a trace exporter that carry statistics.
//!
//! The trace exporter gives such a request three seconds and doesn't repeat it. So it is
//! told at once that all is well, and the request is sent beside the payloads:
//!
//! | answer | consequence |
//! | --- | --- |
//! | 2xx | sent |
//! | 408, 429, 5xx, connection failed | repeated after a pause, until the retry deadline |
//! | none within the time of a request | lost: it may have arrived, and would be counted twice |
//! | any other | lost |
//!
//! They keep out of the payloads' way: an endpoint for statistics that hangs doesn't open the breaker.

use super::answer::{may_succeed_later, retry_after};
use super::backoff::Backoff;
use super::failure;
use super::http_client::{HttpClient, NoAnswer, read_body};
use crate::config::Config;
use crate::process::panics;
use crate::queue::Queue;
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// Where the agent takes statistics.
pub const STATS_PATH: &str = "/v0.6/stats";
/// `ddapm-test-agent` tells tests apart by it.
pub const TEST_SESSION_TOKEN: &str = "x-datadog-test-session-token";
/// Bytes of the requests that wait for their answer or to be repeated. Beyond this, new ones are lost. Those of a busy
/// application with thousands of resources take some megabytes every ten seconds, in parts of 4,000 groups.
pub const MAX_PENDING_BYTES: usize = 16 * 1024 * 1024;
/// What a request counts at least, since each has a task and may have a connection: so there are at most 256.
pub const LEAST_BYTES: usize = 64 * 1024;

pub struct StatisticsRequests {
    config: Arc<Config>,
    http: Arc<dyn HttpClient>,
    queue: Arc<Queue>,
    pending: watch::Sender<Pending>,
}

/// Requests for statistics that are neither sent nor lost yet.
#[derive(Default)]
struct Pending {
    numbers: Vec<u64>,
    next: u64,
    bytes: usize,
}

/// What came of one attempt.
enum Attempt {
    Sent,
    /// May be repeated, after a pause of at least this length.
    Failed(String, Duration),
    Lost(String),
}

impl StatisticsRequests {
    pub fn new(config: Arc<Config>, http: Arc<dyn HttpClient>, queue: Arc<Queue>) -> Arc<Self> {
        Arc::new(Self {
            config,
            http,
            queue,
            pending: watch::Sender::default(),
        })
    }

    /// Sends a request in the background.
    pub fn take(self: &Arc<Self>, mut request: Request<Bytes>) {
        let config = &self.config;
        if let Some(token) = &config.test_session_token
            && let Ok(token) = HeaderValue::from_str(token.as_str())
        {
            request.headers_mut().insert(TEST_SESSION_TOKEN, token);
        }
        for (name, value) in config.request_headers() {
            request.headers_mut().insert(name, value.clone());
        }
        self.queue.statistics_begin();
        match self.begin(request.body().len().max(LEAST_BYTES)) {
            Some(guard) => drop(tokio::spawn(guard.deliver(request))),
            None => {
                let detail = format!("more than {MAX_PENDING_BYTES} bytes of statistics wait");
                self.queue.statistics_lost(&detail);
            }
        }
    }

    /// Waits until the statistics that were taken so far are sent or lost.
    pub async fn settled(&self) {
        let next = self.pending.borrow().next;
        let mut pending = self.pending.subscribe();
        let is_settled = |pending: &Pending| pending.numbers.iter().all(|number| *number >= next);
        // Fails only if the sender of the channel is gone, which `self` owns.
        let _ = pending.wait_for(is_settled).await;
    }

    fn begin(self: &Arc<Self>, bytes: usize) -> Option<Statistics> {
        let mut number = None;
        self.pending.send_modify(|pending| {
            if pending.bytes + bytes <= MAX_PENDING_BYTES || pending.numbers.is_empty() {
                number = Some(pending.next);
                pending.numbers.push(pending.next);
                pending.next += 1;
                pending.bytes += bytes;
            }
        });
        Some(Statistics {
            requests: Arc::clone(self),
            number: number?,
            bytes,
        })
    }

    /// Makes a request once.
    async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, NoAnswer> {
        let limit = self.config.request_timeout();
        let deadline = Instant::now() + limit;
        let http = Arc::clone(&self.http);
        // A name cannot be looked up where no thread can be had: the HTTP library panics then.
        let head = panics::caught_in(async move { http.send(request).await });
        let head = tokio::time::timeout_at(deadline, head).await;
        let head = head.map_err(|_| NoAnswer {
            cause: format!("no answer within {:.3} s", limit.as_secs_f64()),
            may_have_arrived: true,
        })?;
        let head = head.map_err(NoAnswer::before_it_was_sent).flatten()?;
        Ok(read_body(head, deadline).await)
    }
}

/// Statistics on their way.
struct Statistics {
    requests: Arc<StatisticsRequests>,
    number: u64,
    bytes: usize,
}

impl Statistics {
    async fn deliver(self, request: Request<Bytes>) {
        let Self { requests, .. } = &self;
        let deadline = Instant::now() + requests.config.retry_deadline;
        let mut backoff = Backoff::new();
        loop {
            match self.attempt(request.clone()).await {
                Attempt::Sent => return requests.queue.statistics_sent(),
                Attempt::Lost(detail) => return requests.queue.statistics_lost(&detail),
                Attempt::Failed(detail, at_least) => {
                    let pause = backoff.next_pause().max(at_least);
                    if pause >= deadline.saturating_duration_since(Instant::now()) {
                        return requests.queue.statistics_lost(&detail);
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
    }

    async fn attempt(&self, request: Request<Bytes>) -> Attempt {
        let Self { requests, .. } = self;
        match requests.send(request).await {
            Ok(answer) if answer.status().is_success() => Attempt::Sent,
            Ok(answer) => {
                let detail = failure::refusal(&requests.config, &answer);
                match may_succeed_later(answer.status()) {
                    true => Attempt::Failed(detail, retry_after(&answer)),
                    false => Attempt::Lost(detail),
                }
            }
            Err(no_answer) => {
                let detail = failure::silence(&requests.config, &no_answer.cause);
                match no_answer.may_have_arrived {
                    // It would be counted twice.
                    true => Attempt::Lost(detail),
                    false => Attempt::Failed(detail, Duration::ZERO),
                }
            }
        }
    }
}

impl Drop for Statistics {
    fn drop(&mut self) {
        let is_other = |number: &u64| *number != self.number;
        let pending = &self.requests.pending;
        pending.send_modify(|pending| {
            pending.numbers.retain(is_other);
            pending.bytes -= self.bytes;
        });
    }
}
