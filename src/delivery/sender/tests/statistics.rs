//! Statistics that are computed from the spans on their way out.

use super::*;
use crate::config::HeaderText;
use crate::delivery::statistics::{LEAST_BYTES, MAX_PENDING_BYTES};
use crate::testing::unsampled;
use libdd_trace_protobuf::pb::ClientStatsPayload;
use std::sync::{Mutex, MutexGuard, PoisonError};

const COMPUTES: &str = r#"{"client_drop_p0s":true,"endpoints":["/v0.4/traces","/v0.6/stats"]}"#;
const DOES_NOT: &str = r#"{"endpoints":["/v0.4/traces"]}"#;

/// The library has one `/info` for a process, in which tests run side by side.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn client(info: &'static str) -> Arc<ScriptedClient> {
    let client = ScriptedClient::new([]);
    let info = Script::SlowInfo(Duration::from_millis(100), info);
    client.info.lock().unwrap().push_back(info);
    client
}

fn with_stats(config: &mut Config) {
    config.stats = true;
    config.application.env = "test".into();
    config.application.service = "shop".into();
}

/// Sends with statistics.
fn sending_with<F: Future>(
    client: &Arc<ScriptedClient>,
    test: impl FnOnce(Arc<Queue>) -> F,
) -> Stats {
    sending(client, with_stats, test)
}

/// Pushes chunks and flushes. Returns whether the flush is over after a while.
async fn flush(queue: &Arc<Queue>, chunks: TraceChunks, after: Duration) -> bool {
    queue.push(chunks, None);
    let flush = queue.flush();
    tokio::time::sleep(after).await;
    flush.wait(Duration::ZERO)
}

/// Returns the spans counted in all statistics that were received.
fn counted(client: &ScriptedClient) -> u64 {
    let requests = client.stats_requests.lock().unwrap();
    let payloads = requests.iter().map(|(_, request)| payload(request.body()));
    let buckets = payloads.flat_map(|payload| payload.stats);
    let groups = buckets.flat_map(|bucket| bucket.stats);
    groups.map(|group| group.hits).sum()
}

fn payload(body: &[u8]) -> ClientStatsPayload {
    rmp_serde::from_slice(body).unwrap()
}

fn second() -> Duration {
    Duration::from_secs(1)
}

/// Returns a header of each payload.
fn headers(client: &ScriptedClient, name: &str) -> Vec<Option<String>> {
    let requests = client.requests.lock().unwrap();
    let headers = requests.iter().map(|(_, request)| {
        let header = request.headers().get(name)?;
        Some(header.to_str().unwrap().to_owned())
    });
    headers.collect()
}

#[test]
fn the_first_payload_is_counted_and_a_flush_sends_the_statistics() {
    let _alone = alone();
    let client = client(COMPUTES);
    let stats = sending_with(&client, |queue| async move {
        let chunks = list([chunk(2), unsampled(3), named("other", 1)]);
        assert!(flush(&queue, chunks, second()).await);
        assert_eq!(queue.stats().stats_payloads_sent, 1);
    });
    assert_eq!(
        (
            stats.spans_sent,
            stats.spans_sampled_out,
            stats.payloads_sent
        ),
        (3, 3, 1)
    );
    assert_eq!(
        (stats.stats_payloads_sent, stats.stats_payloads_dropped),
        (1, 0)
    );
    let set = |value: &str| [Some(value.to_owned())];
    assert_eq!(
        headers(&client, "datadog-client-computed-stats"),
        set("true")
    );
    assert_eq!(
        headers(&client, "datadog-client-dropped-p0-traces"),
        set("1")
    );
    assert_eq!(
        headers(&client, "datadog-client-dropped-p0-spans"),
        set("3")
    );
    let requests = client.stats_requests.lock().unwrap();
    let sent = payload(requests[0].1.body());
    assert_eq!((sent.env.as_str(), sent.service.as_str()), ("test", "shop"));
    assert!(!sent.runtime_id.is_empty());
    drop(requests);
    // All spans of a test's chunk are roots.
    assert_eq!(counted(&client), 6);
}

#[test]
fn statistics_are_sent_before_the_exporter_has_ended() {
    let _alone = alone();
    let client = client(COMPUTES);
    let slow = Script::Slow(second(), 200);
    client.stats.lock().unwrap().push_back(slow);
    let stats = sending_with(&client, |queue| async move {
        queue.push(list([chunk(2)]), None);
        tokio::time::sleep(second() * 2).await;
    });
    assert_eq!(stats.stats_payloads_sent, 1);
    assert_eq!(counted(&client), 2);
}

