//! `GET /ws`: a channel over WebSocket, one JSON-RPC message a text frame, both eras.
//!
//! The request that opens it passes Host, Origin and credential like every other. Afterwards the channel ends as soon as
//! its key does, or has other roles than it was opened with (`Engine::gone`). A ping goes out
//! every 30 s; without its pong within 10 s the channel is closed. Close codes: 1001 the gateway ends, 1002 and 1007 not
//! the protocol or not UTF-8, 1003 binary, 1008 the key is no longer good, too many pings or a message that does not end,
//! 1009 larger than `http.max_body`, 1011 no pong, 1013 no room for what has come of a message. A message counts in
//! `http.max_bodies` from when it is whole until it is answered; without room a request is answered with an error and the
//! channel goes on. What has come of a message that is not whole yet counts too (`arriving`). Absent on purpose:
//! sub-protocols, compression of frames, WebSocket over HTTP/2.

use super::arriving::{Arriving, Step};
use super::{Shared, places};
use crate::listen::{Received, Slot};
use crate::{AppState, Refusal, bounds, forward};
use axum::extract::State;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::response::{IntoResponse, Response};
use axum::{Extension, RequestExt};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt, stream};
use http::{HeaderValue, StatusCode, header};
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep_until, timeout};
use toolgate_core::{Caller, Forwarded, Kind};
use toolgate_engine::mcp::Out;
use toolgate_engine::mcp::channel::{self, Arrived, Room, Visitor};
use toolgate_wire::Fault;
use toolgate_wire::line::Line;
use tungstenite::Error as Broken;

/// When a peer is asked whether it is there, and how long it has to answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Beat {
    pub every: Duration,
    pub patience: Duration,
}

impl Default for Beat {
    fn default() -> Self {
        Self { every: Duration::from_secs(30), patience: Duration::from_secs(10) }
    }
}

// Pings of a peer whose pongs are not sent yet.
const MAX_PINGS: u32 = 1024;

// How long a peer that was told to go has to do so.
const FAREWELL: Duration = Duration::from_secs(1);

pub(super) async fn open(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    mut request: axum::extract::Request,
) -> Response {
    // Keeps the connection counted when HTTP has ended on it.
    let slot = request.extensions_mut().remove::<Slot>();
    let received = request.extensions_mut().remove::<Received>();
    let forwarded = forward::of(request.headers(), &app);
    let upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection> = request.extract().await;
    let upgrade = match upgrade {
        Ok(upgrade) => upgrade,
        Err(problem) => {
            let why = format!("this is the address of a WebSocket: {}", problem.body_text());
            return Refusal::new(Kind::Unsupported, why)
                .status(StatusCode::UPGRADE_REQUIRED)
                .header(header::UPGRADE, HeaderValue::from_static("websocket"))
                .into_response();
        }
    };
    let place = match shared.places.take(&caller) {
        Ok(place) => place,
        Err(error) => return Refusal::from(error).into_response(),
    };
    let max = app.limits().max_body;
    upgrade.max_message_size(max).max_frame_size(max).on_upgrade(move |socket| async move {
        let _held = (slot, place);
        let door = Door {
            app,
            caller,
            forwarded,
            beat: shared.beat,
            heard: AtomicU64::new(0),
            pings: AtomicU32::new(0),
            pinged: Notify::new(),
            flooded: Notify::new(),
            farewell: OnceLock::new(),
        };
        door.serve(socket, received).await;
    })
}

struct Door {
    app: AppState,
    caller: Arc<Caller>,
    /// Headers of the request that opened it.
    forwarded: Option<Arc<Forwarded>>,
    beat: Beat,
    /// Number of the newest ping that was answered.
    heard: AtomicU64,
    /// Pings of the peer since everything was sent, and that there are some.
    pings: AtomicU32,
    pinged: Notify,
    flooded: Notify,
    /// Why this side ends it; the first reason counts.
    farewell: OnceLock<(u16, String)>,
}

impl Door {
    async fn serve(&self, socket: WebSocket, received: Option<Received>) {
        let (mut sink, mut stream) = socket.split();
        let limits = self.app.limits();
        let held = limits.bodies.nothing(&self.caller.id);
        let arriving = Arriving::new(received, limits.body_timeout, held);
        let begin = (&mut stream, arriving, self.app.closing());
        let incoming = stream::unfold(begin, |(stream, mut arriving, mut closing)| async {
            let message = self.next(stream, &mut arriving, &mut closing).await;
            Some((message, (stream, arriving, closing)))
        });
        let visitor = Visitor {
            caller: self.caller.clone(),
            scope: None,
            forwarded: self.forwarded.clone(),
            hold: Some(places::hold(&self.app, &self.caller)),
        };
        let (reading, outgoing) = channel::open(self.app.engine().clone(), visitor, Box::pin(incoming));
        if let Err(problem) = channel::run(reading, self.write(&mut sink, outgoing)).await {
            tracing::debug!(%problem, "WebSocket ended");
        }
        self.part(sink, stream).await;
    }

