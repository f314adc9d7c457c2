//! Names of attributes.

use std::borrow::Cow;

/// What an attribute is to Datadog.
#[derive(Debug, PartialEq)]
pub enum Key {
    /// A tag of the same name.
    Same,
    /// A tag of another name.
    Tag(Cow<'static, str>),
    /// No tag, but the span's name.
    Operation,
    Service,
    Resource,
    Type,
}

/// Returns what an attribute is to Datadog (`GetDDKeyForOTLPAttribute`, and `HTTPMappings` of
/// `pkg/opentelemetry-mapping-go/otlp/attributes`).
pub fn datadog_key(attribute: &str) -> Key {
    const HEADER: &str = "http.request.header.";
    let tag = match attribute {
        "client.address" => "http.client_ip",
        "http.response.body.size" => "http.response.content_length",
        "http.response.status_code" => "http.status_code",
        "http.request.body.size" => "http.request.content_length",
        "http.request.header.referrer" => "http.referrer",
        "http.request.method" => "http.method",
        "network.protocol.version" => "http.version",
        "server.address" => "http.server_name",
        "url.full" => "http.url",
        "user_agent.original" => "http.useragent",
        // `SetMetricOTLP`.
        "sampling.priority" => "_sampling_priority_v1",
        "operation.name" => return Key::Operation,
        "service.name" => return Key::Service,
        "resource.name" => return Key::Resource,
        "span.type" => return Key::Type,
        _ => {
            return match attribute.strip_prefix(HEADER) {
                Some(name) => Key::Tag(format!("http.request.headers.{name}").into()),
                None => Key::Same,
            };
        }
    };
    Key::Tag(tag.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_of_http_have_datadogs_names() {
        let tag = |name: &'static str| Key::Tag(name.into());
        for (attribute, key) in [
            ("http.request.method", tag("http.method")),
            (
                "http.request.header.accept",
                tag("http.request.headers.accept"),
            ),
            ("http.request.header.referrer", tag("http.referrer")),
            ("http.route", Key::Same),
            ("service.name", Key::Service),
            ("", Key::Same),
        ] {
            assert_eq!(datadog_key(attribute), key, "{attribute}");
        }
    }
}