#[test]
fn a_payload_of_unsampled_traces_alone_is_empty_and_costs_nothing_if_it_is_refused() {
    let _alone = alone();
    let client = client(COMPUTES);
    let no = Script::Answer(400, "no");
    let script = ScriptedClient::new([no]);
    std::mem::swap(
        &mut *script.info.lock().unwrap(),
        &mut *client.info.lock().unwrap(),
    );
    let stats = sending_with(&script, |queue| async move {
        assert!(flush(&queue, list([unsampled(3)]), second()).await);
        assert_eq!(queue.take_lines(), [""; 0]);
    });
    assert_eq!((stats.spans_sent, stats.spans_sampled_out), (0, 3));
    assert_eq!(stats.dropped.iter().sum::<u64>(), 0);
    assert_eq!(counted(&script), 3);
}

#[test]
fn an_agent_that_does_not_allow_it_gets_all_spans_and_no_statistics() {
    let _alone = alone();
    let client = client(DOES_NOT);
    let stats = sending_with(&client, |queue| async move {
        assert!(flush(&queue, list([chunk(2), unsampled(3)]), second()).await);
    });
    assert_eq!((stats.spans_sent, stats.spans_sampled_out), (5, 0));
    assert_eq!(headers(&client, "datadog-client-computed-stats"), [None]);
    assert_eq!(client.stats_requests.lock().unwrap().len(), 0);
}

#[test]
fn an_exporter_waits_at_its_end_for_an_agent_that_answers_soon() {
    let _alone = alone();
    for (delay, sampled_out) in [(90, 3), (110, 0)] {
        let client = ScriptedClient::new([]);
        let info = Script::SlowInfo(Duration::from_millis(delay), COMPUTES);
        client.info.lock().unwrap().push_back(info);
        let stats = sending_with(&client, |queue| async move {
            queue.push(list([unsampled(3)]), None);
        });
        assert_eq!(
            (stats.spans_sampled_out, counted(&client)),
            (sampled_out, sampled_out)
        );
    }
}

#[test]
fn each_exporter_goes_by_its_own_agent() {
    let _alone = alone();
    for _ in 0..2 {
        for (info, sampled_out) in [(COMPUTES, 3), (DOES_NOT, 0)] {
            let client = client(info);
            let stats = sending_with(&client, |queue| async move {
                flush(&queue, list([unsampled(3)]), second()).await;
            });
            assert_eq!(stats.spans_sampled_out, sampled_out);
        }
    }
}

#[test]
fn an_agent_that_forbids_it_later_gets_what_was_counted_and_each_span_once() {
    let _alone = alone();
    let client = client(COMPUTES);
    let forbids = Script::Answer(200, DOES_NOT);
    client.info.lock().unwrap().push_back(forbids);
    let stats = sending_with(&client, |queue| async move {
        queue.push(list([chunk(2)]), None);
        tokio::time::sleep(Duration::from_secs(400)).await;
        for _ in 0..2 {
            queue.push(list([chunk(3)]), None);
            tokio::time::sleep(second() * 2).await;
        }
    });
    assert_eq!((stats.spans_sent, stats.payloads_sent), (8, 3));
    // The clock of the statistics stands still: they are sent because they have to end.
    assert_eq!(counted(&client), 2);
    let computed = headers(&client, "datadog-client-computed-stats");
    assert_eq!(computed.iter().flatten().count(), 1);
}

#[test]
fn refused_statistics_are_sent_again_and_hold_up_no_payload() {
    let _alone = alone();
    let client = client(COMPUTES);
    for step in [Script::Answer(503, "busy"), Script::Fail("reset")] {
        client.stats.lock().unwrap().push_back(step);
    }
    let stats = sending_with(&client, |queue| async move {
        assert!(flush(&queue, list([chunk(2)]), second()).await);
    });
    assert_eq!(
        (stats.stats_payloads_sent, stats.stats_payloads_dropped),
        (1, 0)
    );
    let requests = client.stats_requests.lock().unwrap();
    let bodies: Vec<_> = requests.iter().map(|(_, request)| request.body()).collect();
    assert_eq!(bodies, [bodies[0]; 3]);
}

#[test]
fn an_endpoint_for_statistics_that_hangs_costs_one_request_and_holds_up_no_payload() {
    let _alone = alone();
    let client = client(COMPUTES);
    client.stats.lock().unwrap().push_back(Script::Hang);
    let stats = sending_with(&client, |queue| async move {
        assert!(!flush(&queue, list([chunk(2)]), second()).await);
        queue.push(list([chunk(1)]), None);
        tokio::time::sleep(second() * 3 / 2).await;
        assert_eq!(queue.stats().spans_sent, 3);
        let flushed = queue.flush();
        tokio::time::sleep(second()).await;
        assert!(flushed.wait(Duration::ZERO));
        let lines = queue.take_lines();
        assert!(lines[0].contains("cannot be reached: no answer within 2.000 s"));
    });
    assert_eq!(
        (stats.stats_payloads_sent, stats.stats_payloads_dropped),
        (1, 1)
    );
}

