//! The sender over the real trace exporter, with a scripted agent and a paused clock.

use super::super::http_client::tests::{Script, ScriptedClient};
use super::*;
use crate::report::stats::Stats;
use crate::span::{Chunk, TraceChunks};
use crate::testing::{chunk, chunks, config, list, named};
use libdd_trace_utils::msgpack_decoder;
use libdd_trace_utils::span::v04::SpanEventBytes;
use std::cell::Cell;
use std::future::Future;

mod otlp;
mod statistics;

thread_local! {
    /// How often the task of the sender is yet to panic when it is about to take a payload.
    static PANICS: Cell<u32> = const { Cell::new(0) };
}

pub fn panic_if_asked() {
    let left = PANICS.get();
    PANICS.set(left.saturating_sub(1));
    assert_eq!(left, 0);
}

/// Runs a sender over the real trace exporter, with a scripted agent and a paused clock, while
/// `test` does something with its queue, and until everything is sent. Returns the counters.
fn sending<F: Future>(
    client: &Arc<ScriptedClient>,
    change: impl FnOnce(&mut Config),
    test: impl FnOnce(Arc<Queue>) -> F,
) -> Stats {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    let runtime = Arc::new(runtime);
    let workers = Arc::new(BasicRuntime::from_handle(Arc::clone(&runtime)));
    let mut config = config();
    change(&mut config);
    let queue = Arc::new(Queue::new(&config));
    let sender = Sender::new(
        Arc::new(config),
        Arc::clone(&queue),
        workers,
        client.clone(),
    );
    runtime.block_on(async {
        let sending = tokio::spawn(sender.run());
        test(Arc::clone(&queue)).await;
        queue.close();
        sending.await.unwrap();
    });
    let stats = queue.stats();
    assert_eq!(stats.unsettled(), 0, "{stats:?}");
    stats
}

/// Sends the chunks and returns the counters.
fn send(client: &Arc<ScriptedClient>, chunks: TraceChunks) -> Stats {
    sending(
        client,
        |_| (),
        |queue| async move {
            queue.push(chunks, None);
        },
    )
}

/// Returns the names of the first spans of the chunks of each request.
fn names(client: &ScriptedClient) -> Vec<Vec<String>> {
    let requests = client.requests.lock().unwrap();
    let requests = requests.iter().map(|(_, request)| {
        let body = request.body().clone();
        let (chunks, _) = msgpack_decoder::v04::from_slice(&body).unwrap();
        let names = chunks.iter().map(|chunk| chunk[0].name.to_string());
        names.collect()
    });
    requests.collect()
}

#[test]
fn chunks_are_encoded_with_the_headers_of_the_tracer() {
    let client = ScriptedClient::new([]);
    let stats = send(&client, list([named("a", 1), named("b", 2)]));
    assert_eq!((stats.spans_sent, stats.payloads_sent), (3, 1));
    assert_eq!(names(&client), [["a", "b"]]);
    let requests = client.requests.lock().unwrap();
    let request = &requests[0].1;
    assert_eq!(request.uri(), "http://agent:8126/v0.4/traces");
    for (name, value) in [
        ("content-type", "application/msgpack"),
        ("x-datadog-trace-count", "2"),
        ("datadog-meta-lang", "test"),
        ("datadog-meta-tracer-version", "test"),
    ] {
        assert_eq!(request.headers()[name], value, "{name}");
    }
    assert_eq!(stats.bytes_sent, request.body().len() as u64);
}

#[test]
fn payloads_are_delivered_in_turn_and_each_on_its_own() {
    let client = ScriptedClient::new([Script::Answer(400, "no")]);
    let all = |queue: Arc<Queue>| async move {
        for name in ["a", "b", "c"] {
            queue.push(list([named(name, 1)]), None);
        }
    };
    let stats = sending(&client, |config| config.max_payload_bytes = 1, all);
    assert_eq!(names(&client), [["a"], ["b"], ["c"]]);
    assert_eq!(
        (stats.spans_sent, stats.dropped[Loss::Refused as usize]),
        (2, 1)
    );
}

