//! Settings of an exporter, validated before anything is built from them.

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use std::fmt;
use std::time::Duration;

/// Longest path of a Unix socket: `sockaddr_un` holds 108 bytes with the closing NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Settings of one [`Exporter`](crate::Exporter).
#[derive(Clone, Debug)]
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

/// Which chunks are dropped when the queue is full. Chunks are dropped whole.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum WhenFull {
    /// Chunks that find no room.
    DropNewest,
    /// Chunks that have waited longest.
    DropOldest,
}

/// Values of the `Datadog-Meta-*` headers.
#[derive(Clone, Debug)]
pub struct Tracer {
    pub version: HeaderText,
    pub language: HeaderText,
    pub language_version: HeaderText,
    pub interpreter: HeaderText,
    pub interpreter_vendor: HeaderText,
}

/// Non-empty ASCII text that can be sent as the value of an HTTP header.
#[derive(Clone, Debug, PartialEq)]
pub struct HeaderText(String);

impl HeaderText {
    /// # Errors
    /// Says what is expected if the text is empty or has a character that no header value may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected text, got an empty string".into());
        }
        match HeaderValue::from_str(text) {
            Ok(_) if text.is_ascii() => Ok(Self(text.into())),
            _ => Err(format!(
                "expected printable ASCII (it is sent as an HTTP header), got {text:?}"
            )),
        }
    }

    /// Returns the text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Headers that describe a request's content or connection.
const RESERVED_HEADERS: [&str; 6] = [
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "x-datadog-trace-count",
];

/// Adds a header to those sent with every request.
///
/// # Errors
/// If no header can have that name or value, or if it describes a request's content.
pub fn add_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let value = HeaderText::parse(value)?.0;
    let value = HeaderValue::try_from(value).map_err(|problem| problem.to_string())?;
    let name = HeaderName::try_from(name).map_err(|problem| problem.to_string())?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err("this header can't be chosen".into());
    }
    headers.insert(name, value);
    Ok(())
}

/// Where the agent listens: `http://host:port`, `https://host:port` or `unix:///path/to/socket`.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentUrl(String);

impl AgentUrl {
    /// Parses a URL. The trace exporter panics on some malformed URLs and accepts others that lead
    /// nowhere, so that everything is checked here.
    ///
    /// # Errors
    /// If `text` has none of these forms. The message says what is accepted and repeats the URL,
    /// without a user name or password.
    pub fn parse(text: &str) -> Result<Self, String> {
        let refuse = |problem: &str| {
            let shown = match text.split_once("://").zip(text.rsplit_once('@')) {
                Some(((scheme, _), (_, rest))) => format!("{scheme}://…@{rest}"),
                None => text.to_owned(),
            };
            Err(format!(
                "expected http(s)://host:port or unix:///path/to/socket, got {shown:?}: {problem}"
            ))
        };
        if let Some(path) = text.strip_prefix("unix://") {
            return match path {
                _ if !path.starts_with('/') => refuse("the socket's path must be absolute"),
                "/" => refuse("the socket's path is missing"),
                _ if path.len() > LONGEST_SOCKET_PATH => refuse("the socket's path is too long"),
                _ if path.contains('\0') => refuse("the socket's path has a NUL"),
                _ => Ok(Self(text.into())),
            };
        }
        if !text.starts_with("http://") && !text.starts_with("https://") {
            return refuse("it has none of these schemes");
        }
        let uri: Uri = match text.parse() {
            Ok(uri) => uri,
            Err(problem) => return refuse(&problem.to_string()),
        };
        let Some(authority) = uri.authority() else {
            return refuse("the host is missing");
        };
        if authority.as_str().contains('@') {
            return refuse("user names and passwords are not supported");
        }
        if authority.host().is_empty() {
            return refuse("the host is missing");
        }
        let port = &authority.as_str()[authority.host().len()..];
        if !port.is_empty() && authority.port_u16().is_none_or(|port| port == 0) {
            return refuse("the port must be 1 to 65535");
        }
        if uri.query().is_some() || text.contains('#') {
            return refuse("a query or a fragment has no meaning here");
        }
        Ok(Self(text.into()))
    }

    /// Returns the text as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the URL of one of the agent's endpoints in the form that the HTTP client takes, in
    /// which the path of a socket is the authority, in hexadecimal.
    pub fn join(&self, path: &str) -> Uri {
        let base = match self.0.strip_prefix("unix://") {
            Some(socket) => {
                let hex: String = socket.bytes().map(|byte| format!("{byte:02x}")).collect();
                format!("unix://{hex}")
            }
            None => self.0.trim_end_matches('/').to_owned(),
        };
        format!("{base}{path}")
            .parse()
            .unwrap_or_else(|_| unreachable!("the URL was parsed before"))
    }
}

impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_what_an_agent_can_listen_on() {
        for url in [
            "http://127.0.0.1:8126",
            "http://agent",
            "http://agent/",
            "http://agent:1/prefix",
            "http://[::1]:8126",
            "unix:///var/run/datadog/apm.socket",
        ] {
            let parsed = AgentUrl::parse(url).unwrap();
            assert_eq!(parsed.as_str(), url);
            assert_eq!(parsed.join("/info").path().rsplit('/').next(), Some("info"));
        }
    }

    #[test]
    fn refuses_the_rest_and_says_what_is_accepted() {
        let long = format!("unix:///{}", "x".repeat(LONGEST_SOCKET_PATH));
        for url in [
            "",
            "localhost:8126",
            "127.0.0.1",
            "/path",
            "ftp://agent:8126",
            "https://",
            "http://",
            "http:///path",
            "http://:8126",
            "http://agent:0",
            "http://agent:99999",
            "http://agent:http",
            "http://agent:",
            "http://a b:8126",
            "http://agent:8126?x=1",
            "http://agent:8126/#x",
            "http://user:secret@agent:8126",
            "unix://",
            "unix:///",
            "unix://relative.socket",
            &long,
        ] {
            let error = AgentUrl::parse(url).expect_err(url);
            assert!(error.contains("http(s)://host:port or unix:///"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn headers_that_describe_the_content_cannot_be_chosen() {
        let mut headers = HeaderMap::new();
        assert_eq!(add_header(&mut headers, "X-Own", "1"), Ok(()));
        assert!(add_header(&mut headers, "Content-Length", "1").is_err());
        assert!(add_header(&mut headers, "no name", "1").is_err());
        assert!(add_header(&mut headers, "X-Other", "a\nb").is_err());
        assert_eq!(headers.len(), 1);
    }

    #[test]
    fn header_text_is_what_a_header_value_may_be() {
        assert!(HeaderText::parse("3.1.7").is_ok());
        for text in ["", "a\nb", "é"] {
            assert!(HeaderText::parse(text).is_err(), "{text:?}");
        }
    }
}
