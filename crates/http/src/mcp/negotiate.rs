//! `Accept` and `Content-Type` of a POST.

use axum::http::{HeaderMap, StatusCode, header};
use toolgate_wire::Fault;

/// What the client can take. At least one is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepts {
    pub json: bool,
    pub sse: bool,
}

/// Check both headers of a POST.
pub(super) fn check(headers: &HeaderMap) -> Result<Accepts, (StatusCode, Fault)> {
    if !is_json(headers) {
        let fault = Fault::invalid_request("Content-Type must be application/json");
        return Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, fault));
    }
    accepts(headers).ok_or_else(|| {
        let why = "Accept must allow application/json and text/event-stream";
        (StatusCode::NOT_ACCEPTABLE, Fault::invalid_request(why))
    })
}

pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()) else { return false };
    let mut parts = value.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    // JSON is UTF-8; another charset would be read as something it is not.
    let charset =
        parts.filter_map(|p| p.split_once('=')).find(|(k, _)| k.trim().eq_ignore_ascii_case("charset"));
    let utf8 = charset.is_none_or(|(_, v)| v.trim().trim_matches('"').eq_ignore_ascii_case("utf-8"));
    essence.eq_ignore_ascii_case("application/json") && utf8
}

/// `None` when neither form can be taken. Without the header everything is. Wildcards count, and one of the two forms is
/// enough, though the specification wants clients to name both.
pub(super) fn accepts(headers: &HeaderMap) -> Option<Accepts> {
    let mut found = Accepts { json: false, sse: false };
    let mut named = false;
    for value in headers.get_all(header::ACCEPT) {
        named = true;
        for range in value.to_str().unwrap_or_default().split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            if parts.any(never) {
                continue;
            }
            found.json |= matches!(kind.as_str(), "application/json" | "application/*" | "*/*");
            found.sse |= matches!(kind.as_str(), "text/event-stream" | "text/*" | "*/*");
        }
    }
    if !named {
        return Some(Accepts { json: true, sse: true });
    }
    (found.json || found.sse).then_some(found)
}

// `q=0`, also as `q=0.000`.
fn never(parameter: &str) -> bool {
    let Some((key, value)) = parameter.split_once('=') else { return false };
    key.trim().eq_ignore_ascii_case("q") && value.trim().parse::<f32>().is_ok_and(|q| q <= 0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    #[test]
    fn accept_table() {
        for (value, expected) in [
            ("application/json, text/event-stream", Some((true, true))),
            ("*/*", Some((true, true))),
            ("Application/JSON;charset=utf-8", Some((true, false))),
            ("text/event-stream", Some((false, true))),
            ("text/*, application/*;q=0.1", Some((true, true))),
            ("application/json;q=0, text/event-stream", Some((false, true))),
            ("application/json; q=0.000", None),
            ("text/html", None),
            ("", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, HeaderValue::from_str(value).unwrap());
            assert_eq!(accepts(&headers).map(|a| (a.json, a.sse)), expected, "{value}");
        }
        assert_eq!(accepts(&HeaderMap::new()), Some(Accepts { json: true, sse: true }));
    }

    #[test]
    fn content_type_table() {
        for (value, good) in [
            ("application/json", true),
            ("Application/Json; charset=UTF-8", true),
            ("application/json; charset=\"utf-8\"", true),
            ("application/json; charset=latin1", false),
            ("application/jsonp", false),
            ("text/plain", false),
            ("text/plain; application/json", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
            assert_eq!(is_json(&headers), good, "{value}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }
}
