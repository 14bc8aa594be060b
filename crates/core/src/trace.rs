//! W3C trace context: the `traceparent`, `tracestate` and `baggage` of a request, from headers or from MCP `_meta`.
//!
//! Accepted as sent when well-formed, else ignored, as the Recommendation asks.

/// Trace context of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    parent: String,
    pub state: Option<String>,
    pub baggage: Option<String>,
}

// Longest `tracestate` and `baggage` passed on, in bytes.
const MAX_STATE: usize = 512;
const MAX_BAGGAGE: usize = 8192;

impl TraceContext {
    /// From a `traceparent` value (version-trace_id-parent_id-flags).
    pub fn parse(parent: &str) -> Option<Self> {
        let parent = parent.trim();
        let mut parts = parent.split('-');
        let (version, trace, span, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let known_length = version != "00" || parts.next().is_none();
        let fits = hex(version, 2)
            && version != "ff"
            && hex(trace, 32)
            && trace.bytes().any(|b| b != b'0')
            && hex(span, 16)
            && span.bytes().any(|b| b != b'0')
            && hex(flags, 2)
            && known_length
            && parent.len() <= 128;
        fits.then(|| Self { parent: parent.to_owned(), state: None, baggage: None })
    }

    pub fn with_state(mut self, state: Option<&str>) -> Self {
        self.state = state.filter(|s| s.len() <= MAX_STATE).map(str::to_owned);
        self
    }

    pub fn with_baggage(mut self, baggage: Option<&str>) -> Self {
        self.baggage = baggage.filter(|b| b.len() <= MAX_BAGGAGE).map(str::to_owned);
        self
    }

    /// The `traceparent` value.
    pub fn parent(&self) -> &str {
        &self.parent
    }

    /// The 32 hexadecimal digits of the trace id.
    pub fn trace_id(&self) -> &str {
        &self.parent[3..35]
    }
}

fn hex(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_what_the_recommendation_allows() {
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(TraceContext::parse(good).unwrap().trace_id(), "4bf92f3577b34da6a3ce929d0e0e4736");
        for bad in [
            "",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert!(TraceContext::parse(bad).is_none(), "{bad}");
        }
    }
}
