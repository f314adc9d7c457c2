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

#[cfg(test)]
mod tests {
    use super::*;

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
