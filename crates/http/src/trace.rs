//! W3C trace context of a request's headers.

use http::HeaderMap;
use toolgate_core::trace::TraceContext;

/// The trace context that the headers carry; none when it is malformed or given twice, as the Recommendation asks.
pub(crate) fn of(headers: &HeaderMap) -> Option<TraceContext> {
    let mut parents = headers.get_all("traceparent").iter();
    let parent = parents.next()?.to_str().ok()?;
    if parents.next().is_some() {
        return None;
    }
    let state = joined(headers, "tracestate");
    let baggage = joined(headers, "baggage");
    Some(TraceContext::parse(parent)?.with_state(state.as_deref()).with_baggage(baggage.as_deref()))
}

// Both headers are lists that may be spread over several lines.
fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let lines: Vec<&str> = headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    (!lines.is_empty()).then(|| lines.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_joined_and_doubt_is_dropped() {
        let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        let mut headers = HeaderMap::new();
        assert_eq!(of(&headers), None);
        headers.append("traceparent", parent.parse().unwrap());
        headers.append("tracestate", "a=1".parse().unwrap());
        headers.append("tracestate", "b=2".parse().unwrap());
        let context = of(&headers).unwrap();
        assert_eq!((context.parent(), context.state.as_deref()), (parent, Some("a=1,b=2")));
        headers.append("traceparent", parent.parse().unwrap());
        assert_eq!(of(&headers), None);
    }
}
