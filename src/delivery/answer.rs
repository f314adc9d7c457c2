//! What the agent's answers say.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{Response, StatusCode};
use std::time::Duration;

pub fn may_succeed_later(status: StatusCode) -> bool {
    status.is_server_error()
        || status == StatusCode::REQUEST_TIMEOUT
        || status == StatusCode::TOO_MANY_REQUESTS
}

/// Returns the pause that `Retry-After` asks for, in seconds; agents don't use its form with a date.
pub fn retry_after(answer: &Response<Bytes>) -> Duration {
    let header = answer.headers().get(RETRY_AFTER);
    let seconds = header
        .and_then(|seconds| seconds.to_str().ok())
        .map(str::trim);
    let seconds = seconds.filter(|seconds| seconds.bytes().all(|byte| byte.is_ascii_digit()));
    // A number too large to be represented is still more than there is time for.
    Duration::from_secs(seconds.map_or(0, |seconds| match seconds {
        "" => 0,
        digits => digits.parse().unwrap_or(u64::MAX),
    }))
}

pub fn text(answer: &Response<Bytes>) -> String {
    String::from_utf8_lossy(answer.body()).into_owned()
}

pub fn agent_state(answer: &Response<Bytes>) -> Option<String> {
    let state = answer.headers().get("datadog-agent-state")?;
    state.to_str().ok().map(str::to_owned)
}
