//! Content codings: what clients send compressed, and answers compressed for clients that take it.
//!
//! `decoded` is called by `bounds`, which bounds what comes out; `answer` by the edge, last of all. The memory of
//! a decoder is bounded here: 8 MiB of window for zstd (RFC 9659), 16 MiB for br (RFC 7932, without large windows). Absent
//! on purpose: deflate, whose two readings nobody agrees on, and several codings on one body.

use crate::refusal::Refusal;
use async_compression::tokio::bufread::{BrotliDecoder, GzipDecoder, ZstdDecoder};
use async_compression::zstd::DParameter;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use tokio::io::AsyncRead;
use tokio_util::io::{ReaderStream, StreamReader};
use toolgate_core::Kind;
use tower::{Layer, Service};
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

// Answers below this many bytes are not worth it.
const MIN_ANSWER: u16 = 1024;
const ZSTD_WINDOW_LOG: u32 = 23;

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Gzip,
    Br,
    Zstd,
}

impl Coding {
    /// What the headers say; `None` for a body that is not compressed. Anything else is 415 and named.
    pub(crate) fn of(headers: &HeaderMap, allowed: bool) -> Result<Option<Self>, Refusal> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let (first, more) = (values.next(), values.next());
        let Some(first) = first else { return Ok(None) };
        let said = first.to_str().unwrap_or_default().trim().to_ascii_lowercase();
        match said.as_str() {
            _ if more.is_some() => Err(unsupported(allowed)),
            "identity" | "" => Ok(None),
            "gzip" | "x-gzip" if allowed => Ok(Some(Self::Gzip)),
            "br" if allowed => Ok(Some(Self::Br)),
            "zstd" if allowed => Ok(Some(Self::Zstd)),
            _ => Err(unsupported(allowed)),
        }
    }
}

fn unsupported(allowed: bool) -> Refusal {
    let (why, takes) = match allowed {
        true => (
            "the body must be compressed with one of gzip, br and zstd, once, or not at all",
            "gzip, br, zstd, identity",
        ),
        false => (
            "the body must not be compressed (http.compression); send it without Content-Encoding",
            "identity",
        ),
    };
    Refusal::new(Kind::Unsupported, why)
        .status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        .header(header::ACCEPT_ENCODING, HeaderValue::from_static(takes))
}

/// The body as it was before it was compressed. How large it becomes is for the reader to bound; that more than `most`
/// bytes come in is an error (`is_too_large`), also when nothing comes of them.
pub(crate) fn decoded(coding: Coding, body: Body, most: usize) -> Body {
    let reader = StreamReader::new(judged(coding, body, most));
    let decoder: Pin<Box<dyn AsyncRead + Send>> = match coding {
        Coding::Gzip => Box::pin(GzipDecoder::new(reader)),
        Coding::Br => Box::pin(BrotliDecoder::new(reader)),
        Coding::Zstd => {
            Box::pin(ZstdDecoder::with_params(reader, &[DParameter::window_log_max(ZSTD_WINDOW_LOG)]))
        }
    };
    Body::from_stream(ReaderStream::new(decoder))
}

// The decoder of br takes windows of up to 1 GiB, which the coding of HTTP does not have; the first seven bits of a body
// say whether it wants one.
fn judged(coding: Coding, body: Body, most: usize) -> impl Stream<Item = io::Result<Bytes>> {
    let mut begun = coding != Coding::Br;
    let mut left = most;
    body.into_data_stream().map(move |chunk| {
        let chunk = chunk.map_err(io::Error::other)?;
        left = left.checked_sub(chunk.len()).ok_or(io::ErrorKind::FileTooLarge)?;
        match chunk.first() {
            Some(byte) if !begun && byte & 0x7f == 0x11 => Err(io::ErrorKind::InvalidData.into()),
            first => {
                begun |= first.is_some();
                Ok(chunk)
            }
        }
    })
}

/// Whether it is that more came in than may.
pub(crate) fn is_too_large(error: &axum::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::FileTooLarge) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The answer, compressed for a client that takes it (`accepts`: its `Accept-Encoding`): not events, which must go out at
/// once, and not what is small.
pub(crate) async fn answer(accepts: HeaderMap, mut answer: Response) -> Response {
    let worth = SizeAbove::new(MIN_ANSWER).and(NotForContentType::const_new("text/event-stream"));
    if answer.headers().contains_key(header::CONTENT_ENCODING) || !worth.should_compress(&answer) {
        return answer;
    }
    if accepts.is_empty() {
        answer.headers_mut().append(header::VARY, HeaderValue::from(header::ACCEPT_ENCODING));
        return answer;
    }
    let mut request = http::Request::new(());
    *request.headers_mut() = accepts;
    let inner = tower::service_fn(|_| std::future::ready(Ok::<_, Infallible>(std::mem::take(&mut answer))));
    match CompressionLayer::new().compress_when(worth).layer(inner).call(request).await {
        Ok(answer) => answer.map(Body::new),
        Err(never) => match never {},
    }
}

/// What an answer may be compressed with.
pub(crate) fn accepts(headers: &HeaderMap) -> HeaderMap {
    let said = headers.get_all(header::ACCEPT_ENCODING).into_iter();
    said.map(|value| (header::ACCEPT_ENCODING, value.clone())).collect()
}
