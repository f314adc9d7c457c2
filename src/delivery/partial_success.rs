//! What an OTLP collector has rejected of a request that it answered with success.

use bytes::Bytes;
use http::Response;
use http::header::CONTENT_TYPE;
use libdd_trace_protobuf::opentelemetry::proto::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::Value;

/// Spans that a collector has rejected, and why.
pub struct PartialSuccess {
    pub rejected: usize,
    pub message: String,
}

/// Returns what an answer says was rejected of a number of spans, if any.
pub fn partial_success(answer: &Response<Bytes>, spans: usize) -> Option<PartialSuccess> {
    let content_type = answer.headers().get(CONTENT_TYPE);
    let is_json = content_type.is_some_and(|content_type| {
        let content_type = content_type.to_str().unwrap_or_default();
        content_type
            .to_ascii_lowercase()
            .starts_with("application/json")
    });
    // Which is no way for the protobuf message to begin.
    let is_json = is_json || answer.body().first() == Some(&b'{');
    let found = match is_json {
        true => of_json(answer.body()),
        false => {
            ExportTraceServiceResponse::decode(answer.body().clone())
                .ok()?
                .partial_success
        }
    }?;
    let rejected = usize::try_from(found.rejected_spans).unwrap_or_default();
    (rejected > 0).then(|| PartialSuccess {
        rejected: rejected.min(spans),
        message: found.error_message,
    })
}

/// JSON of protobuf messages writes 64-bit numbers as text and may write them as numbers.
fn of_json(body: &Bytes) -> Option<ExportTracePartialSuccess> {
    let answer: Value = serde_json::from_slice(body).ok()?;
    let either = |of: &Value, names: [&str; 2]| names.iter().find_map(|name| of.get(name)).cloned();
    let partial = either(&answer, ["partialSuccess", "partial_success"])?;
    let rejected = either(&partial, ["rejectedSpans", "rejected_spans"])?;
    let rejected_spans = match rejected.as_str() {
        Some(digits) => digits.parse().ok()?,
        None => rejected.as_i64()?,
    };
    let message = either(&partial, ["errorMessage", "error_message"]);
    let message = message.as_ref().and_then(Value::as_str);
    Some(ExportTracePartialSuccess {
        rejected_spans,
        error_message: message.unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(content_type: &str, body: impl Into<Bytes>) -> Option<(usize, String)> {
        let answer = Response::builder().header(CONTENT_TYPE, content_type);
        let answer = answer.body(body.into()).unwrap();
        partial_success(&answer, 10).map(|partial| (partial.rejected, partial.message))
    }

    fn protobuf(rejected_spans: i64) -> Vec<u8> {
        let partial_success = Some(ExportTracePartialSuccess {
            rejected_spans,
            error_message: "too old".into(),
        });
        ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    #[test]
    fn rejected_spans_are_read_from_either_encoding() {
        let protobuf = |spans| rejected("application/x-protobuf", protobuf(spans));
        assert_eq!(protobuf(3), Some((3, "too old".into())));
        assert_eq!(protobuf(11), Some((10, "too old".into())));
        assert_eq!(protobuf(0), None);
        assert_eq!(protobuf(-1), None);
        for number in ["3", "\"3\""] {
            let body = format!(
                r#"{{"partialSuccess":{{"rejectedSpans":{number},"errorMessage":"too old"}}}}"#
            );
            for content_type in [
                "application/json; charset=utf-8",
                "Application/JSON",
                "text/plain",
            ] {
                let found = rejected(content_type, body.clone());
                assert_eq!(found, Some((3, "too old".into())));
            }
        }
    }

    #[test]
    fn an_answer_that_says_nothing_rejects_nothing() {
        for body in ["", "{}", "[]", "nonsense", r#"{"partialSuccess":{}}"#] {
            assert_eq!(rejected("application/json", body), None, "{body}");
            assert_eq!(rejected("application/x-protobuf", body), None, "{body}");
        }
    }
}
