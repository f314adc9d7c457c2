//! Texts that are sent as HTTP headers.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Non-empty ASCII text that can be sent as the value of an HTTP header.
#[derive(Clone, PartialEq)]
pub struct HeaderText(String);

impl HeaderText {
    /// # Errors
    /// Says what is expected if the text is empty or has a character that no header value may hold.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("expected text, got an empty String".into());
        }
        match HeaderValue::from_str(text) {
            Ok(_) if text.is_ascii() => Ok(Self(text.into())),
            // The text is not repeated: it may be secret.
            _ => Err("expected printable ASCII (it is sent as an HTTP header)".into()),
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
/// If no header can have that name or value, or if it describes a request's content. The message
/// names the header.
pub fn add_header(headers: &mut HeaderMap, name: &str, value: &str) -> Result<(), String> {
    let refused = |problem: &str| format!("{:?}: {problem}", shown_name(name));
    let value = HeaderText::parse(value)
        .map_err(|problem| refused(&problem))?
        .0;
    let value = HeaderValue::try_from(value).map_err(|problem| refused(&problem.to_string()))?;
    let name = HeaderName::try_from(name).map_err(|problem| refused(&problem.to_string()))?;
    if RESERVED_HEADERS.contains(&name.as_str()) {
        return Err(refused("this header can't be chosen"));
    }
    headers.insert(name, value);
    Ok(())
}

/// Returns what may be shown of a name: a whole line of a header may have been given for one.
fn shown_name(name: &str) -> String {
    match name.split_once([':', '=']) {
        Some((name, _)) => format!("{name}…"),
        None => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_that_describe_the_content_cannot_be_chosen() {
        let mut headers = HeaderMap::new();
        assert_eq!(add_header(&mut headers, "X-Own", "1"), Ok(()));
        assert!(add_header(&mut headers, "Content-Length", "1").is_err());
        let refused = add_header(&mut headers, "X-Key: s3cr3t", "1");
        assert_eq!(refused, Err("\"X-Key…\": invalid HTTP header name".into()));
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
