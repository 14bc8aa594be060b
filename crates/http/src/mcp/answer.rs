//! Answers as HTTP responses: one JSON object, or a stream of server-sent events that ends with the answer.

use super::negotiate::Accepts;
use super::stream::Reader;
use crate::sending::InPieces;
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use futures_util::stream;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::time::Duration;
use tokio::sync::mpsc::Receiver;
use tokio::sync::watch;
use tokio::time::{Interval, MissedTickBehavior};
use toolgate_engine::mcp::{Out, Reply};
use toolgate_wire::result::Pieces;
use toolgate_wire::{Fault, Id, sse};

/// Silence on a stream after which a comment is sent.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(15);

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const NO_BUFFERING: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// An answer without content.
pub(super) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// An error with a status of its own.
pub(super) fn fault(status: StatusCode, id: Option<&Id>, fault: &Fault) -> Response {
    json(status, fault.answer(id).into())
}

fn json(status: StatusCode, body: Pieces) -> Response {
    let mut pieces: Vec<Bytes> = body.into_iter().collect();
    let body = match &mut pieces[..] {
        [one] => Body::from(std::mem::take(one)),
        _ => Body::new(InPieces::of(pieces)),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, JSON);
    response
}

/// A whole reply: an event only for a client that takes nothing else or prefers events.
pub(super) fn whole(reply: Reply, accepts: Accepts) -> Response {
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    if !accepts.json && status == StatusCode::OK {
        return events(Body::from(sse::message(&reply.body.into_vec())));
    }
    let mut response = json(status, reply.body);
    if let Some(wait) = reply.retry_after {
        let seconds = wait.as_millis().div_ceil(1000);
        if let Ok(value) = HeaderValue::from_str(&seconds.to_string()) {
            response.headers_mut().insert(header::RETRY_AFTER, value);
        }
    }
    response
}

pub(super) fn events(body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, EVENTS);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(NO_BUFFERING.0, NO_BUFFERING.1);
    response
}

pub(super) type Run = Pin<Box<dyn Future<Output = Reply> + Send>>;

/// Run a call that may say something before its answer. Dropping the response drops the call.
///
/// Nothing is sent before the first message is known: a call that ends without one is answered with plain JSON and its own
/// status.
pub(super) async fn progressing(
    run: impl Future<Output = Reply> + Send + 'static,
    mut notes: Receiver<Out>,
    accepts: Accepts,
) -> Response {
    let mut run: Run = Box::pin(run);
    let first = tokio::select! {
        biased;
        Some(first) = notes.recv() => first,
        reply = &mut run => return whole(reply, accepts),
    };
    let live = Live { run: Some(run), notes, queue: VecDeque::from_iter(event(first)), beat: beat() };
    events(Body::from_stream(stream::unfold(live, |mut live| async move {
        let chunk = live.next().await?;
        Some((Ok::<Bytes, Infallible>(chunk), live))
    })))
}

// There is no coming back in the modern era, so nobody is let go.
fn event(out: Out) -> Option<Bytes> {
    match out {
        Out::Message(message) => Some(sse::message(&message).into()),
        Out::Answer(message) => Some(sse::message(&message).into()),
        Out::Pause => None,
    }
}

/// What a reader reads, until its end or until `closing`, if there is one, turns true; `held` is dropped with the response.
pub(super) fn stream<H: Send + 'static>(
    opening: Option<Bytes>,
    reader: Reader,
    closing: Option<watch::Receiver<bool>>,
    held: H,
) -> Response {
    // The head goes out at once, so that proxies see it.
    let first = opening.unwrap_or_else(|| Bytes::from_static(sse::KEEP_ALIVE));
    let state = (Some(first), reader, closing, beat(), held);
    events(Body::from_stream(stream::unfold(
        state,
        |(mut first, mut reader, mut closing, mut beat, held)| async move {
            let chunk = match first.take() {
                Some(first) => first,
                None => tokio::select! {
                    event = reader.next() => event?,
                    () = turns_true(&mut closing) => return None,
                    _ = beat.tick() => Bytes::from_static(sse::KEEP_ALIVE),
                },
            };
            Some((Ok::<Bytes, Infallible>(chunk), (first, reader, closing, beat, held)))
        },
    )))
}

async fn turns_true(closing: &mut Option<watch::Receiver<bool>>) {
    match closing {
        Some(closing) => drop(closing.wait_for(|closing| *closing).await),
        None => std::future::pending().await,
    }
}

pub(super) fn beat() -> Interval {
    let start = tokio::time::Instant::now() + KEEP_ALIVE;
    let mut beat = tokio::time::interval_at(start, KEEP_ALIVE);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    beat
}

// A stream being sent.
struct Live {
    /// `None` once the answer is in the queue.
    run: Option<Run>,
    notes: Receiver<Out>,
    queue: VecDeque<Bytes>,
    beat: Interval,
}

