//! Headers of a client's own request on their way to an upstream: which it is given, and which nobody is.
//!
//! `withheld` is asked when settings are checked, and again for every request: what was let in once by a mistake does not
//! go out. Only calls, reads and prompts carry any; over pipes headers do not travel.

use http::{HeaderMap, HeaderName, HeaderValue};
use toolgate_core::Ctx;

const CREDENTIALS: [&str; 7] =
    ["authorization", "x-api-key", "api-key", "cookie", "cookie2", "proxy-authorization", "x-toolgate-key"];
const OWN: [&str; 29] = [
    "host",
    "origin",
    "referer",
    "connection",
    "proxy-connection",
    "keep-alive",
    "upgrade",
    "http2-settings",
    "te",
    "trailer",
    "transfer-encoding",
    "proxy-authenticate",
    "content-length",
    "content-type",
    "content-encoding",
    "accept",
    "accept-encoding",
    "expect",
    "range",
    "if-match",
    "if-none-match",
    "if-range",
    "last-event-id",
    "traceparent",
    "tracestate",
    "baggage",
    "via",
    "forwarded",
    "x-real-ip",
];
const OWN_PREFIXES: [&str; 4] = ["mcp-", "sec-", "x-forwarded-", "access-control-"];

/// Why the header of this name (in lower case) is never passed on.
pub fn withheld(name: &str) -> Option<&'static str> {
    if CREDENTIALS.contains(&name) {
        return Some(
            "is never passed on: what a client shows the gateway is not for its upstreams; set a header of the upstream's \
             own in `headers`",
        );
    }
    let own = OWN.contains(&name) || OWN_PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    own.then_some(
        "is never passed on: it belongs to the connection or to the protocol, which are the gateway's own on both sides; \
         leave it out",
    )
}

/// The headers of this call's client that an upstream of these settings is given.
pub(crate) fn given(names: &[String], ctx: &Ctx) -> HeaderMap {
    let mut given = HeaderMap::new();
    let Some(forwarded) = ctx.forwarded.as_deref() else { return given };
    for name in names {
        let Ok(name) = HeaderName::try_from(name.as_str()) else { continue };
        if withheld(name.as_str()).is_some() {
            continue;
        }
        for value in forwarded.get(name.as_str()).filter_map(|value| HeaderValue::from_bytes(value).ok()) {
            given.append(name.clone(), value);
        }
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_passed_on() {
        for name in [
            "authorization",
            "x-api-key",
            "cookie",
            "host",
            "origin",
            "mcp-session-id",
            "mcp-param-x",
            "sec-fetch-site",
            "forwarded",
            "x-forwarded-for",
            "connection",
            "te",
            "upgrade",
            "transfer-encoding",
            "proxy-authorization",
        ] {
            assert!(withheld(name).is_some(), "{name}");
        }
        for name in ["x-tenant", "accept-language", "user-agent", "x-request-id"] {
            assert!(withheld(name).is_none(), "{name}");
        }
    }
}
