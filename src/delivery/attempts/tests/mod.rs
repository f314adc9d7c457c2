//! The delivery policy, with a scripted agent and a paused clock.

use super::super::capability::AgentClient;
use super::super::http_client::tests::{Script, ScriptedClient};
use super::super::payload::TRACE_COUNT;
use super::*;
use crate::queue::Queue;
use crate::report::stats::Stats;
use crate::testing::{chunks, config};
use http::HeaderMap;
use libdd_capabilities::HttpClientCapability;
use libdd_capabilities::http::HttpError;
use libdd_trace_utils::msgpack_decoder;
use libdd_trace_utils::msgpack_encoder::v04::to_vec_from_v04;
use script::*;
use std::collections::VecDeque;

mod a_stopped_process;
mod accounts;
mod answers_without_an_end;
mod late_answers;
mod lost_requests;
mod refusals;
mod splitting;

mod script {
    pub use super::Script::{
        Answer, AnswerWith, CutShort, Fail, Hang, LateFailure, Panic, Relayed, Slow, Stalled,
    };
}

/// A queue, a breaker and a scripted agent.
struct Agent {
    client: Arc<ScriptedClient>,
    breaker: Arc<Breaker>,
    config: Arc<Config>,
    queue: Arc<Queue>,
}

/// What became of a payload.
struct Delivered {
    outcome: Outcome,
    took: Duration,
    stats: Stats,
    lines: VecDeque<String>,
}

impl Delivered {
    /// Returns the spans that were accepted, and those that were lost with the reason.
    fn spans(&self) -> (usize, Vec<(usize, Loss)>) {
        let accepted = self.outcome.accepted.iter().map(|one| one.count.spans);
        let failures = self.outcome.failures.iter();
        (
            accepted.sum(),
            failures.map(|one| (one.spans, one.loss)).collect(),
        )
    }

    fn details(&self) -> Vec<&str> {
        let failures = self.outcome.failures.iter();
        failures.map(|failure| failure.detail.as_str()).collect()
    }
}

impl Agent {
    fn new(script: impl IntoIterator<Item = Script>) -> Self {
        Self::with(script, |_| ())
    }

    fn with(script: impl IntoIterator<Item = Script>, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        change(&mut config);
        Self {
            client: ScriptedClient::new(script),
            breaker: Arc::new(Breaker::new()),
            queue: Arc::new(Queue::new(&config)),
            config: Arc::new(config),
        }
    }

    /// Delivers a payload with a chunk for each number of spans.
    async fn deliver(&self, spans: &[usize]) -> Delivered {
        self.queue.push(chunks(spans), None);
        let mut payload = self.queue.take().unwrap();
        let chunks = payload.take_chunks();
        let body = Bytes::from(to_vec_from_v04(&chunks));
        let delivery = Delivery::new(
            Arc::clone(&self.config),
            self.client.clone(),
            Arc::clone(&self.breaker),
            payload.tracker(),
            payload.size().into(),
        );
        let request = Request::post("http://agent:8126/v0.4/traces")
            .header(TRACE_COUNT, chunks.len())
            .body(body)
            .unwrap();
        let began = Instant::now();
        let outcome = delivery
            .send(AgentClient::new_client().request(request))
            .await;
        Delivered {
            outcome,
            took: began.elapsed(),
            stats: self.queue.stats(),
            lines: self.queue.take_lines(),
        }
    }

    /// Returns the pauses between requests.
    fn pauses(&self) -> Vec<Duration> {
        let times = self.client.times();
        times.windows(2).map(|pair| pair[1] - pair[0]).collect()
    }

    /// Returns the number of spans in each chunk of each request, after checking that the header
    /// counts the chunks.
    fn received(&self) -> Vec<Vec<usize>> {
        let requests = self.client.requests.lock().unwrap();
        let requests = requests.iter().map(|(_, request)| {
            let (chunks, _) = msgpack_decoder::v04::from_slice(request.body()).unwrap();
            let count: usize = request.headers()[TRACE_COUNT]
                .to_str()
                .unwrap()
                .parse()
                .unwrap();
            assert_eq!(count, chunks.len());
            chunks.iter().map(Vec::len).collect()
        });
        requests.collect()
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[track_caller]
fn assert_about(time: Duration, expected: f64) {
    let off = time.as_secs_f64() - expected;
    assert!(
        (-0.001..0.01).contains(&off),
        "{time:?} is not {expected} s"
    );
}

#[tokio::test(start_paused = true)]
async fn an_accepted_payload_is_sent_once() {
    let agent = Agent::new([Answer(200, r#"{"rate_by_service":{}}"#)]);
    let delivered = agent.deliver(&[2, 3]).await;
    assert_eq!(delivered.spans(), (5, vec![]));
    assert_eq!(agent.received(), [[2, 3]]);
    let accepted = &delivered.outcome.accepted[0];
    assert_eq!(
        (accepted.count.chunks, accepted.body.as_str()),
        (2, r#"{"rate_by_service":{}}"#)
    );
    let requests = agent.client.requests.lock().unwrap();
    assert_eq!(accepted.bytes, requests[0].1.body().len());
    assert_eq!(delivered.stats.retries, 0);
}

#[tokio::test(start_paused = true)]
async fn configured_headers_replace_those_of_the_library() {
    let agent = Agent::with([], |config| {
        let mut headers = HeaderMap::new();
        headers.insert("x-own", "1".parse().unwrap());
        config.headers = headers;
    });
    agent.deliver(&[1]).await;
    assert_eq!(
        agent.client.requests.lock().unwrap()[0].1.headers()["x-own"],
        "1"
    );
}

#[tokio::test(start_paused = true)]
async fn the_state_of_the_agent_is_passed_on() {
    let agent = Agent::new([AnswerWith(200, &[("datadog-agent-state", "abc")], "{}")]);
    let delivered = agent.deliver(&[1]).await;
    assert_eq!(
        delivered.outcome.accepted[0].agent_state.as_deref(),
        Some("abc")
    );
}

#[tokio::test(start_paused = true)]
async fn a_send_that_fails_before_its_request_is_an_internal_loss() {
    let agent = Agent::new([]);
    agent.queue.push(chunks(&[3]), None);
    let payload = agent.queue.take().unwrap();
    let delivery = || {
        Delivery::new(
            Arc::clone(&agent.config),
            agent.client.clone(),
            Arc::clone(&agent.breaker),
            payload.tracker(),
            payload.size().into(),
        )
    };
    let failing = async { Err::<(), _>("cannot be encoded") };
    let outcome = delivery().send(failing).await;
    let failure = &outcome.failures[0];
    assert_eq!((failure.spans, failure.loss), (3, Loss::Internal));
    assert_eq!(failure.detail, "cannot be encoded");
    assert_eq!(outcome.sampled_out, Count::default());
    let silent = async { Ok::<_, String>(()) };
    let outcome = delivery().send(silent).await;
    assert!(outcome.failures.is_empty());
    let (chunks, spans) = (1, 3);
    assert_eq!(outcome.sampled_out, Count { chunks, spans });
}

#[tokio::test]
async fn only_info_is_answered_outside_of_a_delivery() {
    let info = Request::get("http://agent/info")
        .body(Bytes::new())
        .unwrap();
    assert_eq!(
        AgentClient::new_client()
            .request(info)
            .await
            .unwrap()
            .body(),
        "{}"
    );
    let stats = Request::post("http://agent/v0.6/stats")
        .body(Bytes::new())
        .unwrap();
    let refused = AgentClient::new_client().request(stats).await;
    assert!(matches!(refused, Err(HttpError::InvalidRequest(_))));
}
