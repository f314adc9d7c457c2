//! Chunks and configurations for this crate's tests.

use crate::config::{
    AgentUrl, Application, Config, HeaderText, Otlp, OtlpProtocol, OtlpUrl, Tracer, WhenFull,
};
use crate::span::{Chunk, Size, SpanBytes, TraceChunks};
use http::HeaderMap;
use libdd_tinybytes::BytesString;
use std::env;
use std::process::Command;
use std::time::Duration;

/// Bytes that a span of [`chunk`] weighs, in memory and on the wire.
pub const SPAN_BYTES: usize = 1_000;

/// Returns a chunk of spans with that name.
pub fn named(name: &str, spans: usize) -> Chunk {
    let span = |id| SpanBytes {
        trace_id: 1,
        span_id: id as u64,
        name: BytesString::from(name.to_owned()),
        ..SpanBytes::default()
    };
    Chunk {
        spans: (1..=spans).map(span).collect(),
        size: Size {
            chunks: 1,
            spans,
            memory: spans * SPAN_BYTES,
            wire: spans * SPAN_BYTES,
            ..Size::default()
        },
    }
}

/// Returns a chunk of spans of an unsampled trace.
pub fn unsampled(spans: usize) -> Chunk {
    let mut chunk = named("unsampled", spans);
    for span in &mut chunk.spans {
        span.metrics.insert("_sampling_priority_v1".into(), 0.0);
    }
    chunk
}

pub fn chunk(spans: usize) -> Chunk {
    named("span", spans)
}

/// Returns a list of one chunk for each number of spans.
pub fn chunks(spans: &[usize]) -> TraceChunks {
    list(spans.iter().map(|spans| chunk(*spans)))
}

pub fn list(chunks: impl IntoIterator<Item = Chunk>) -> TraceChunks {
    let mut list = TraceChunks::default();
    chunks.into_iter().for_each(|chunk| list.push(chunk));
    list
}

/// Returns a configuration with bounds that no test reaches unless it narrows them.
pub fn config() -> Config {
    config_for("http://agent:8126")
}

pub fn config_for(agent_url: &str) -> Config {
    let text = || HeaderText::parse("test").unwrap();
    Config {
        agent_url: AgentUrl::parse(agent_url).unwrap(),
        agent_timeout: Duration::from_secs(2),
        flush_interval: Duration::from_secs(1),
        shutdown_timeout: Duration::from_secs(1),
        max_queue_spans: 1_000,
        max_queue_bytes: 10_000_000,
        when_full: WhenFull::DropNewest,
        max_payload_bytes: 1_000_000,
        retry_deadline: Duration::from_secs(10),
        test_session_token: None,
        headers: HeaderMap::new(),
        span_events: None,
        client_computed_top_level: false,
        client_computed_stats: false,
        stats: false,
        otlp: None,
        application: Application::default(),
        tracer: Tracer {
            version: text(),
            language: text(),
            language_version: text(),
            interpreter: text(),
            interpreter_vendor: text(),
        },
    }
}

/// Returns a configuration for an OTLP collector.
pub fn otlp_config(protocol: OtlpProtocol) -> Config {
    let otlp = Otlp {
        url: OtlpUrl::parse("http://collector:4318/v1/traces").unwrap(),
        protocol,
        headers: HeaderMap::new(),
        timeout: Duration::from_secs(3),
    };
    Config {
        otlp: Some(otlp),
        ..config()
    }
}

/// Runs a test once more in a process of its own, with a variable set in its environment, and checks
/// that it passes there. Returns the variable's value if this is that process.
pub fn in_a_process_with(test: &str, name: &str, value: &str) -> Option<String> {
    const IN_CHILD: &str = "TEST_IN_CHILD";
    if env::var_os(IN_CHILD).is_some() {
        return env::var(name).ok();
    }
    let child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture", "--test-threads=1"])
        .env_remove("RUST_BACKTRACE")
        .env(IN_CHILD, "1")
        .env(name, value)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    let error = String::from_utf8_lossy(&child.stderr);
    let has_run = output.contains("running 1 test");
    assert!(child.status.success() && has_run, "{output}{error}");
    None
}
