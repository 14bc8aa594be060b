//! Bounds of a request body: its size, the time it takes to arrive, its type and its form; and of all bodies in memory (`holdings`).
//!
//! `read` is called by every handler that takes a body (REST here, `mcp` too); `json` by the REST ones.

use crate::app::Limits;
use crate::coding::{self, Coding};
use crate::holdings::{Full, Held};
use crate::refusal::Refusal;
use crate::strict;
use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use serde::de::DeserializeOwned;
use std::time::Duration;
use toolgate_core::unit::Size;
use toolgate_core::{Caller, Error, Kind};

/// Of a body that is too large, so much more is read and thrown away: a client that is still sending when the connection
/// closes never sees the answer that tells it why.
const MAX_DRAINED: usize = 64 << 20;
/// Reserved for what a body says that it still brings, in bytes.
const MAX_RESERVED: usize = 1 << 20;
const MAX_DRAINING: Duration = Duration::from_secs(2);

/// A whole body, and its room among all bodies, which is given back when it is dropped.
pub(crate) struct Arrived {
    pub bytes: Vec<u8>,
    pub held: Held,
}

/// As `arrived`; the room is given back when the last piece of the bytes is dropped.
pub(crate) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    caller: &Caller,
) -> Result<Bytes, Refusal> {
    let Arrived { bytes, held } = arrived(headers, body, limits, caller).await?;
    Ok(held.with(bytes.into()))
}

/// Read a whole body, decompressed, within the limits: 413 when it is larger, 415 when its coding is not known, 408 when it takes too long, 400 when it breaks off, 503
/// when the bodies of its caller's requests, or of all, take too much memory.
pub(crate) async fn arrived(
    headers: &HeaderMap,
    mut body: Body,
    limits: &Limits,
    caller: &Caller,
) -> Result<Arrived, Refusal> {
    let coding = Coding::of(headers, limits.compression)?;
    if body.size_hint().lower() > limits.max_body as u64 {
        // A client that asked first (Expect) has sent nothing and will not.
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body).await;
        }
        return Err(too_large(limits));
    }
    if let Some(coding) = coding {
        body = coding::decoded(coding, body, limits.max_body);
    }
    let collected =
        tokio::time::timeout(limits.body_timeout, collect(body, coding.is_none(), limits, caller));
    collected.await.unwrap_or_else(|_| {
        let message =
            format!("the request body did not arrive within {} s", limits.body_timeout.as_secs_f64());
        Err(Refusal::new(Kind::Timeout, message)
            .status(StatusCode::REQUEST_TIMEOUT)
            .header(header::CONNECTION, HeaderValue::from_static("close")))
    })
}

