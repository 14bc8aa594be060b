//! What the web tools show of an answer: text, and headers without credentials.

use http::HeaderMap;
use std::collections::BTreeMap;
use toolgate_core::redact;
use toolgate_host::egress::Incoming;

/// Headers by name; those that carry credentials are left out.
pub fn shown_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let mut shown = BTreeMap::new();
    for (name, value) in headers {
        let secret = redact::is_secret_name(name.as_str()) || name.as_str().contains("cookie");
        if let (false, Ok(text)) = (secret, value.to_str()) {
            shown
                .entry(name.to_string())
                .and_modify(|all: &mut String| {
                    all.push_str(", ");
                    all.push_str(text);
                })
                .or_insert_with(|| text.to_owned());
        }
    }
    shown
}

/// The media type, lower case, without parameters.
pub fn media_type(headers: &HeaderMap) -> String {
    let value = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// The body as text; what is no text is named by its size and type.
pub fn text_of(answer: &Incoming) -> String {
    let text = String::from_utf8_lossy(&answer.body);
    let odd = text.chars().filter(|c| *c == char::REPLACEMENT_CHARACTER || *c == '\0').count();
    // One character in ten may be of another encoding; more means that it is no text.
    if odd * 10 > text.chars().count() {
        let kind = media_type(&answer.headers);
        return format!(
            "({} bytes of {})",
            answer.body.len(),
            if kind.is_empty() { "binary data" } else { &kind }
        );
    }
    text.into_owned()
}
