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

mod refusals {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_final_status_is_not_asked_again() {
        for status in [301, 400, 401, 403, 404, 410, 415, 422, 499] {
            let agent = Agent::new([Answer(status, "no\nway")]);
            let delivered = agent.deliver(&[2]).await;
            assert_eq!(delivered.spans(), (0, vec![(2, Loss::Refused)]), "{status}");
            assert_eq!(agent.client.count(), 1, "{status}");
            let detail = delivered.details()[0];
            assert!(
                detail.starts_with(&format!("the agent at http://agent:8126 answered {status}"))
            );
            let hint = " (traces in the v0.4 format need Datadog Agent 5.19 or later)";
            let hint = if [404, 415].contains(&status) {
                hint
            } else {
                ""
            };
            assert!(detail.ends_with(&format!(": no way{hint}")), "{detail}");
            let answer = delivered.outcome.failures[0].answer.as_ref();
            assert_eq!(answer.unwrap(), &(status, "no\nway".to_owned()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_shown_of_an_answer_is_short_printable_and_without_secrets() {
        let body = format!("bad key s3cr3t\u{202e}\n{}", "x".repeat(999)).leak();
        let agent = Agent::with([Answer(403, body)], |config| {
            let secret = "s3cr3t".parse().unwrap();
            config.headers.insert("dd-api-key", secret);
        });
        let delivered = agent.deliver(&[1]).await;
        let detail = delivered.details()[0];
        assert!(detail.contains(": bad key …  xxx"), "{detail}");
        assert!(detail.chars().count() < 300, "{detail}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_overloaded_agent_is_asked_again() {
        for status in [408, 429, 500, 502, 503, 504] {
            let agent = Agent::new([Answer(status, "busy"), Answer(status, "busy")]);
            let delivered = agent.deliver(&[2]).await;
            assert_eq!(delivered.spans(), (2, vec![]), "{status}");
            assert_eq!((agent.client.count(), delivered.stats.retries), (3, 2));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_between_attempts_grow() {
        let agent = Agent::new((0..6).map(|_| Answer(503, "busy")));
        agent.deliver(&[1]).await;
        let bounds = [0.1, 0.2, 0.4, 0.8, 1.0, 1.0];
        for (pause, bound) in agent.pauses().into_iter().zip(bounds) {
            let range = seconds(bound / 2.0)..=seconds(bound + 0.002);
            assert!(range.contains(&pause), "{pause:?} of {bound}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn retry_after_prolongs_a_pause() {
        let wait = AnswerWith(429, &[("retry-after", "3")], "");
        let shorter = AnswerWith(503, &[("retry-after", "0")], "");
        let odd = AnswerWith(503, &[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "");
        let agent = Agent::new([wait, shorter, odd]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.spans(), (1, vec![]));
        let pauses = agent.pauses();
        assert_about(pauses[0], 3.0);
        assert!(
            pauses[1] < seconds(0.3) && pauses[2] < seconds(0.5),
            "{pauses:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_pause_beyond_the_deadline_is_not_waited_for() {
        for wait in ["11", "99999999999999999999999"] {
            let wait: &'static [_] = Box::leak(Box::new([("retry-after", wait)]));
            let agent = Agent::new([AnswerWith(503, wait, "later")]);
            let delivered = agent.deliver(&[1]).await;
            assert_eq!(delivered.spans(), (0, vec![(1, Loss::Refused)]));
            assert_eq!(delivered.took, Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_stays_overloaded_is_given_up_at_the_deadline() {
        let agent = Agent::new((0..100).map(|_| Answer(503, "busy")));
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.spans(), (0, vec![(1, Loss::Refused)]));
        assert!(delivered.took <= seconds(10.0) && delivered.took >= seconds(8.9));
        assert!(delivered.details()[0].contains("answered 503"));
    }
}

mod lost_requests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_failed_connection_is_tried_again() {
        let agent = Agent::new([Fail("connection refused"), Fail("reset")]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_eq!(delivered.stats.retries, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_without_an_answer_is_given_up_after_the_agent_timeout() {
        let agent = Agent::new([Hang]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        let pause = agent.pauses()[0];
        assert!(
            seconds(2.05) <= pause && pause <= seconds(2.11),
            "{pause:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_down_is_given_up_at_the_deadline() {
        let agent = Agent::new((0..100).map(|_| Fail("connection refused")));
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
        assert_about(delivered.took, 10.0);
        let expected = "the agent at http://agent:8126 cannot be reached: connection refused";
        assert_eq!(delivered.details(), [expected]);
        let requests = agent.client.count();
        assert!((10..=24).contains(&requests), "{requests}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_of_the_http_client_is_tried_again() {
        let cause = "OS can't spawn worker thread";
        let delivered = Agent::new([Panic(cause)]).deliver(&[2]).await;
        assert_eq!(
            (delivered.spans(), delivered.stats.retries),
            ((2, vec![]), 1)
        );
        assert!(delivered.stats.last_error.unwrap().ends_with(cause));
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_has_begun_has_all_of_its_time() {
        let agent = Agent::with([Slow(seconds(1.5), 200)], |config| {
            config.retry_deadline = seconds(0.5);
        });
        assert_eq!(agent.deliver(&[2]).await.spans(), (2, vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_is_shown_that_is_older_than_a_failed_connection() {
        let agent = Agent::new(
            [Answer(503, "busy")]
                .into_iter()
                .chain((0..99).map(|_| Fail("reset"))),
        );
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.spans(), (0, vec![(1, Loss::Unreachable)]));
    }

    #[tokio::test(start_paused = true)]
    async fn an_agent_that_is_down_sees_one_request_at_a_time_of_all_payloads() {
        let agent = Agent::new((0..200).map(|_| Fail("connection refused")));
        let all = tokio::join!(
            agent.deliver(&[1]),
            agent.deliver(&[1]),
            agent.deliver(&[1])
        );
        for delivered in [all.0, all.1, all.2] {
            assert_eq!(delivered.spans(), (0, vec![(1, Loss::Unreachable)]));
        }
        let requests = agent.client.count();
        assert!((10..=24).contains(&requests), "{requests}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_payload_that_the_agent_cannot_stand_does_not_hold_up_the_others() {
        let agent = Agent::new([Fail("reset")]);
        let (bad, good) = tokio::join!(agent.deliver(&[1]), agent.deliver(&[2]));
        assert_eq!((bad.spans(), good.spans()), ((1, vec![]), (2, vec![])));
        assert_eq!(agent.received(), [[1], [2], [1]]);
        assert!(good.took < bad.took);
    }
}

mod answers_without_an_end {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_status_stands_when_the_body_cannot_be_read() {
        fn endless(status: u16, _: &'static str) -> Script {
            Answer(status, "x".repeat(3 * 1024 * 1024).leak())
        }
        for (body, took) in [
            (CutShort as fn(u16, &'static str) -> Script, 0.0),
            (Stalled, 2.0),
            (endless, 0.0),
        ] {
            let agent = Agent::new([body(200, "{}")]);
            let delivered = agent.deliver(&[2]).await;
            assert_eq!(delivered.spans(), (2, vec![]));
            assert_about(delivered.took, took);
            assert_eq!(agent.client.count(), 1);
            let agent = Agent::new([body(400, "bad")]);
            let delivered = agent.deliver(&[2]).await;
            assert_eq!(delivered.spans(), (0, vec![(2, Loss::Refused)]));
            assert!(delivered.details()[0].contains("answered 400"));
            assert_eq!(agent.client.count(), 1);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_of_the_body_is_kept_up_to_a_bound() {
        let agent = Agent::new([CutShort(200, r#"{"part"#)]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.outcome.accepted[0].body, r#"{"part"#);
        let agent = Agent::new([Answer(200, "x".repeat(2 * 1024 * 1024).leak())]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!(delivered.outcome.accepted[0].body.len(), 1024 * 1024);
    }

    #[tokio::test(start_paused = true)]
    async fn a_status_that_asks_for_a_retry_gets_one() {
        let agent = Agent::new([CutShort(503, "bu")]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!((delivered.spans(), agent.client.count()), ((1, vec![]), 2));
    }
}

mod accounts {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn each_request_has_an_outcome() {
        let script = [
            Answer(413, ""),
            Answer(503, ""),
            Answer(200, "{}"),
            Fail("reset"),
        ];
        let agent = Agent::new(script);
        agent.deliver(&[3, 4]).await;
        let requests = agent.queue.take_requests();
        let all: Vec<_> = requests
            .iter()
            .map(|one| (one.status, one.chunks, one.spans))
            .collect();
        assert_eq!(
            all,
            [
                (Some(413), 2, 7),
                (Some(503), 1, 3),
                (Some(200), 1, 3),
                (None, 1, 4),
                (Some(200), 1, 4)
            ]
        );
        let bodies = agent.client.requests.lock().unwrap();
        assert!(
            requests
                .iter()
                .zip(&*bodies)
                .all(|(one, (_, request))| one.bytes == request.body().len())
        );
        assert!(agent.queue.take_requests().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_failed_attempt_is_told_at_once() {
        for (failure, cause) in [
            (
                Fail("connection refused"),
                "cannot be reached: connection refused",
            ),
            (Hang, "cannot be reached: no answer within 2.000 s"),
            (
                Answer(503, "busy"),
                "answered 503 Service Unavailable: busy",
            ),
        ] {
            let delivered = Agent::new([failure]).deliver(&[1]).await;
            let lines = &delivered.lines;
            let detail = format!("the agent at http://agent:8126 {cause}");
            assert_eq!(delivered.stats.last_error.as_deref(), Some(detail.as_str()));
            assert_eq!(lines.len(), 1);
            assert!(lines[0].contains(&detail), "{lines:?}");
        }
    }
}

mod late_answers {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_while_the_next_attempt_waits_is_taken() {
        for (status, spans) in [(200, (2, vec![])), (400, (0, vec![(2, Loss::Refused)]))] {
            let agent = Agent::new([Slow(seconds(2.03), status)]);
            let delivered = agent.deliver(&[2]).await;
            assert_eq!(delivered.spans(), spans);
            assert_about(delivered.took, 2.03);
            assert_eq!((agent.client.count(), delivered.stats.retries), (1, 0));
            assert_eq!(delivered.stats.send_time_max, Some(seconds(2.03)));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_during_the_next_attempt_ends_it() {
        let agent = Agent::new([Slow(seconds(2.5), 200), Hang]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_about(delivered.took, 2.5);
        assert_eq!(agent.client.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_refusal_does_not_end_the_next_attempt() {
        let agent = Agent::new([Slow(seconds(2.5), 400), Slow(seconds(1.0), 200)]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_eq!(agent.client.count(), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn a_late_answer_closes_the_breaker() {
        let agent = Agent::new([Slow(seconds(2.03), 200)]);
        agent.deliver(&[1]).await;
        let next = agent.deliver(&[1]).await;
        assert_eq!(next.took, Duration::ZERO);
    }

    /// The statuses of all requests, in the order in which they were known.
    async fn statuses(script: impl IntoIterator<Item = Script>) -> Vec<Option<u16>> {
        let agent = Agent::with(script, |config| config.retry_deadline = seconds(5.0));
        agent.deliver(&[1]).await;
        let requests = agent.queue.take_requests();
        assert_eq!(requests.len(), agent.client.count());
        requests.iter().map(|one| one.status).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn each_request_has_one_outcome() {
        assert_eq!(statuses([Slow(seconds(2.03), 200)]).await, [Some(200)]);
        assert_eq!(
            statuses([Slow(seconds(2.03), 503)]).await,
            [Some(503), Some(200)]
        );
        let ended = statuses([Slow(seconds(2.5), 200), Hang]).await;
        assert_eq!(ended, [Some(200), None]);
        let refused = statuses([Slow(seconds(2.5), 400), Slow(seconds(1.0), 200)]).await;
        assert_eq!(refused, [Some(400), Some(200)]);
        let failed = statuses([LateFailure(seconds(2.03))]).await;
        assert_eq!(failed, [None, Some(200)]);
        let silent = statuses((0..9).map(|_| Hang)).await;
        assert_eq!(silent, [None; 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_comes_costs_the_next_attempt_no_time() {
        let agent = Agent::new([Hang, Hang]);
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_eq!((agent.client.count(), delivered.stats.retries), (3, 2));
        let pauses = agent.pauses();
        assert!(
            pauses.iter().all(|pause| *pause < seconds(2.3)),
            "{pauses:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn none_is_waited_for_beyond_the_deadline() {
        let agent = Agent::with([Slow(seconds(2.03), 200)], |config| {
            config.retry_deadline = seconds(1.0);
        });
        let delivered = agent.deliver(&[2]).await;
        assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
        assert_about(delivered.took, 2.0);
        assert_eq!(agent.client.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_that_fails_late_changes_nothing() {
        let agent = Agent::new([LateFailure(seconds(2.03))]);
        let delivered = agent.deliver(&[1]).await;
        assert_eq!((delivered.spans(), agent.client.count()), ((1, vec![]), 2));
    }
}

mod a_stopped_process {
    use super::*;

    /// Lets time pass at once, as a process sees it that was stopped.
    async fn stop_for(time: f64, after: f64) {
        tokio::time::sleep(seconds(after)).await;
        tokio::time::advance(seconds(time)).await;
    }

    #[tokio::test(start_paused = true)]
    async fn reads_the_answer_that_came_meanwhile() {
        let agent = Agent::with([Relayed(seconds(1.0), 200)], |config| {
            config.retry_deadline = seconds(1.0);
        });
        let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(5.0, 0.4));
        assert_eq!(delivered.spans(), (2, vec![]));
        assert_eq!((agent.client.count(), delivered.stats.retries), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn makes_one_more_attempt_before_a_loss_is_counted() {
        let agent = Agent::with([Hang], |config| config.retry_deadline = seconds(2.0));
        let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(60.0, 0.4));
        assert_eq!((delivered.spans(), agent.client.count()), ((2, vec![]), 2));
    }

    #[tokio::test(start_paused = true)]
    async fn loses_no_time_for_retries() {
        let agent = Agent::new((0..3).map(|_| Fail("reset")));
        // The stop falls into the pause after the first failure.
        let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stop_for(60.0, 0.01));
        assert_eq!((delivered.spans(), agent.client.count()), ((2, vec![]), 4));
    }

    #[tokio::test(start_paused = true)]
    async fn gives_up_at_last() {
        let agent = Agent::new((0..99).map(|_| Hang));
        let stops = async {
            for _ in 0..20 {
                stop_for(5.0, 0.5).await;
            }
        };
        let (delivered, ()) = tokio::join!(agent.deliver(&[2]), stops);
        assert_eq!(delivered.spans(), (0, vec![(2, Loss::Unreachable)]));
    }
}

mod splitting {
    use super::*;

    fn too_large() -> Script {
        Answer(413, "too large")
    }

    #[tokio::test(start_paused = true)]
    async fn a_payload_that_is_too_large_is_sent_in_halves() {
        let agent = Agent::new([too_large()]);
        let delivered = agent.deliver(&[1, 1, 1, 1]).await;
        assert_eq!(delivered.spans(), (4, vec![]));
        assert_eq!(agent.received(), [vec![1, 1, 1, 1], vec![1, 1], vec![1, 1]]);
        assert_eq!(delivered.stats.retries, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn halves_are_split_again_so_that_only_the_chunk_at_fault_is_lost() {
        let ok = || Answer(200, "{}");
        let agent = Agent::new([too_large(), too_large(), ok(), too_large(), ok()]);
        let delivered = agent.deliver(&[2, 2, 2, 2]).await;
        assert_eq!(
            agent.received(),
            [vec![2; 4], vec![2; 2], vec![2], vec![2], vec![2; 2]]
        );
        assert_eq!(delivered.spans(), (6, vec![(2, Loss::TooLarge)]));
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_chunk_that_is_too_large_is_lost() {
        let agent = Agent::new([too_large()]);
        let delivered = agent.deliver(&[7]).await;
        assert_eq!(delivered.spans(), (0, vec![(7, Loss::TooLarge)]));
        assert!(delivered.details()[0].contains("answered 413"));
        assert_eq!(agent.client.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn each_part_is_retried_on_its_own() {
        let agent = Agent::new([
            too_large(),
            Answer(503, "busy"),
            Answer(200, "{}"),
            Answer(400, "no"),
        ]);
        let delivered = agent.deliver(&[1, 1]).await;
        assert_eq!(delivered.spans(), (1, vec![(1, Loss::Refused)]));
        assert_eq!(delivered.stats.retries, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn parts_that_no_time_is_left_for_are_lost_as_the_whole_was() {
        let script = [too_large()]
            .into_iter()
            .chain((0..99).map(|_| Answer(503, "busy")));
        let agent = Agent::with(script, |config| config.retry_deadline = seconds(0.01));
        let delivered = agent.deliver(&[1, 1]).await;
        let (accepted, lost) = delivered.spans();
        assert_eq!((accepted, lost.len()), (0, 2));
    }
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
