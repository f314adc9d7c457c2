//! Sending by OTLP, decoded with its published schema.

use super::*;
use crate::config::OtlpProtocol;
use crate::queue::{PartOutcome, ReplySlot, Responder};
use crate::testing::{otlp_config, unsampled};
use libdd_trace_protobuf::opentelemetry::proto::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

/// Sends chunks by OTLP, and returns the counters.
fn send_by(
    protocol: OtlpProtocol,
    client: &Arc<ScriptedClient>,
    max_payload_bytes: usize,
    chunks: TraceChunks,
) -> Stats {
    let otlp = |config: &mut Config| {
        *config = otlp_config(protocol);
        config.max_payload_bytes = max_payload_bytes;
    };
    let stats = sending(client, otlp, |queue| async move {
        queue.push(chunks, None);
    });
    assert_eq!(client.info_requests.lock().unwrap().len(), 0);
    stats
}

fn send(client: &Arc<ScriptedClient>, chunks: TraceChunks) -> Stats {
    send_by(OtlpProtocol::HttpProtobuf, client, 1_000_000, chunks)
}

/// Returns the number of spans in each request.
fn received(client: &ScriptedClient) -> Vec<usize> {
    let requests = client.requests.lock().unwrap();
    let requests = requests.iter().map(|(_, request)| {
        assert_eq!(request.uri(), "http://collector:4318/v1/traces");
        let body = ExportTraceServiceRequest::decode(request.body().clone()).unwrap();
        let scopes = body.resource_spans.iter().flat_map(|one| &one.scope_spans);
        scopes.map(|scope| scope.spans.len()).sum()
    });
    requests.collect()
}

#[test]
fn unsampled_traces_are_not_sent_and_counted() {
    let client = ScriptedClient::new([]);
    let stats = send(&client, list([chunk(2), unsampled(3), chunk(1)]));
    assert_eq!(received(&client), [3]);
    assert_eq!((stats.spans_sent, stats.spans_sampled_out), (3, 3));
}

#[test]
fn nothing_is_sent_where_all_is_unsampled() {
    let client = ScriptedClient::new([]);
    let slot = ReplySlot::default();
    let responder = Responder::new(Arc::clone(&slot));
    let otlp = |config: &mut Config| *config = otlp_config(OtlpProtocol::HttpJson);
    let stats = sending(&client, otlp, |queue| async move {
        queue.push(list([unsampled(3)]), Some(responder));
    });
    assert_eq!(client.count(), 0);
    assert_eq!((stats.spans_sampled_out, stats.payloads_sent), (3, 0));
    let outcome = slot.get().unwrap();
    assert_eq!(outcome.result, PartOutcome::SampledOut(1));
    assert_eq!((outcome.accepted, outcome.sampled_out), (0, 1));
}

#[test]
fn spans_that_a_collector_rejects_are_lost_and_the_others_sent() {
    let body = r#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"too old"}}"#;
    let json = &[("content-type", "application/json")];
    let client = ScriptedClient::new([Script::AnswerWith(200, json, body)]);
    let stats = send(&client, list([chunk(5), unsampled(1)]));
    let refused = stats.dropped[Loss::Refused as usize];
    assert_eq!(
        (stats.spans_sent, refused, stats.spans_sampled_out),
        (3, 2, 1)
    );
    let expected =
        "the OTLP collector at http://collector:4318 rejected 2 spans of a request: too old";
    assert_eq!(stats.last_error.unwrap(), expected);
}

#[test]
fn a_payload_that_is_too_large_is_not_divided() {
    let client = ScriptedClient::new([Script::Answer(413, "no")]);
    let stats = send(&client, list([chunk(2), unsampled(1), chunk(1)]));
    assert_eq!(received(&client), [3]);
    let too_large = stats.dropped[Loss::TooLarge as usize];
    assert_eq!((too_large, stats.spans_sampled_out), (3, 1));
}

#[test]
fn messages_name_the_collector() {
    for (step, expected) in [
        (
            Script::Answer(404, "no"),
            "the OTLP collector at http://collector:4318 answered 404 Not Found: no (collectors usually",
        ),
        (
            Script::Answer(401, "who are you"),
            "the OTLP collector at http://collector:4318 answered 401 Unauthorized: who are you",
        ),
    ] {
        let client = ScriptedClient::new([step]);
        let error = send(&client, list([chunk(1)])).last_error.unwrap();
        assert!(error.starts_with(expected), "{error}");
    }
    let failures = (0..200).map(|_| Script::Fail("refused"));
    let error = send(&ScriptedClient::new(failures), list([chunk(1)])).last_error;
    let expected = "the OTLP collector at http://collector:4318 cannot be reached: refused";
    assert_eq!(error.unwrap(), expected);
}

#[test]
fn the_size_of_a_request_is_bounded_in_either_encoding() {
    const BOUND: usize = 20_000;
    for protocol in [OtlpProtocol::HttpProtobuf, OtlpProtocol::HttpJson] {
        for text in ["x", "GET /orders?page=1", &"long ".repeat(50)] {
            let chunks = (0..300).map(|_| {
                let mut chunk = named(text, 1);
                for i in 0..10 {
                    chunk.spans[0]
                        .meta
                        .insert(format!("k{i}").into(), text.to_owned().into());
                    chunk.spans[0]
                        .metrics
                        .insert(format!("m{i}").into(), f64::from(i) / 3.0);
                }
                chunk.size = crate::span::Size::of_chunk(&chunk.spans, 0);
                chunk
            });
            let client = ScriptedClient::new([]);
            let stats = send_by(protocol, &client, BOUND, list(chunks));
            assert_eq!(stats.spans_sent, 300);
            let requests = client.requests.lock().unwrap();
            let sizes = requests.iter().map(|(_, request)| request.body().len());
            let largest = sizes.max().unwrap();
            assert!(
                BOUND / 8 < largest && largest <= BOUND,
                "{largest} {protocol:?} {text}"
            );
        }
    }
}

#[test]
fn values_that_otlp_has_no_room_for_are_counted() {
    let mut chunk = named("web.request", 1);
    let span = &mut chunk.spans[0];
    span.metrics.insert("endless".into(), f64::INFINITY);
    for i in 0..130 {
        span.meta.insert(format!("k{i}").into(), "v".into());
    }
    span.span_events = vec![SpanEventBytes::default(); 130];
    let client = ScriptedClient::new([]);
    let stats = send_by(OtlpProtocol::HttpJson, &client, 1_000_000, list([chunk]));
    // The name stands for the resource, too.
    assert_eq!((stats.spans_sent, stats.values_left_out), (1, 1 + 4 + 2));
    let requests = client.requests.lock().unwrap();
    let body: serde_json::Value = serde_json::from_slice(requests[0].1.body()).unwrap();
    let span = &body["resourceSpans"][0]["scopeSpans"][0]["spans"][0];
    assert_eq!(span["name"], "web.request");
    assert_eq!(span["attributes"].as_array().unwrap().len(), 128);
    assert_eq!(span["events"].as_array().unwrap().len(), 128);
}

#[test]
fn an_end_that_no_clock_shows_is_the_last_that_one_does() {
    let mut chunk = named("late", 1);
    chunk.spans[0].start = i64::MAX - 5;
    chunk.spans[0].duration = 100;
    let client = ScriptedClient::new([]);
    assert_eq!(send(&client, list([chunk])).spans_sent, 1);
}
