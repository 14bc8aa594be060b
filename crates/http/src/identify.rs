//! The credential of a request: `Authorization: Bearer tg_…` or `X-API-Key: tg_…`, never the query string.
//!
//! Called by `app::edge`; who the key belongs to is the engine's to say. Keys in a query string end up in proxy logs,
//! browser histories and referrers, so a request that carries one is refused rather than ignored: its sender must learn
//! that the key is spent.

use crate::refusal::Refusal;
use http::{HeaderMap, HeaderValue, Uri, header};

// Longest credential that is looked at, in bytes.
const MAX_KEY: usize = 512;
const IN_QUERY: [&str; 5] = ["api_key", "apikey", "access_token", "x-api-key", "token"];

/// Refuse a request that carries a key in its address.
pub(crate) fn no_key_in_query(uri: &Uri) -> Result<(), Refusal> {
    key_in_query(uri).map_or(Ok(()), |name| {
        Err(Refusal::invalid(format!(
            "the query parameter {name:?} carries a key; keys in addresses end up in logs. Send it as \
             \"Authorization: Bearer <key>\" and replace the key, it may have been recorded"
        )))
    })
}

/// The key that a request presents, if any.
pub(crate) fn credential(headers: &HeaderMap) -> Result<Option<&str>, Refusal> {
    let bearer = single(headers, &header::AUTHORIZATION)?.map(bearer).transpose()?;
    let plain = single(headers, &header::HeaderName::from_static("x-api-key"))?.map(text).transpose()?;
    match (bearer, plain) {
        (Some(a), Some(b)) if a != b => {
            Err(Refusal::unauthenticated("Authorization and X-API-Key present different keys; send one"))
        }
        (Some(key), _) | (None, Some(key)) => Ok(Some(key)),
        (None, None) => Ok(None),
    }
}

fn single<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    let first = values.next();
    if values.next().is_some() {
        return Err(Refusal::unauthenticated(format!("the request has several {name} headers; send one")));
    }
    Ok(first)
}

fn text(value: &HeaderValue) -> Result<&str, Refusal> {
    let key = value.to_str().map(str::trim).unwrap_or("");
    if key.is_empty() || key.len() > MAX_KEY {
        return Err(Refusal::unauthenticated("the key is not one of this gateway's: it begins with tg_"));
    }
    Ok(key)
}

fn bearer(value: &HeaderValue) -> Result<&str, Refusal> {
    let scheme_and_key = value.to_str().ok().and_then(|v| v.trim().split_once(' '));
    match scheme_and_key {
        Some((scheme, key)) if scheme.eq_ignore_ascii_case("bearer") && !key.trim().is_empty() => {
            let key = key.trim();
            if key.len() > MAX_KEY || key.contains(' ') {
                return Err(Refusal::unauthenticated(
                    "the key is not one of this gateway's: it begins with tg_",
                ));
            }
            Ok(key)
        }
        _ => Err(Refusal::unauthenticated("the Authorization header must be \"Bearer <key>\"")),
    }
}

fn key_in_query(uri: &Uri) -> Option<&'static str> {
    uri.query()?.split('&').find_map(|pair| {
        let name = percent_decoded(pair.split('=').next().unwrap_or(""));
        IN_QUERY.into_iter().find(|known| name.eq_ignore_ascii_case(known))
    })
}

// Without this, `?api%5fkey=` would slip through.
fn percent_decoded(name: &str) -> String {
    let bytes = name.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escaped = (*byte == b'%').then(|| digit(at + 1).zip(digit(at + 2))).flatten();
        match escaped.and_then(|(high, low)| u8::try_from(high * 16 + low).ok()) {
            Some(meant) => {
                out.push(meant);
                at += 3;
            }
            None => {
                out.push(*byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(uri: &str, headers: &[(&str, &str)]) -> Result<Option<String>, u16> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(name.parse::<header::HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap());
        }
        no_key_in_query(&uri.parse().unwrap())
            .and_then(|()| credential(&map))
            .map(|key| key.map(str::to_owned))
            .map_err(|refusal| refusal.status_code().as_u16())
    }

    #[test]
    fn either_header_or_both_alike() {
        let key = Ok(Some("tg_a_b".to_owned()));
        assert_eq!(ask("/", &[]), Ok(None));
        assert_eq!(ask("/", &[("authorization", "Bearer tg_a_b")]), key);
        assert_eq!(ask("/", &[("authorization", "bearer  tg_a_b")]), key);
        assert_eq!(ask("/", &[("x-api-key", "tg_a_b")]), key);
        assert_eq!(ask("/", &[("x-api-key", "tg_a_b"), ("authorization", "Bearer tg_a_b")]), key);
    }

    #[test]
    fn doubtful_credentials_are_refused() {
        let long = "x".repeat(MAX_KEY + 1);
        for headers in [
            vec![("x-api-key", "tg_a_b"), ("authorization", "Bearer tg_c_d")],
            vec![("x-api-key", "tg_a_b"), ("x-api-key", "tg_a_b")],
            vec![("authorization", "Basic dXNlcjpwYXNz")],
            vec![("authorization", "Bearer")],
            vec![("authorization", "Bearer ")],
            vec![("authorization", "Bearer a b")],
            vec![("authorization", "")],
            vec![("x-api-key", "")],
            vec![("x-api-key", &long)],
        ] {
            assert_eq!(ask("/", &headers), Err(401), "{headers:?}");
        }
    }

    #[test]
    fn a_key_in_the_query_is_refused() {
        for uri in ["/?api_key=tg_a_b", "/?a=1&access_token=x", "/?API_KEY=", "/?api%5fkey=x", "/?%61pi_key"]
        {
            assert_eq!(ask(uri, &[("x-api-key", "tg_a_b")]), Err(400), "{uri}");
        }
        assert_eq!(ask("/?a=api_key&b%=1&c%zz=%", &[]), Ok(None));
    }
}