#[test]
fn chunks_stay_in_the_queue_while_a_request_is_under_way() {
    let client = ScriptedClient::new([Script::Slow(Duration::from_secs(1), 200)]);
    let outage = |queue: Arc<Queue>| async move {
        for spans in [1, 2, 3] {
            queue.push(chunks(&[spans]), None);
            drop(queue.flush());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let stats = queue.stats();
        assert_eq!((stats.in_flight.spans, stats.queued.spans), (1, 5));
    };
    let stats = sending(&client, |_| (), outage);
    assert_eq!((stats.spans_sent, stats.payloads_sent), (6, 2));
}

#[test]
fn a_chunk_that_no_agent_takes_costs_only_itself() {
    let mut large = named("large", 1);
    large.spans[0]
        .meta_struct
        .insert("k".into(), vec![0; AGENT_MAX_BYTES].into());
    let with_bound = |mut chunk: Chunk| {
        chunk.size.wire = AGENT_MAX_BYTES + 1;
        chunk
    };
    let client = ScriptedClient::new([]);
    let all = [
        named("a", 1),
        with_bound(large),
        with_bound(named("b", 1)),
        named("c", 1),
    ];
    let stats = send(&client, list(all));
    assert_eq!(names(&client), [["a"], ["b"], ["c"]]);
    assert_eq!(
        (stats.spans_sent, stats.dropped[Loss::TooLarge as usize]),
        (3, 1)
    );
    let error = stats.last_error.unwrap();
    assert!(
        error.starts_with("a trace of 1 spans takes 2621"),
        "{error}"
    );
}

#[test]
fn a_panic_costs_one_payload() {
    let client = ScriptedClient::new([]);
    let all = |queue: Arc<Queue>| async move {
        for name in ["a", "panic", "b"] {
            queue.push(list([named(name, 2)]), None);
        }
    };
    let stats = sending(&client, |config| config.max_payload_bytes = 1, all);
    assert_eq!(names(&client), [["a"], ["b"]]);
    assert_eq!(
        (stats.spans_sent, stats.dropped[Loss::Internal as usize]),
        (4, 2)
    );
    assert_eq!(stats.in_flight.spans, 0);
}

#[test]
fn a_sender_that_panics_again_and_again_stops_and_says_so() {
    let client = ScriptedClient::new([]);
    PANICS.set(MAX_PANICS);
    let all = |queue: Arc<Queue>| async move {
        queue.push(chunks(&[3]), None);
        let flush = queue.flush();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(flush.wait(Duration::ZERO));
        assert!(!queue.push(chunks(&[2]), None));
        let lines = queue.take_lines();
        let expected = "(internal): the sender has stopped after 10 internal errors";
        assert!(lines[0].contains(expected), "{lines:?}");
    };
    let stats = sending(&client, |_| (), all);
    assert_eq!(stats.dropped[Loss::Internal as usize], 5);
    assert!(stats.last_error.unwrap().contains("has stopped"));
}

#[test]
fn the_sender_waits_for_payloads_in_flight_when_the_queue_is_closed() {
    let client = ScriptedClient::new([Script::Slow(Duration::from_secs(1), 200)]);
    assert_eq!(send(&client, list([chunk(4)])).spans_sent, 4);
}

#[test]
fn the_agent_is_asked_for_its_info_once() {
    let client = ScriptedClient::new([]);
    let all = |queue: Arc<Queue>| async move {
        for _ in 0..3 {
            queue.push(chunks(&[1]), None);
            drop(queue.flush());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    sending(&client, |_| (), all);
    assert_eq!(client.count(), 3);
    assert_eq!(client.info_requests.lock().unwrap().len(), 1);
}

fn with_event() -> TraceChunks {
    let mut chunk = chunk(1);
    chunk.spans[0].span_events = vec![SpanEventBytes::default()];
    list([chunk])
}

/// Returns whether the events of the first payload were sent typed, and how long that took.
fn first_events(
    info: Script,
    change: impl FnOnce(&mut Config),
    end: fn(&Queue),
) -> (bool, Duration) {
    let client = ScriptedClient::new([]);
    client.info.lock().unwrap().push_back(info);
    let began = std::cell::Cell::new(None);
    let export = |queue: Arc<Queue>| {
        began.set(Some(tokio::time::Instant::now()));
        queue.push(with_event(), None);
        drop(queue.flush());
        async move {
            tokio::time::sleep(Duration::from_millis(100)).await;
            end(&queue);
            tokio::time::sleep(Duration::from_secs(5)).await;
        }
    };
    sending(&client, change, export);
    let requests = client.requests.lock().unwrap();
    let (at, request) = &requests[0];
    let (chunks, _) = msgpack_decoder::v04::from_slice(request.body()).unwrap();
    (
        !chunks[0][0].span_events.is_empty(),
        *at - began.get().unwrap(),
    )
}

const TAKES_EVENTS: &str = r#"{"span_events":true}"#;

#[test]
fn events_of_the_first_payload_are_typed_if_the_agent_takes_them() {
    let answer = Script::SlowInfo(Duration::from_millis(300), TAKES_EVENTS);
    let (typed, took) = first_events(answer, |_| (), |_| ());
    assert_eq!((typed, took.as_millis()), (true, 300));
}

#[test]
fn events_do_not_wait_longer_than_a_second_for_the_agent_to_say_so() {
    let (typed, took) = first_events(Script::Hang, |_| (), |_| ());
    assert_eq!((typed, took.as_millis()), (false, 1_000));
}

#[test]
fn events_do_not_wait_at_the_end_of_the_exporter_or_the_process() {
    let ends: [fn(&Queue); 2] = [Queue::close, |queue| queue.note_ending()];
    for end in ends {
        let (typed, took) = first_events(Script::Hang, |_| (), end);
        assert_eq!((typed, took.as_millis()), (false, 100));
    }
}

#[test]
fn events_do_not_wait_if_their_form_is_configured() {
    let typed = |config: &mut Config| config.span_events = Some(true);
    let (typed, took) = first_events(Script::Hang, typed, |_| ());
    assert_eq!((typed, took), (true, Duration::ZERO));
}

#[test]
fn spans_without_events_do_not_wait() {
    let client = ScriptedClient::new([]);
    client.info.lock().unwrap().push_back(Script::Hang);
    let export = |queue: Arc<Queue>| async move {
        queue.push(chunks(&[1]), None);
        drop(queue.flush());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert_eq!(queue.stats().spans_sent, 1);
    };
    sending(&client, |_| (), export);
}