    // An error ends the channel at once; the end lets what runs finish.
    async fn next(
        &self,
        stream: &mut SplitStream<WebSocket>,
        arriving: &mut Arriving,
        closing: &mut watch::Receiver<bool>,
    ) -> io::Result<Arrived> {
        loop {
            let due = arriving.due();
            let message = tokio::select! {
                step = arriving.step(stream) => match step {
                    Ok(Step::Came(message)) => message,
                    Ok(Step::Part) => continue,
                    Err(_full) => {
                        let why = "the messages of this caller take too much memory now (http.max_bodies)";
                        return Err(self.end(close_code::AGAIN, why));
                    }
                },
                () = until(due), if due.is_some() => {
                    let why = "a message did not arrive in time (http.body_timeout)";
                    return Err(self.end(close_code::POLICY, why));
                }
                _ = closing.wait_for(|closing| *closing) => {
                    self.end(close_code::AWAY, "the gateway ends");
                    return Ok((Line::End, Room::Uncounted));
                }
            };
            match message {
                Some(Ok(Message::Text(text))) => {
                    // Copied, because the frame's own bytes would keep the whole buffer that they were read into.
                    let text = text.as_bytes().to_vec();
                    let room = match self.app.limits().bodies.take(&self.caller.id, text.len()) {
                        Ok(room) => Room::Held(Box::new(room)),
                        Err(full) => Room::Full(Fault::from(&bounds::no_room(full))),
                    };
                    return Ok((Line::Text(text), room));
                }
                Some(Ok(Message::Binary(_))) => {
                    return Err(self.end(close_code::UNSUPPORTED, "messages are JSON in text frames"));
                }
                Some(Ok(Message::Pong(number))) => {
                    if let Ok(number) = <[u8; 8]>::try_from(number.as_ref()) {
                        self.heard.fetch_max(u64::from_be_bytes(number), SeqCst);
                    }
                }
                Some(Ok(Message::Ping(_))) => {
                    // The library writes the pongs; where they pile up they are not read.
                    if self.pings.fetch_add(1, SeqCst) >= MAX_PINGS {
                        // The writer waits for a peer that does not read.
                        self.flooded.notify_one();
                        return Err(self.end(close_code::POLICY, "too many pings at once"));
                    }
                    self.pinged.notify_one();
                }
                Some(Ok(Message::Close(_))) | None => return Err(io::ErrorKind::ConnectionAborted.into()),
                Some(Err(error)) => return Err(self.broken(error)),
            }
        }
    }

    fn broken(&self, error: axum::Error) -> io::Error {
        match error.into_inner().downcast::<Broken>().map(|broken| *broken) {
            Ok(Broken::Capacity(_)) => {
                let max = self.app.limits().max_body;
                self.end(close_code::SIZE, &format!("a message is larger than {max} bytes (http.max_body)"))
            }
            Ok(Broken::Utf8(_)) => self.end(close_code::INVALID, "a text frame is not UTF-8"),
            Ok(Broken::Protocol(problem)) => self.end(close_code::PROTOCOL, &problem.to_string()),
            Ok(Broken::Io(error)) => error,
            Ok(other) => io::Error::other(other),
            Err(other) => io::Error::other(other),
        }
    }

    fn end(&self, code: u16, reason: &str) -> io::Error {
        let _ = self.farewell.set((code, reason.to_owned()));
        io::Error::other(reason.to_owned())
    }

    fn no_key(&self) -> io::Error {
        self.end(close_code::POLICY, "the key is no longer good, or its roles have changed")
    }

    async fn write(
        &self,
        sink: &mut SplitSink<WebSocket, Message>,
        mut outgoing: mpsc::Receiver<Out>,
    ) -> io::Result<()> {
        let mut ticks = interval_at(Instant::now() + self.beat.every, self.beat.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut sent, mut due) = (0_u64, None);
        let mut gone = std::pin::pin!(self.app.engine().gone(&self.caller));
        loop {
            // Until it is sent: the library copies what it sends.
            let mut place = None;
            let message = tokio::select! {
                biased;
                () = &mut gone => return Err(self.no_key()),
                () = self.pinged.notified() => None,
                out = outgoing.recv() => match out {
                    None => return Ok(()),
                    // There is no coming back to a channel, so nobody is let go.
                    Some(Out::Pause) => continue,
                    Some(Out::Message(body)) => {
                        Some(Message::Text(Utf8Bytes::try_from(body).map_err(io::Error::other)?))
                    }
                    Some(Out::Answer(body)) => {
                        place = Some(body.clone());
                        Some(Message::Text(Utf8Bytes::try_from(body).map_err(io::Error::other)?))
                    }
                },
                _ = ticks.tick(), if due.is_none() => {
                    sent += 1;
                    due = Some(Instant::now() + self.beat.patience);
                    Some(Message::Ping(sent.to_be_bytes().to_vec().into()))
                }
                () = until(due), if due.is_some() => {
                    if self.heard.load(SeqCst) < sent {
                        return Err(self.end(close_code::ERROR, "no pong in time"));
                    }
                    due = None;
                    continue;
                }
            };
            let written = async {
                match message {
                    Some(message) => sink.send(message).await,
                    None => sink.flush().await,
                }
            };
            tokio::select! {
                () = &mut gone => return Err(self.no_key()),
                () = self.flooded.notified() => return Err(io::ErrorKind::ConnectionAborted.into()),
                written = written => written.map_err(io::Error::other)?,
            }
            drop(place);
            self.pings.store(0, SeqCst);
        }
    }

    // Say why, and wait a moment for the peer to take it: a socket that is closed with unread bytes loses the reason.
    async fn part(&self, mut sink: SplitSink<WebSocket, Message>, mut stream: SplitStream<WebSocket>) {
        let parting = async {
            if let Some((code, reason)) = self.farewell.get() {
                // A reason has at most 123 bytes.
                let reason: String = reason.chars().filter(char::is_ascii).take(123).collect();
                sink.send(Message::Close(Some(CloseFrame { code: *code, reason: reason.into() }))).await?;
                while let Some(Ok(_)) = stream.next().await {}
                if *code == close_code::SIZE {
                    // What is too large cannot be read on, so that the peer's goodbye is not seen.
                    std::future::pending::<()>().await;
                }
            }
            sink.close().await
        };
        let _ = timeout(FAREWELL, parting).await;
    }
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => std::future::pending().await,
    }
}
