//! Settings of an exporter, validated before anything is built from them.

mod agent_url;
mod headers;
mod otlp;
mod runtime_id;

pub use agent_url::AgentUrl;
pub use headers::{HeaderText, add_header};
pub use http::HeaderMap;
pub use otlp::{Otlp, OtlpProtocol, OtlpUrl};
pub use runtime_id::RuntimeId;

use std::time::Duration;

/// Header values shorter than this say too little to be worth hiding, and would match by chance.
const SHORTEST_SECRET: usize = 6;

/// Settings of one [`Exporter`](crate::Exporter).
#[derive(Clone)]
pub struct Config {
    pub agent_url: AgentUrl,
    /// Limit of one request to the agent, from connecting to the end of the answer.
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
    /// Sent with every request to the agent, in place of the library's own of the same name.
    pub headers: HeaderMap,
    /// Whether span events are sent typed rather than as JSON; decided by the agent's `/info` if
    /// `None`.
    pub span_events: Option<bool>,
    /// Whether the tracer marks top-level spans itself (`Datadog-Client-Computed-Top-Level`).
    pub client_computed_top_level: bool,
    /// Whether the agent must not compute statistics (`Datadog-Client-Computed-Stats`).
    pub client_computed_stats: bool,
    /// Whether statistics are computed here where the agent allows it, and unsampled traces left out.
    pub stats: bool,
    /// Where spans are sent instead of the agent.
    pub otlp: Option<Otlp>,
    pub application: Application,
    pub tracer: Tracer,
}

impl Config {
    /// Returns the URL that spans are sent to.
    pub fn url(&self) -> &AgentUrl {
        match &self.otlp {
            Some(otlp) => otlp.url.base(),
            None => &self.agent_url,
        }
    }

    /// Names the receiver of the spans, for messages.
    pub(crate) fn receiver(&self) -> String {
        let url = self.url();
        match self.otlp {
            Some(_) => format!("the OTLP collector at {url}"),
            None => format!("the agent at {url}"),
        }
    }

    /// Returns the headers that every request carries.
    pub(crate) fn request_headers(&self) -> &HeaderMap {
        match &self.otlp {
            Some(otlp) => &otlp.headers,
            None => &self.headers,
        }
    }

    /// Returns the limit of one request, from connecting to the end of the answer.
    pub(crate) fn request_timeout(&self) -> Duration {
        match &self.otlp {
            Some(otlp) => otlp.timeout,
            None => self.agent_timeout,
        }
    }

    /// Returns the size, as of a v0.4 payload, up to which requests are filled.
    pub(crate) fn max_payload_wire(&self) -> usize {
        let growth = self.otlp.as_ref().map_or(1, |otlp| otlp.protocol.growth());
        self.max_payload_bytes / growth
    }

    /// Returns a text of the agent's without the values of configured headers, which may be secret
    /// and which a proxy may repeat.
    pub(crate) fn redact(&self, text: &str) -> String {
        let headers = self
            .request_headers()
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

/// What traces with statistics and OTLP resources say about the application. Empty texts are left
/// out, or stand for "unknown".
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Application {
    pub service: String,
    pub env: String,
    pub version: String,
    pub hostname: String,
    pub git_commit_sha: String,
    pub runtime_id: RuntimeId,
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
