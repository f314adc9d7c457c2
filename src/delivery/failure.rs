//! What is said of requests that failed, with the receiver's name and no secrets.

use super::answer::text;
use super::partial_success::PartialSuccess;
use super::payload::Part;
use crate::config::Config;
use crate::queue::Failure;
use crate::report::printable;
use crate::report::stats::Loss;
use bytes::Bytes;
use http::{Response, StatusCode};

/// Characters of an answer's body that are shown.
const SHOWN_CHARS: usize = 200;
/// The first agent that took the v0.4 format, by which it gives sampling rates.
const NEEDED_AGENT: &str = " (traces in the v0.4 format need Datadog Agent 5.19 or later)";
const NEEDED_PATH: &str = " (collectors usually take traces at /v1/traces)";

/// A payload, or a part of it, was answered with an error.
pub fn refused(config: &Config, part: &Part, answer: &Response<Bytes>) -> Failure {
    let status = answer.status();
    let hint = match (status, &config.otlp) {
        (StatusCode::NOT_FOUND | StatusCode::UNSUPPORTED_MEDIA_TYPE, None) => NEEDED_AGENT,
        (StatusCode::NOT_FOUND, Some(_)) => NEEDED_PATH,
        _ => "",
    };
    Failure {
        spans: part.count.spans,
        loss: match status {
            StatusCode::PAYLOAD_TOO_LARGE => Loss::TooLarge,
            _ => Loss::Refused,
        },
        detail: format!("{}{hint}", refusal(config, answer)),
        answer: Some((status.as_u16(), text(answer))),
    }
}

/// Spans of a request that was accepted were rejected.
pub fn rejected(config: &Config, partial: PartialSuccess, answer: &Response<Bytes>) -> Failure {
    let PartialSuccess { rejected, message } = partial;
    let receiver = config.receiver();
    let shown = shown(config, &message);
    Failure {
        spans: rejected,
        loss: Loss::Refused,
        detail: format!("{receiver} rejected {rejected} spans of a request: {shown}"),
        answer: Some((answer.status().as_u16(), text(answer))),
    }
}

/// No answer came to a payload, or a part of it.
pub fn unreachable(config: &Config, part: &Part, cause: &str) -> Failure {
    Failure {
        spans: part.count.spans,
        loss: Loss::Unreachable,
        detail: silence(config, cause),
        answer: None,
    }
}

/// Says what the receiver has answered.
pub fn refusal(config: &Config, answer: &Response<Bytes>) -> String {
    let receiver = config.receiver();
    let shown = shown(config, &text(answer));
    format!("{receiver} answered {}: {shown}", answer.status())
}

/// Says why the receiver has answered nothing.
pub fn silence(config: &Config, cause: &str) -> String {
    let receiver = config.receiver();
    format!(
        "{receiver} cannot be reached: {}",
        printable(cause, SHOWN_CHARS)
    )
}

/// Returns what may be shown of a text that may repeat what an answer said.
pub fn shown(config: &Config, text: &str) -> String {
    printable(&config.redact(text), SHOWN_CHARS)
}
