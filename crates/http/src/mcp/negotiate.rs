//! `Accept` and `Content-Type` of a POST.

use axum::http::{HeaderMap, StatusCode, header};
use toolgate_wire::Fault;

/// What the client is answered with. At least one is true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Accepts {
    /// One JSON object, where nothing is said before it: it can be taken, and events are not preferred.
    pub json: bool,
    /// A stream of events.
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
/// enough, though the specification wants clients to name both. Of two that it takes a client prefers the one of the
/// greater `q`, or else the one that it names first.
pub(super) fn accepts(headers: &HeaderMap) -> Option<Accepts> {
    let lines = headers.get_all(header::ACCEPT).iter().map(|value| value.to_str().unwrap_or_default());
    let mut ranges = lines.flat_map(|line| line.split(',')).peekable();
    if ranges.peek().is_none() {
        return Some(Accepts { json: true, sse: true });
    }
    let (mut json, mut sse) = (0.0, 0.0);
    let mut first = None;
    for range in ranges {
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(weight).unwrap_or(1.0);
        let is_json = matches!(kind.as_str(), "application/json" | "application/*" | "*/*");
        let is_sse = matches!(kind.as_str(), "text/event-stream" | "text/*" | "*/*");
        if weight <= 0.0 || !(is_json || is_sse) {
            continue;
        }
        first.get_or_insert(is_json);
        json = if is_json { weight.max(json) } else { json };
        sse = if is_sse { weight.max(sse) } else { sse };
    }
    let events = sse > json || (sse == json && first == Some(false));
    first.map(|_| Accepts { json: json > 0.0 && !events, sse: sse > 0.0 })
}

fn weight(parameter: &str) -> Option<f32> {
    let (key, value) = parameter.split_once('=')?;
    let weight = key.trim().eq_ignore_ascii_case("q").then(|| value.trim().parse::<f32>());
    weight?.ok().filter(|weight| weight.is_finite())
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
            ("text/*, application/*;q=0.1", Some((false, true))),
            ("text/event-stream, application/json", Some((false, true))),
            ("text/event-stream;q=0.9, application/json", Some((true, true))),
            ("text/html, */*, text/event-stream", Some((true, true))),
            ("application/json;q=x, text/event-stream", Some((true, true))),
            ("application/json;q=nan", Some((true, false))),
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
