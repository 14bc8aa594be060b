//! Headers of a request that some upstream may be given, taken over for its call.
//!
//! Used where a call begins (Streamable HTTP and REST), and where a channel does (WebSocket and HTTP+SSE): there the request
//! that opens it speaks for all that is asked on it. Nothing is copied unless the operator named it for some upstream;
//! which upstream gets what is decided there, by its own settings.

use crate::app::AppState;
use http::{HeaderMap, HeaderName};
use std::sync::Arc;
use toolgate_core::Forwarded;

pub(crate) fn of(headers: &HeaderMap, app: &AppState) -> Option<Arc<Forwarded>> {
    let names = app.upstreams()?.forwarded();
    (!names.is_empty()).then(|| named(headers, &names)).flatten().map(Arc::new)
}

fn named(headers: &HeaderMap, names: &[HeaderName]) -> Option<Forwarded> {
    let mut forwarded = Forwarded::default();
    for name in names {
        headers.get_all(name).iter().for_each(|value| forwarded.add(name.as_str(), value.as_bytes()));
    }
    (!forwarded.is_empty()).then_some(forwarded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_named_is_copied() {
        let mut headers = HeaderMap::new();
        headers.append("x-tenant", "a".parse().unwrap());
        headers.append("x-tenant", "b".parse().unwrap());
        headers.append("x-other", "c".parse().unwrap());
        let tenant = [HeaderName::from_static("x-tenant")];
        let forwarded = named(&headers, &tenant).unwrap();
        assert_eq!(forwarded.get("X-Tenant").collect::<Vec<_>>(), [b"a", b"b"]);
        assert_eq!(forwarded.get("x-other").count(), 0);
        assert!(named(&HeaderMap::new(), &tenant).is_none());
    }
}
