//! Export to an OpenTelemetry collector.

use super::AgentUrl;
use http::{HeaderMap, Uri};
use std::str::FromStr;
use std::time::Duration;

/// Where and how spans are sent by OTLP.
#[derive(Clone)]
pub struct Otlp {
    pub url: OtlpUrl,
    pub protocol: OtlpProtocol,
    /// Sent with every request.
    pub headers: HeaderMap,
    /// Limit of one request, from connecting to the end of the answer.
    pub timeout: Duration,
}

/// The full URL that spans are posted to, for example `http://collector:4318/v1/traces`.
#[derive(Clone, Debug, PartialEq)]
pub struct OtlpUrl(AgentUrl);

impl OtlpUrl {
    /// # Errors
    /// As [`AgentUrl::parse`].
    pub fn parse(text: &str) -> Result<Self, String> {
        AgentUrl::parse_as(text, "http(s)://host:port/path", false).map(Self)
    }

    /// Returns the text as it was given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Returns the URL as it was given, a slash at its end included: the trace exporter's requests go
    /// there, and are recognised by it.
    pub(crate) fn uri(&self) -> Uri {
        self.as_str().parse().unwrap_or_else(|_| self.0.join(""))
    }

    pub(super) fn base(&self) -> &AgentUrl {
        &self.0
    }
}

/// Encodings of OTLP over HTTP.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OtlpProtocol {
    HttpProtobuf,
    HttpJson,
}

impl OtlpProtocol {
    /// Returns how many times the bound of a v0.4 payload ([`Size::wire`](crate::span::Size)) a
    /// request may take: names and resources stand twice in OTLP, and JSON spells out the type of
    /// each value.
    pub(crate) fn growth(self) -> usize {
        match self {
            Self::HttpProtobuf => 2,
            Self::HttpJson => 4,
        }
    }
}

impl FromStr for OtlpProtocol {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "http/protobuf" => Ok(Self::HttpProtobuf),
            "http/json" => Ok(Self::HttpJson),
            "grpc" => Err(
                "gRPC is not supported; use \"http/protobuf\", which collectors take on \
                           port 4318"
                    .into(),
            ),
            other => Err(format!(
                "expected \"http/protobuf\" or \"http/json\", got {other:?}"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_one_of_http_and_kept_as_it_is() {
        for text in [
            "https://collector:4318/v1/traces",
            "http://collector/v1/traces/",
        ] {
            let url = OtlpUrl::parse(text).unwrap();
            assert_eq!(url.as_str(), text);
            assert_eq!(url.uri().to_string(), text);
        }
        for url in ["unix:///run/collector.socket", "collector:4318", "http://"] {
            let error = OtlpUrl::parse(url).expect_err(url);
            assert!(
                error.starts_with("expected http(s)://host:port/path, got"),
                "{error}"
            );
        }
    }
}