// Of a body that is decompressed no more than fits is: the rest could be any size.
async fn collect(
    mut body: Body,
    drained: bool,
    limits: &Limits,
    caller: &Caller,
) -> Result<Arrived, Refusal> {
    let mut bytes = Vec::new();
    let mut held = limits.bodies.nothing(&caller.id);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| match coding::is_too_large(&error) {
            true => too_large(limits),
            false => Refusal::invalid("the request body broke off or is malformed"),
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > limits.max_body {
            if drained {
                drain(&mut body).await;
            }
            return Err(too_large(limits));
        }
        if let Err(full) = held.grow(data.len()) {
            drop((bytes, held));
            if drained {
                drain(&mut body).await;
            }
            return Err(no_room(full).into());
        }
        if bytes.capacity() - bytes.len() < data.len() {
            let said = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
            bytes.reserve(data.len().saturating_add(said.min(MAX_RESERVED)));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(Arrived { bytes, held })
}

/// Why there is no room.
pub(crate) fn no_room(full: Full) -> Error {
    let why = match full {
        Full::Share => {
            "the bodies of your requests take too much memory now (a share of http.max_bodies); send fewer at a time"
        }
        Full::All => {
            "the bodies of all requests together take too much memory now (http.max_bodies); try again in a moment"
        }
    };
    Error::new(Kind::Unavailable, why).retry_after(Duration::from_secs(1))
}

async fn drain(body: &mut Body) {
    let _ = tokio::time::timeout(MAX_DRAINING, async {
        let mut left = MAX_DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            match frame.data_ref().map_or(Some(left), |data| left.checked_sub(data.len())) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    })
    .await;
}

fn too_large(limits: &Limits) -> Refusal {
    let size = Size(limits.max_body as u64);
    Refusal::new(Kind::TooLarge, format!("the request body is larger than {size} (http.max_body)"))
}

/// Read a JSON body into `T`. An empty body is `{}`.
pub(crate) async fn json<T: DeserializeOwned>(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    caller: &Caller,
) -> Result<T, Refusal> {
    let typed = headers.get(header::CONTENT_TYPE);
    if typed.is_some_and(|value| !is_json(value)) {
        return Err(wrong_type());
    }
    let bytes = read(headers, body, limits, caller).await?;
    if bytes.is_empty() {
        return parse("{}");
    }
    if typed.is_none() {
        return Err(wrong_type());
    }
    let text = std::str::from_utf8(&bytes)
        .map_err(|e| Refusal::invalid(format!("the body is not UTF-8 (byte {})", e.valid_up_to())))?;
    strict::check(text)
        .map_err(|problem| Refusal::invalid(format!("the body is not acceptable JSON: {problem}")))?;
    parse(text)
}

fn parse<T: DeserializeOwned>(text: &str) -> Result<T, Refusal> {
    serde_json::from_str(text)
        .map_err(|problem| Refusal::invalid(format!("the body does not fit: {problem}")))
}

fn wrong_type() -> Refusal {
    Refusal::new(Kind::Unsupported, "the body must be JSON; send Content-Type: application/json")
        .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

// `application/json`, with or without parameters; a charset other than UTF-8 does not exist for JSON.
fn is_json(value: &HeaderValue) -> bool {
    let Ok(text) = value.to_str() else { return false };
    let mut parts = text.split(';').map(str::trim);
    parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"))
        && parts.all(|parameter| match parameter.split_once('=') {
            Some((name, value)) if name.trim().eq_ignore_ascii_case("charset") => {
                value.trim().trim_matches('"').eq_ignore_ascii_case("utf-8")
            }
            _ => true,
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::holdings::Holdings;
    use futures_util::{FutureExt, StreamExt};
    use std::convert::Infallible;
    use std::time::Duration;

    #[derive(Debug, serde::Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Thing {
        #[serde(default)]
        a: u8,
    }

    fn limits() -> Limits {
        Limits {
            max_body: 32,
            body_timeout: Duration::from_secs(30),
            compression: true,
            bodies: Holdings::new(Size(160), 0),
        }
    }

    fn whose(id: &str) -> Caller {
        Caller::new(id, "tester", ["admin"])
    }

    async fn ask(content_type: Option<&str>, body: impl Into<Body>) -> Result<Thing, (u16, String)> {
        let mut headers = HeaderMap::new();
        if let Some(value) = content_type {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_str(value).unwrap());
        }
        let told = |r: Refusal| (r.status_code().as_u16(), r.message().to_owned());
        json(&headers, body.into(), &limits(), &whose("a")).await.map_err(told)
    }

    #[tokio::test]
    async fn bodies() {
        for kind in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert_eq!(ask(Some(kind), r#"{"a":1}"#).await, Ok(Thing { a: 1 }));
        }
        assert_eq!(ask(None, "").await, Ok(Thing { a: 0 }));
        for (kind, body, status, text) in [
            (None, r#"{"a":1}"#, 415, "application/json"),
            (Some("text/plain"), r#"{"a":1}"#, 415, "application/json"),
            (Some("application/json; charset=latin1"), r#"{"a":1}"#, 415, "application/json"),
            (Some("application/json"), r#"{"b":1}"#, 400, "unknown field `b`, expected `a`"),
            (Some("application/json"), r#"{"a":1,"a":2}"#, 400, "twice"),
            (Some("application/json"), r#"{"a":"#, 400, "EOF"),
            (Some("application/json"), r#"{"a":1}                          "#, 413, "http.max_body"),
        ] {
            let (got, message) = ask(kind, body).await.unwrap_err();
            assert_eq!(got, status, "{body}");
            assert!(message.contains(text), "{message}");
        }
        let (status, text) = ask(Some("application/json"), vec![b'"', 0xff, b'"']).await.unwrap_err();
        assert_eq!((status, text.contains("UTF-8")), (400, true));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_in_pieces_is_bounded_in_size_and_time() {
        let pieces = futures_util::stream::iter(["0123456789abcdef"; 3].map(Ok::<_, Infallible>));
        let ask = async |body| {
            read(&HeaderMap::new(), body, &limits(), &whose("a")).await.unwrap_err().status_code()
        };
        assert_eq!(ask(Body::from_stream(pieces)).await, 413);
        let never = futures_util::stream::pending::<Result<&str, Infallible>>();
        assert_eq!(ask(Body::from_stream(never)).await, 408);
    }

    #[tokio::test]
    async fn all_bodies_of_a_caller_together_are_bounded() {
        let limits = limits();
        let (one, other) = (whose("a"), whose("b"));
        let ask = async |caller, size: usize| {
            read(&HeaderMap::new(), Body::from(vec![b' '; size]), &limits, caller).await
        };
        let first = ask(&one, 30).await.unwrap();
        let piece = first.slice(3..5);
        drop(first);
        assert_eq!(ask(&one, 11).await.unwrap_err().status_code(), 503, "a piece holds the whole");
        let others = ask(&other, 30).await.unwrap();
        let second = ask(&one, 10).await.unwrap();
        drop((piece, second, others));
        let pieces = futures_util::stream::iter(["0123456789abcdef"; 2].map(Ok::<_, Infallible>));
        let whole = read(&HeaderMap::new(), Body::from_stream(pieces), &limits, &one).await.unwrap();
        assert_eq!((whole.len(), limits.bodies.all()), (32, 32));
        drop(whole);
        assert_eq!(limits.bodies.all(), 0);
    }

    /// Who sends bodies that do not end keeps nobody else from sending.
    #[tokio::test]
    async fn slow_bodies_of_one_caller_are_no_refusal_of_another() {
        let limits = limits();
        let (slow, quick) = (whose("slow"), whose("quick"));
        let endless = || {
            let begun = futures_util::stream::iter([Ok::<_, Infallible>("0123456789abcdef")]);
            Body::from_stream(begun.chain(futures_util::stream::pending()))
        };
        let headers = HeaderMap::new();
        let mut held: Vec<_> = (0..9).map(|_| Box::pin(read(&headers, endless(), &limits, &slow))).collect();
        assert!(held.iter_mut().all(|body| body.as_mut().now_or_never().is_none()));
        assert_eq!(limits.bodies.all(), 32, "its share; what is too much is read and thrown away");
        assert!(read(&headers, Body::from("{}"), &limits, &quick).await.is_ok());
    }
}