#[test]
fn the_parts_of_a_payload_are_counted_once() {
    let _alone = alone();
    let client = client(COMPUTES);
    let script = ScriptedClient::new([Script::Answer(413, "")]);
    std::mem::swap(
        &mut *script.info.lock().unwrap(),
        &mut *client.info.lock().unwrap(),
    );
    let stats = sending_with(&script, |queue| async move {
        let chunks = list([chunk(2), unsampled(3), chunk(1)]);
        assert!(flush(&queue, chunks, second()).await);
    });
    assert_eq!((stats.spans_sent, stats.spans_sampled_out), (3, 3));
    assert_eq!(counted(&script), 6);
    let whole = Some("3".to_owned());
    let dropped = headers(&script, "datadog-client-dropped-p0-spans");
    assert_eq!(dropped, [whole.clone(), whole, None]);
}

#[test]
fn requests_with_statistics_carry_the_headers_of_the_others() {
    let _alone = alone();
    let client = client(COMPUTES);
    let change = |config: &mut Config| {
        with_stats(config);
        config.headers.insert("x-own", "1".parse().unwrap());
        config.test_session_token = HeaderText::parse("token").ok();
    };
    sending(&client, change, |queue| async move {
        flush(&queue, list([chunk(1)]), second()).await;
    });
    let requests = client.stats_requests.lock().unwrap();
    let headers = requests[0].1.headers();
    for (name, value) in [
        ("x-own", "1"),
        ("x-datadog-test-session-token", "token"),
        ("datadog-meta-lang", "test"),
        ("content-type", "application/msgpack"),
    ] {
        assert_eq!(headers[name], value, "{name}");
    }
}

#[test]
fn what_may_have_arrived_and_what_is_put_off_for_too_long_is_not_repeated() {
    let _alone = alone();
    const FOR_EVER: &[(&str, &str)] = &[("retry-after", "99999999999999999999")];
    let never = Script::AnswerWith(503, FOR_EVER, "");
    for step in [Script::LateFailure(Duration::ZERO), never] {
        let client = client(COMPUTES);
        client.stats.lock().unwrap().push_back(step);
        let stats = sending_with(&client, |queue| async move {
            assert!(flush(&queue, list([chunk(2)]), second()).await);
        });
        assert_eq!(client.stats_requests.lock().unwrap().len(), 1);
        let counts = (stats.stats_payloads_sent, stats.stats_payloads_dropped);
        assert_eq!(counts, (0, 1));
    }
}

#[test]
fn what_was_counted_before_the_sender_panicked_is_sent_with_the_rest() {
    let _alone = alone();
    let client = client(COMPUTES);
    let stats = sending_with(&client, |queue| async move {
        assert!(flush(&queue, list([chunk(2)]), second()).await);
        queue.push(list([chunk(2)]), None);
        tokio::time::sleep(second() * 2).await;
        PANICS.set(1);
        assert!(flush(&queue, list([chunk(3)]), second()).await);
        assert_eq!(queue.stats().stats_payloads_sent, 2);
    });
    assert_eq!((stats.spans_sent, stats.stats_payloads_sent), (7, 2));
    assert_eq!(counted(&client), 7);
}

/// Returns chunks of a span each that end in the distant future, at some distance from each other.
fn of_the_future(chunks: usize) -> TraceChunks {
    list((0..chunks).map(|number| {
        let mut chunk = chunk(1);
        chunk.spans[0].start = i64::MAX - number as i64 * 60_000_000_000;
        chunk
    }))
}

#[test]
fn statistics_of_the_future_are_not_kept_until_then() {
    let _alone = alone();
    let client = client(COMPUTES);
    sending_with(&client, |queue| async move {
        queue.push(of_the_future(3), None);
        tokio::time::sleep(second() * 2).await;
        assert_eq!(queue.stats().stats_payloads_sent, 1);
    });
    assert_eq!(counted(&client), 3);
}

#[test]
fn as_many_requests_with_statistics_wait_as_have_room() {
    let _alone = alone();
    let requests = MAX_PENDING_BYTES / LEAST_BYTES;
    for (more, lost) in [(0, 0), (2, 2)] {
        let client = client(COMPUTES);
        let busy = (0..requests).map(|_| Script::Answer(503, "busy"));
        client.stats.lock().unwrap().extend(busy);
        let change = |config: &mut Config| {
            with_stats(config);
            config.max_payload_bytes = 1;
        };
        let stats = sending(&client, change, |queue| async move {
            queue.push(of_the_future(requests + more), None);
            tokio::time::sleep(second() * 5).await;
        });
        let counts = (stats.stats_payloads_sent, stats.stats_payloads_dropped);
        assert_eq!(counts, (requests as u64, lost));
    }
}
