//! Settings of an exporter, validated before anything is built from them.

mod agent_url;
mod headers;

pub use agent_url::AgentUrl;
pub use headers::{HeaderText, add_header};

use http::HeaderMap;
use std::time::Duration;

/// Header values shorter than this say too little to be worth hiding, and would match by chance.
const SHORTEST_SECRET: usize = 6;

/// Settings of one [`Exporter`](crate::Exporter).
#[derive(Clone)]
pub struct Config {
    pub agent_url: AgentUrl,
    /// Limit of one request, from connecting to the end of the answer.
    pub agent_timeout: Duration,
    /// Longest time a chunk waits in the queue before it is sent.
    pub flush_interval: Duration,
    /// How long process shutdown waits for what is queued.
    pub shutdown_timeout: Duration,
    /// Bound of the queue, in spans.
    pub max_queue_spans: usize,
    /// Bound of the queue, in bytes of memory.
    pub max_queue_bytes: usize,
    /// Which chunks are dropped when the queue is full.
    pub when_full: WhenFull,
    /// Size up to which the body of one request is filled, in bytes. A larger chunk goes alone.
    pub max_payload_bytes: usize,
    /// Time after which no further attempt is made for a payload.
    pub retry_deadline: Duration,
    /// Value of `X-Datadog-Test-Session-Token`, by which `ddapm-test-agent` tells tests apart.
    pub test_session_token: Option<HeaderText>,
    /// Sent with every request, in place of the library's own of the same name.
    pub headers: HeaderMap,
    /// Whether span events are sent typed rather than as JSON; decided by the agent's `/info` if
    /// `None`.
    pub span_events: Option<bool>,
    /// Whether the tracer marks top-level spans itself (`Datadog-Client-Computed-Top-Level`).
    pub client_computed_top_level: bool,
    /// Whether the agent must not compute statistics (`Datadog-Client-Computed-Stats`).
    pub client_computed_stats: bool,
    pub tracer: Tracer,
}

impl Config {
    /// Returns a text of the agent's without the values of configured headers, which may be secret
    /// and which a proxy may repeat.
    pub(crate) fn redact(&self, text: &str) -> String {
        let headers = self
            .headers
            .values()
            .filter_map(|value| value.to_str().ok());
        let token = self.test_session_token.iter().map(HeaderText::as_str);
        let secrets = headers
            .chain(token)
            .filter(|value| value.len() >= SHORTEST_SECRET);
        secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"))
    }
}

/// Which chunks are dropped when the queue is full. Chunks are dropped whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WhenFull {
    /// Chunks that find no room.
    DropNewest,
    /// Chunks that have waited longest.
    DropOldest,
}

/// Values of the `Datadog-Meta-*` headers.
#[derive(Clone)]
pub struct Tracer {
    pub version: HeaderText,
    pub language: HeaderText,
    pub language_version: HeaderText,
    pub interpreter: HeaderText,
    pub interpreter_vendor: HeaderText,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_values_are_not_repeated() {
        let mut headers = HeaderMap::new();
        let error = add_header(&mut headers, "DD-API-KEY", "s3cr3t\n").unwrap_err();
        assert!(error.contains("printable ASCII") && !error.contains("s3cr3t"));
        let mut config = crate::testing::config();
        add_header(&mut config.headers, "DD-API-KEY", "s3cr3t").unwrap();
        config.test_session_token = HeaderText::parse("t0k3n-1").ok();
        let text = config.redact("no such key: s3cr3t, no session t0k3n-1");
        assert_eq!(text, "no such key: …, no session …");
    }
}
