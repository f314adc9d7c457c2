//! OTLP requests for spans of OpenTelemetry's SDK.
//!
//! libdatadog's trace exporter maps Datadog's spans to OTLP and would lose what they have no place for, see
//! [`otlp`](crate::otel::otlp). These requests are therefore made here, of libdatadog's OTLP messages and by its
//! encoders, and take the same way from then on: through the capability.

use super::capability::AgentClient;
use super::statistics::TEST_SESSION_TOKEN;
use crate::config::{Config, Otlp, OtlpProtocol};
use crate::otel::otlp;
use crate::span::SpanBytes;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use libdd_capabilities::http::HttpClientCapability;
use libdd_trace_utils::otlp_encoder::{encode_otlp_json, encode_otlp_protobuf};
use libdd_trace_utils::span::BytesData;
use libdd_trace_utils::span::span_pool::PooledChunks;

/// Sends chunks as one request. Called within [`Delivery::send`](super::attempts::Delivery::send).
///
/// # Errors
/// When they can't be encoded.
pub async fn send(
    config: &Config,
    endpoint: &Otlp,
    chunks: PooledChunks<'_, BytesData>,
) -> Result<Response<Bytes>, String> {
    let request = request(config, endpoint, &chunks)?;
    drop(chunks);
    let answer = AgentClient::new_client().request(request).await;
    answer.map_err(|error| error.to_string())
}

fn request(
    config: &Config,
    endpoint: &Otlp,
    chunks: &[Vec<SpanBytes>],
) -> Result<Request<Bytes>, String> {
    let message = otlp::request(chunks);
    let (content_type, body) = match endpoint.protocol {
        OtlpProtocol::HttpProtobuf => ("application/x-protobuf", encode_otlp_protobuf(&message)),
        OtlpProtocol::HttpJson => {
            let body = encode_otlp_json(&message).map_err(|error| error.to_string())?;
            ("application/json", body)
        }
    };
    let mut request = Request::post(endpoint.url.uri())
        .header(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Some(token) = &config.test_session_token {
        request = request.header(TEST_SESSION_TOKEN, token.as_str());
    }
    let request = request.body(Bytes::from(body));
    request.map_err(|error| error.to_string())
}
