//! The address of the agent.

use http::Uri;
use std::fmt;
use std::net::IpAddr;

/// Longest path of a Unix socket: `sockaddr_un` holds 108 bytes with the closing NUL.
const LONGEST_SOCKET_PATH: usize = 107;

/// Well below the 65,534 bytes from which on the HTTP library panics once a path is added.
const LONGEST_URL: usize = 8_192;

/// Longest name of a host (RFC 1035).
const LONGEST_HOST: usize = 253;

/// Where the agent listens: `http://host:port`, `https://host:port` or `unix:///path/to/socket`.
#[derive(Clone, Debug, PartialEq)]
pub struct AgentUrl(String);

impl AgentUrl {
    /// Parses a URL. The trace exporter panics on some malformed URLs and accepts others that lead
    /// nowhere, so that everything is checked here.
    ///
    /// # Errors
    /// If `text` has none of these forms. The message says what is accepted and repeats at most the
    /// scheme, host and port: a path, a query or a user may be secret.
    pub fn parse(text: &str) -> Result<Self, String> {
        Self::parse_as(text, "http(s)://host:port or unix:///path/to/socket", true)
    }

    /// Parses a URL of which `forms` says what is accepted.
    pub(super) fn parse_as(text: &str, forms: &str, or_socket: bool) -> Result<Self, String> {
        let refuse = |problem: &str| {
            let shown = address_of(text);
            Err(format!("expected {forms}, got {shown:?}: {problem}"))
        };
        if text.len() > LONGEST_URL {
            return refuse("it is too long");
        }
        if let Some(path) = text.strip_prefix("unix://").filter(|_| or_socket) {
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

    /// Returns whether the agent's address has to be looked up.
    pub(crate) fn has_host_name(&self) -> bool {
        let uri = self.0.parse::<Uri>().ok();
        let host = uri.as_ref().and_then(Uri::host);
        host.is_some_and(|host| {
            let address = host.trim_start_matches('[').trim_end_matches(']');
            !self.0.starts_with("unix://") && address.parse::<IpAddr>().is_err()
        })
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

/// The scheme, host and port, or the path of a socket, for messages.
impl fmt::Display for AgentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.starts_with("unix://") {
            true => f.write_str(&self.0),
            false => f.write_str(&address_of(&self.0)),
        }
    }
}

/// Returns what may be shown of a URL, well-formed or not: its scheme, and its host and port if they
/// look like such.
fn address_of(url: &str) -> String {
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, url),
    };
    if scheme == Some("unix") {
        // What comes before an absolute path looks like a host, with a user perhaps.
        let path = rest.find('/').map_or("", |start| &rest[start..]);
        let before = if rest.starts_with('/') { "" } else { "…" };
        let path: String = path.chars().take(2 * LONGEST_SOCKET_PATH).collect();
        return format!("unix://{before}{path}");
    }
    let authority = rest.split(['/', '?', '#', '\\']).next().unwrap_or_default();
    let decoded = authority.replace("%40", "@");
    let (user, address) = match decoded.rsplit_once('@') {
        Some((_, address)) => ("…@", address),
        None => ("", decoded.as_str()),
    };
    let is_host = |host: &str| {
        let may_stand = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
        host.len() <= LONGEST_HOST && host.chars().all(may_stand)
    };
    let (host, port) = match address.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (address, None),
    };
    let mut shown = String::new();
    if let Some(scheme) = scheme {
        let is_scheme = scheme.len() <= 10 && scheme.chars().all(|c| c.is_ascii_alphanumeric());
        shown.push_str(if is_scheme { scheme } else { "…" });
        shown.push_str("://");
    }
    shown.push_str(user);
    shown.push_str(if is_host(host) { host } else { "…" });
    if let Some(port) = port {
        let is_port = port.len() <= 5 && port.chars().all(|c| c.is_ascii_digit());
        shown.push(':');
        shown.push_str(if is_port { port } else { "…" });
    }
    shown
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
        let longer = format!("http://agent/{}", "x".repeat(LONGEST_URL));
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
            &longer,
        ] {
            let error = AgentUrl::parse(url).expect_err(url);
            assert!(error.contains("http(s)://host:port or unix:///"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn messages_show_at_most_scheme_host_and_port() {
        for (url, shown) in [
            ("localhost:8126", "localhost:8126"),
            ("ftp://agent:8126/x", "ftp://agent:8126"),
            ("user:s3cr3t@host:8126", "…@host:8126"),
            (
                "unix://user:s3cr3t@/tmp/apm.socket",
                "unix://…/tmp/apm.socket",
            ),
            ("http://user:s3cr3t%40host:8126", "http://…@host:8126"),
            ("http://user:s3cr3t\u{fffd}@host:8126", "http://…@host:8126"),
            ("http://host:8126/?api_key=s3cr3t", "http://host:8126"),
            ("http://host:8126/s3cr3t?", "http://host:8126"),
            ("http://host:8126#s3cr3t", "http://host:8126"),
            ("http://host:s3cr3t", "http://host:…"),
            ("http://s3cr3t password", "http://…"),
            ("key=s3cr3t://host", "…://host"),
            ("http://[::1]:99999", "http://[::1]:99999"),
        ] {
            let error = AgentUrl::parse(url).expect_err(url);
            assert!(error.contains(&format!("got {shown:?}: ")), "{error}");
            assert!(!error.contains("s3cr3t"), "{error}");
        }
        for (url, shown) in [
            ("http://agent:8126/s3cr3t", "http://agent:8126"),
            ("https://[::1]:8126", "https://[::1]:8126"),
            ("unix:///run/apm.socket", "unix:///run/apm.socket"),
        ] {
            assert_eq!(AgentUrl::parse(url).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn names_have_to_be_looked_up_and_addresses_have_not() {
        for (url, has_name) in [
            ("http://agent:8126", true),
            ("https://localhost", true),
            ("http://127.0.0.1:8126", false),
            ("http://[::1]:8126/x", false),
            ("unix:///run/apm.socket", false),
        ] {
            assert_eq!(
                AgentUrl::parse(url).unwrap().has_host_name(),
                has_name,
                "{url}"
            );
        }
    }
}
