//! The request that carries a payload: how it is told from others, what it holds, and its halves.

use super::split;
use crate::config::Config;
use crate::queue::Count;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request};

pub const TRACE_COUNT: &str = "x-datadog-trace-count";
/// Of the unsampled traces that a payload was relieved of, for the agent's own counters.
const DROPPED: [&str; 2] = [
    "datadog-client-dropped-p0-traces",
    "datadog-client-dropped-p0-spans",
];

/// A payload, or a part of it after a split.
pub struct Part {
    pub request: Request<Bytes>,
    pub count: Count,
}

impl Part {
    /// Returns both halves of a v0.4 payload, unless it is a single chunk.
    pub fn halves(&self) -> Option<[Self; 2]> {
        let [first, second] = split::halves(self.request.body())?;
        let mut headers = self.request.headers().clone();
        let first = self.half(first, &headers);
        // These count for the whole.
        for name in DROPPED {
            headers.remove(name);
        }
        Some([first, self.half(second, &headers)])
    }

    fn half(&self, half: split::Half, headers: &HeaderMap) -> Self {
        let mut request = self.request.clone();
        *request.body_mut() = half.body;
        *request.headers_mut() = headers.clone();
        let chunks = HeaderValue::from(half.count.chunks);
        request.headers_mut().insert(TRACE_COUNT, chunks);
        Self {
            request,
            count: half.count,
        }
    }
}

/// Returns whether a request carries a payload to where `config` says that spans are sent.
pub fn is_payload(config: &Config, request: &Request<Bytes>) -> bool {
    request.method() == Method::POST
        && match &config.otlp {
            Some(otlp) => *request.uri() == otlp.url.uri(),
            None => request.headers().contains_key(TRACE_COUNT),
        }
}

/// Returns what a payload holds, or `None` if that is all that was handed to the trace exporter.
///
/// Where statistics are computed, the trace exporter leaves out chunks and single spans that are not
/// sampled or that the agent's filters refuse. It doesn't say which; the payload itself does.
pub fn count(config: &Config, request: &Request<Bytes>) -> Option<Count> {
    config.stats.then(|| split::count(request.body())).flatten()
}
