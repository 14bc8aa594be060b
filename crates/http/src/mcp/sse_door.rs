//! HTTP+SSE of 2024-11-05, for clients that know nothing newer: `GET /sse` and `POST /message?sessionId=`.
//!
//! Mounted only when `http.sse_door` says so. The GET is the channel: its stream begins with the event `endpoint`, and
//! everything that goes out is an event on it; it ends with its connection, and what runs on it ends with it. A POST
//! brings one message in and is answered 202. A session belongs to its caller: anyone else who shows its id, or the same
//! one with other roles, is told that there is no such session.

use super::places;
use super::session::fresh_id;
use super::{Shared, answer, negotiate};
use crate::{AppState, Refusal, bounds, forward};
use axum::Extension;
use axum::body::{Body, Bytes};
use axum::extract::{Query, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use serde::Deserialize;
use std::collections::HashMap;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::sync::watch;
use toolgate_core::quota::Place;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::mcp::Out;
use toolgate_engine::mcp::channel::{self, Room, Visitor};
use toolgate_wire::line::Line;
use toolgate_wire::sse;

// Messages of one client that wait to be looked at.
const INCOMING: usize = 64;

#[derive(Default)]
pub(super) struct Doors(Mutex<HashMap<Box<str>, Door>>);

struct Door {
    caller: Arc<Caller>,
    to: mpsc::Sender<Bytes>,
}

impl Doors {
    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Door>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// The end of the stream takes the session with it.
struct Session {
    shared: Arc<Shared>,
    id: Box<str>,
    _place: Place,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.shared.doors.lock().remove(&self.id);
    }
}

type Gone = Pin<Box<dyn Future<Output = ()> + Send>>;

struct Live {
    first: Option<Bytes>,
    reading: Option<Pin<Box<dyn Future<Output = std::io::Result<()>> + Send>>>,
    outgoing: mpsc::Receiver<Out>,
    beat: tokio::time::Interval,
    gone: Gone,
    _session: Session,
}

pub(super) async fn open(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
) -> Response {
    if !negotiate::accepts(&headers).is_some_and(|accepts| accepts.sse) {
        let refusal = Refusal::new(Kind::Unsupported, "Accept must allow text/event-stream");
        return refusal.status(StatusCode::NOT_ACCEPTABLE).into_response();
    }
    let place = match shared.places.take(&caller) {
        Ok(place) => place,
        Err(error) => return Refusal::from(error).into_response(),
    };
    let (to, from) = mpsc::channel(INCOMING);
    let id = fresh_id();
    shared.doors.lock().insert(id.clone(), Door { caller: caller.clone(), to });
    let incoming = stream::unfold((from, app.closing()), |(mut from, mut closing)| async move {
        let message = message(&mut from, &mut closing).await?;
        // The body knows what room it takes.
        let room = Room::Held(Box::new(message.clone()));
        Some((Ok((Line::Text(message.to_vec()), room)), (from, closing)))
    });
    let forwarded = forward::of(&headers, &app);
    let (engine, holder) = (app.engine().clone(), caller.clone());
    let gone: Gone = Box::pin(async move { engine.gone(&holder).await });
    let hold = Some(places::hold(&app, &caller));
    let visitor = Visitor { caller, scope: None, forwarded, hold };
    let (reading, outgoing) = channel::open(app.engine().clone(), visitor, Box::pin(incoming));
    let live = Live {
        first: Some(format!("event: endpoint\ndata: /message?sessionId={id}\n\n").into()),
        reading: Some(Box::pin(reading)),
        outgoing,
        beat: answer::beat(),
        gone,
        _session: Session { shared, id, _place: place },
    };
    answer::events(Body::from_stream(stream::unfold(live, |mut live| async move {
        let chunk = live.until_gone().await?;
        Some((Ok::<Bytes, Infallible>(chunk), live))
    })))
}

async fn message(from: &mut mpsc::Receiver<Bytes>, closing: &mut watch::Receiver<bool>) -> Option<Bytes> {
    tokio::select! {
        message = from.recv() => message,
        _ = closing.wait_for(|closing| *closing) => None,
    }
}

impl Live {
    // Ends with the caller's key, calls and all.
    async fn until_gone(&mut self) -> Option<Bytes> {
        let mut gone = std::mem::replace(&mut self.gone, Box::pin(std::future::pending()));
        let chunk = tokio::select! {
            biased;
            () = &mut gone => None,
            chunk = self.next() => chunk,
        };
        self.gone = gone;
        chunk
    }

    // Both directions are run by the stream, so that they end when it is dropped.
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        loop {
            let out = match &mut self.reading {
                None => self.outgoing.recv().await,
                Some(reading) => tokio::select! {
                    biased;
                    out = self.outgoing.recv() => out,
                    _ = reading => {
                        self.reading = None;
                        continue;
                    }
                    _ = self.beat.tick() => return Some(Bytes::from_static(sse::KEEP_ALIVE)),
                },
            };
            match out? {
                Out::Message(message) => return Some(sse::message(&message).into()),
                Out::Answer(message) => return Some(sse::message(&message).into()),
                Out::Pause => {}
            }
        }
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    #[serde(rename = "sessionId")]
    session: String,
}

pub(super) async fn message_in(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    which: Result<Query<Which>, axum::extract::rejection::QueryRejection>,
    request: Request,
) -> Response {
    let Ok(Query(which)) = which else {
        return Refusal::invalid("the address has no sessionId; open GET /sse first").into_response();
    };
    let (head, body) = request.into_parts();
    if !negotiate::is_json(&head.headers) {
        let refusal = Refusal::new(Kind::Unsupported, "Content-Type must be application/json");
        return refusal.status(StatusCode::UNSUPPORTED_MEDIA_TYPE).into_response();
    }
    let door =
        shared.doors.lock().get(which.session.as_str()).filter(|d| d.caller == caller).map(|d| d.to.clone());
    let gone = || Refusal::not_found("there is no such session; open GET /sse to begin one").into_response();
    let Some(to) = door else { return gone() };
    let body = match bounds::read(&head.headers, body, app.limits(), &caller).await {
        Ok(body) => body,
        Err(refusal) => return refusal.into_response(),
    };
    match to.try_send(body) {
        Ok(()) => answer::empty(StatusCode::ACCEPTED),
        Err(TrySendError::Closed(_)) => gone(),
        Err(TrySendError::Full(_)) => {
            let why = format!("{INCOMING} messages of this session wait; read its stream");
            Refusal::from(Error::new(Kind::RateLimited, why).retry_after(Duration::from_secs(1)))
                .into_response()
        }
    }
}