impl Live {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(chunk) = self.queue.pop_front() {
            return Some(chunk);
        }
        let run = self.run.as_mut()?;
        tokio::select! {
            biased;
            Some(out) = self.notes.recv() => match event(out) {
                Some(event) => return Some(event),
                None => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
            },
            reply = run => {
                self.run = None;
                while let Ok(out) = self.notes.try_recv() {
                    self.queue.extend(event(out));
                }
                self.queue.push_back(sse::message(&reply.body.into_vec()).into());
            }
            _ = self.beat.tick() => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
        }
        self.queue.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::super::room::Room;
    use super::super::stream::Stream;
    use super::*;
    use http_body_util::BodyExt;
    use tokio::sync::mpsc;
    use tokio::time::Instant;

    async fn frame(body: &mut Body) -> Option<String> {
        let data = body.frame().await?.unwrap().into_data().unwrap();
        Some(String::from_utf8(data.to_vec()).unwrap())
    }

    const BOTH: Accepts = Accepts { json: true, sse: true };

    #[tokio::test(start_paused = true)]
    async fn a_silent_stream_shows_that_it_lives_and_ends_with_the_shutdown() {
        let own = Stream::new(0, &Room::new(1 << 20));
        let (close, closing) = watch::channel(false);
        let (held, free) = mpsc::channel::<()>(1);
        let mut body = stream(None, own.read(0), Some(closing), held).into_body();
        assert_eq!(
            frame(&mut body).await.unwrap(),
            ": keep-alive\n\n",
            "at once, so that proxies see the head"
        );
        for _ in 0..3 {
            let before = Instant::now();
            assert_eq!(frame(&mut body).await.unwrap(), ": keep-alive\n\n");
            assert!(before.elapsed() <= KEEP_ALIVE);
        }
        own.push(b"{}");
        assert_eq!(frame(&mut body).await.unwrap(), "id: 0-1\nevent: message\ndata: {}\n\n");
        assert!(!free.is_closed());
        close.send(true).unwrap();
        assert_eq!(frame(&mut body).await, None);
        drop(body);
        assert!(free.is_closed(), "what the stream held is freed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_stream_without_a_shutdown_goes_on_to_its_end() {
        let answer = Stream::new(7, &Room::new(1 << 20));
        let mut body = stream(Some(answer.opening(0)), answer.read(0), None, ()).into_body();
        assert_eq!(frame(&mut body).await.unwrap(), "id: 7-0\nretry: 500\ndata: \n\n");
        assert_eq!(frame(&mut body).await.unwrap(), ": keep-alive\n\n");
        answer.push(b"{}");
        answer.end();
        assert_eq!(frame(&mut body).await.unwrap(), "id: 7-1\nevent: message\ndata: {}\n\n");
        assert_eq!(frame(&mut body).await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_call_shows_that_it_lives_once_its_stream_has_begun() {
        let (sender, notes) = mpsc::channel(4);
        let run = async move {
            sender.send(Out::Message(b"[1]".to_vec())).await.unwrap();
            tokio::time::sleep(Duration::from_secs(40)).await;
            sender.send(Out::Message(b"[2]".to_vec())).await.unwrap();
            Reply::whole(b"[3]".to_vec())
        };
        let mut body = progressing(run, notes, BOTH).await.into_body();
        let mut chunks = Vec::new();
        while let Some(chunk) = frame(&mut body).await {
            chunks.push(chunk);
        }
        let alive = ": keep-alive\n\n";
        let [one, two, three] = [1, 2, 3].map(|n| format!("event: message\ndata: [{n}]\n\n"));
        assert_eq!(chunks, [&one, alive, alive, &two, &three], "alive at 15 and 30 s");
    }

    #[tokio::test]
    async fn what_is_said_just_before_the_end_is_not_lost() {
        let (sender, notes) = mpsc::channel(5);
        for n in 0..3 {
            sender.try_send(Out::Message(vec![b'0' + n])).unwrap();
            let _ = sender.try_send(Out::Pause);
        }
        let run = async move {
            drop(sender);
            Reply::whole(b"end".to_vec())
        };
        let body = progressing(run, notes, BOTH).await.into_body();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let data: Vec<_> = text.lines().filter_map(|l| l.strip_prefix("data: ")).collect();
        assert_eq!(data, ["0", "1", "2", "end"]);
    }

    #[tokio::test]
    async fn a_call_that_says_nothing_is_answered_plainly() {
        let (sender, notes) = mpsc::channel(1);
        let run = async move {
            drop(sender);
            Reply { status: 400, ..Reply::whole(b"{}".to_vec()) }
        };
        let response = progressing(run, notes, BOTH).await;
        assert_eq!((response.status().as_u16(), &response.headers()[header::CONTENT_TYPE]), (400, &JSON));
    }
}
