//! `Lent`: the body of a request on its way through the handlers, to be had back when they did not read it to its end.
//!
//! Called by `app::edge`. An answer that comes before the body has been read (a wrong key, no such path) leaves the body
//! on the connection, which then cannot be used again: a small rest is read and thrown away, else the answer says that
//! the connection closes, so that a client does not send its next request into it.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderValue, Version, header};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::BodyExt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

// So much of a rest is read, and for so long.
const MAX_REST: usize = 64 * 1024;
const MAX_WAIT: Duration = Duration::from_secs(1);

type Place = Arc<Mutex<Option<Body>>>;

struct Lent {
    // `None` once it is given back.
    body: Option<Body>,
    place: Place,
}

/// Where a body that was lent comes back to.
pub(crate) struct Lender {
    place: Place,
    /// The client waits to be told to send it, so there is nothing to read.
    is_awaited: bool,
}

/// Lend the body of a request; `None` when there is none, or a version that does not mind.
pub(crate) fn lend(request: &mut http::Request<Body>) -> Option<Lender> {
    if request.version() == Version::HTTP_2 || request.body().is_end_stream() {
        return None;
    }
    let place = Place::default();
    let body = Some(std::mem::take(request.body_mut()));
    *request.body_mut() = Body::new(Lent { body, place: place.clone() });
    Some(Lender { place, is_awaited: request.headers().contains_key(header::EXPECT) })
}

impl Lender {
    /// Make the connection good for another request, or say in the answer that it is not.
    pub(crate) async fn settle(self, answer: &mut http::HeaderMap) {
        let left = self.place.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(left) = left else { return };
        if self.is_awaited || !is_read(left).await {
            answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

// Whether all of it could be read.
async fn is_read(mut body: Body) -> bool {
    if body.size_hint().lower() > MAX_REST as u64 {
        return false;
    }
    let reading = async {
        let mut left = MAX_REST;
        while let Some(frame) = body.frame().await {
            let Ok(frame) = frame else { return false };
            match left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) {
                Some(rest) => left = rest,
                None => return false,
            }
        }
        true
    };
    tokio::time::timeout(MAX_WAIT, reading).await.unwrap_or(false)
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(body) = self.body.take().filter(|body| !body.is_end_stream()) {
            *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
        }
    }
}

impl http_body::Body for Lent {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = Pin::new(body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) {
            self.body = None;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), |body| body.size_hint())
    }
}
