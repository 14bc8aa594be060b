//! Answers that are not sent yet, counted: who does not read its answers cannot fill the memory with them.
//!
//! Called by `app::edge` for every answer to a caller, and by channels for theirs. A piece counts from when it is known
//! until the connection lets go of it. What is small does not count. A whole answer without room is refused; an event
//! without room breaks its stream off, which a client sees.

use crate::holdings::{Held, Holdings};
use crate::refusal::Refusal;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::{Body as _, Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use toolgate_core::{Caller, Kind};

// What is not larger does not count, in bytes.
const SMALL: usize = 8 * 1024;

/// The answer, counted.
pub(crate) fn counted(answer: Response, answers: &Arc<Holdings>, caller: &Caller) -> Response {
    let exact = answer.body().size_hint().exact();
    let taken = match exact.map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX)) {
        Some(bytes) if bytes <= SMALL => return answer,
        Some(bytes) => match answers.take(&caller.id, bytes) {
            Ok(held) => Some(Arc::new(held)),
            Err(_full) => return no_room().into_response(),
        },
        None => None,
    };
    let (answers, caller) = (answers.clone(), caller.id.clone());
    answer.map(|body| Body::new(Counted { body, taken, answers, caller }))
}

/// These bytes, counted; `None` when there is no room for them.
pub(crate) fn piece(answers: &Arc<Holdings>, caller: &Arc<str>, bytes: Bytes) -> Option<Bytes> {
    Some(answers.take(caller, bytes.len()).ok()?.with(bytes))
}

fn no_room() -> Refusal {
    let why = "answers of yours that are not read yet take too much memory (a share of http.max_bodies); read them, \
               then ask again";
    Refusal::new(Kind::Unavailable, why).header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

/// A whole body in pieces, whose size is known.
pub(crate) struct InPieces {
    pieces: std::vec::IntoIter<Bytes>,
    left: u64,
}

impl InPieces {
    pub fn of(pieces: Vec<Bytes>) -> Self {
        let left = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into_iter(), left }
    }
}

impl http_body::Body for InPieces {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.pieces.next();
        self.left -= next.as_ref().map_or(0, |piece| piece.len() as u64);
        Poll::Ready(next.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

struct Counted {
    body: Body,
    /// The place of the whole, when its size was known: held by each piece of it.
    taken: Option<Arc<Held>>,
    answers: Arc<Holdings>,
    caller: Arc<str>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(frame) = ready!(Pin::new(&mut self.body).poll_frame(cx)?) else { return Poll::Ready(None) };
        let data = match frame.into_data() {
            Ok(data) => data,
            Err(trailers) => return Poll::Ready(Some(Ok(trailers))),
        };
        let data = match &self.taken {
            Some(held) => Some(held.shared(data)),
            None if data.len() <= SMALL => Some(data),
            None => piece(&self.answers, &self.caller, data),
        };
        let data = data.ok_or_else(|| axum::Error::new("answers that are not read take too much memory"));
        Poll::Ready(Some(data.map(Frame::data)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http_body_util::BodyExt;
    use toolgate_core::unit::Size;

    #[tokio::test]
    async fn unread_answers_of_a_caller_have_a_bound() {
        let answers = Holdings::new(Size(400_000), 0);
        let (one, other) = (Caller::new("a", "a", ["x"]), Caller::new("b", "b", ["x"]));
        let ask =
            |caller, bytes: usize| counted(Response::new(Body::from(vec![b'x'; bytes])), &answers, caller);
        let first = ask(&one, 60_000);
        assert_eq!((first.status().as_u16(), first.body().size_hint().exact()), (200, Some(60_000)));
        assert_eq!(ask(&one, 60_000).status(), 503);
        assert_eq!(ask(&one, SMALL).status(), 200);
        assert_eq!(ask(&other, 60_000).status(), 200);
        let mut body = first.into_body();
        let sent = body.frame().await.unwrap().unwrap().into_data().unwrap();
        drop(body);
        assert_eq!((sent.len(), answers.all()), (60_000, 60_000), "held by the piece that is being sent");
        drop(sent);
        assert_eq!(answers.all(), 0);
        // Of a whole in pieces each holds all of it.
        let pieces = (0..3).map(|_| Bytes::from(vec![b'x'; 20_000])).collect();
        let mut body = counted(Response::new(Body::new(InPieces::of(pieces))), &answers, &one).into_body();
        let mut pieces = Vec::new();
        while let Some(piece) = body.frame().await {
            pieces.push(piece.unwrap().into_data().unwrap());
        }
        drop(body);
        let last = pieces.pop();
        drop(pieces);
        assert_eq!((last.as_ref().map(Bytes::len), answers.all()), (Some(20_000), 60_000));
        drop(last);
        assert_eq!(answers.all(), 0);
        // Of a stream nobody knows the size before.
        let event = || Ok::<_, std::convert::Infallible>(Bytes::from(vec![b'x'; 60_000]));
        let stream = || Body::from_stream(futures_util::stream::iter([event(), event()]));
        let mut body = counted(Response::new(stream()), &answers, &one).into_body();
        let kept = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(body.frame().await.unwrap().is_err(), "the first is not sent yet");
        drop(kept);
        let mut body = counted(Response::new(stream()), &answers, &one).into_body();
        while let Some(event) = body.frame().await {
            assert_eq!(event.unwrap().into_data().unwrap().len(), 60_000);
        }
    }
}
