//! A channel of messages in both directions, both eras on it: requests run at the same time, answers go out as they come.
//!
//! Used by every transport that keeps one connection for one client (`stdio`, WebSocket, HTTP+SSE); the transport brings
//! messages as a stream and takes what goes out from a bounded queue. `notifications/cancelled` drops a running call,
//! which then has no answer; the end of the stream lets running calls finish, but ends subscriptions and questions, for
//! which nobody is there any more; an error of the stream ends everything.
//! There is no handshake to insist on: a channel has one caller, so a legacy request before `initialize` is answered.

use super::progress::Outbox;
use super::{Out, Peer, Reply, Session, Step, batch, cancelled, notice, start};
use crate::Engine;
use bytes::Bytes;
use futures_util::{Stream, StreamExt, future};
use std::any::Any;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use toolgate_core::name::Door;
use toolgate_core::{Caller, Forwarded, Kind};
use toolgate_wire::era::Version;
use toolgate_wire::line::Line;
use toolgate_wire::message::{Body, Message, Request, parse};
use toolgate_wire::{Fault, Id, Incoming, Malformed};

// Requests running at once on one channel.
const MAX_RUNNING: usize = 256;
// Messages waiting to be written.
const OUTGOING: usize = 256;

/// Gives an answer its place in memory until it is sent; `None` when there is no room for it.
pub type Hold = Arc<dyn Fn(Vec<u8>) -> Option<Bytes> + Send + Sync>;

/// Room in memory for a message, as its transport counts it.
pub enum Room {
    /// The transport has bounds of its own.
    Uncounted,
    /// Kept until the message is answered.
    Held(Box<dyn Any + Send>),
    /// There is none: what would be kept, a request or a batch, is answered with this.
    Full(Fault),
}

/// A message of a transport.
pub type Arrived = (Line, Room);

/// Who opens a channel.
pub struct Visitor {
    pub caller: Arc<Caller>,
    /// With one, only that server's tools, by their own names.
    pub scope: Option<Door>,
    /// Headers of the request that opened it: they count for all that is asked on it.
    pub forwarded: Option<Arc<Forwarded>>,
    /// An answer that it has no room for is replaced by an error.
    pub hold: Option<Hold>,
}

/// Open a channel: the future answers what comes in, the receiver gives what goes out. The receiver ends when everything is
/// answered; dropping the future cancels what runs.
pub fn open<S>(
    engine: Engine,
    visitor: Visitor,
    incoming: S,
) -> (impl Future<Output = std::io::Result<()>> + Send, mpsc::Receiver<Out>)
where
    S: Stream<Item = std::io::Result<Arrived>> + Unpin + Send,
{
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let Visitor { caller, scope, forwarded, hold } = visitor;
    let answers = Answers { out: out.clone(), hold };
    let client = Client {
        engine,
        caller,
        scope,
        forwarded,
        opened: None,
        out,
        answers,
        running: HashMap::new(),
        endless: Vec::new(),
        tasks: JoinSet::new(),
    };
    (client.serve(incoming), outgoing)
}

/// Run both directions of a channel until the first ends; what is still to be written is written.
pub async fn run(
    reading: impl Future<Output = std::io::Result<()>>,
    writing: impl Future<Output = std::io::Result<()>>,
) -> std::io::Result<()> {
    tokio::pin!(reading, writing);
    tokio::select! {
        read = &mut reading => {
            // The last sender is gone, so the writer ends once everything is out.
            writing.await?;
            read
        }
        written = &mut writing => written,
    }
}

// Where answers go.
#[derive(Clone)]
struct Answers {
    out: Outbox,
    hold: Option<Hold>,
}

impl Answers {
    // A writer that is gone ends the channel (`run`), so what cannot be sent is dropped here.
    async fn send(&self, id: Option<&Id>, body: Vec<u8>) {
        let held = match &self.hold {
            None => Out::Message(body),
            Some(hold) => match hold(body) {
                Some(body) => Out::Answer(body),
                None => {
                    let why =
                        "answers that you have not read take too much memory; read them, then ask again";
                    Out::Message(Fault::new(Kind::Unavailable.rpc_code(), why).answer(id))
                }
            },
        };
        let _ = self.out.send(held).await;
    }
}

struct Client {
    engine: Engine,
    caller: Arc<Caller>,
    scope: Option<Door>,
    forwarded: Option<Arc<Forwarded>>,
    /// What the last `initialize` agreed on.
    opened: Option<Arc<Session>>,
    out: Outbox,
    answers: Answers,
    running: HashMap<Id, Running>,
    // Of subscriptions, which have no end of their own.
    endless: Vec<AbortHandle>,
    tasks: JoinSet<Vec<Id>>,
}

struct Running {
    /// The whole batch's, of a part of one.
    task: AbortHandle,
    part: Option<future::AbortHandle>,
}

impl Client {
    async fn serve(
        mut self,
        mut incoming: impl Stream<Item = std::io::Result<Arrived>> + Unpin,
    ) -> std::io::Result<()> {
        let mut changes = self.engine.changes();
        loop {
            tokio::select! {
                told = changes.recv() => match told {
                    Ok(told) => self.tell(&told).await,
                    Err(RecvError::Lagged(_)) => {
                        changes = changes.resubscribe();
                        self.tell_everything().await;
                    }
                    Err(RecvError::Closed) => break,
                },
                message = incoming.next() => match message.transpose()? {
                    Some((Line::Text(text), room)) => self.message(&text, room).await,
                    Some((Line::TooLong, _)) => {
                        let most = self.engine.clients().max_line.0;
                        let why = format!("Invalid request: a line is longer than {most} bytes");
                        self.refuse(None, &Fault::invalid_request(why)).await;
                    }
                    Some((Line::End, _)) | None => break,
                },
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => self.ended(ended),
            }
        }
        self.endless.iter().for_each(AbortHandle::abort);
        if let Some(session) = &self.opened {
            session.end();
        }
        while let Some(ended) = self.tasks.join_next().await {
            self.ended(ended);
        }
        Ok(())
    }

    async fn tell(&self, told: &crate::Told) {
        if let Some(session) = &self.opened
            && let Some(body) =
                notice::for_session(&self.engine, session, &self.caller, self.scope.as_ref(), told)
        {
            self.send(body).await;
        }
    }

    async fn tell_everything(&self) {
        let Some(session) = &self.opened else { return };
        let scope = self.scope.as_ref();
        for body in notice::after_a_gap(&self.engine, session, &self.caller, scope) {
            self.send(body).await;
        }
    }

    fn ended(&mut self, ended: Result<Vec<Id>, tokio::task::JoinError>) {
        match ended {
            Ok(ids) => ids.iter().for_each(|id| drop(self.running.remove(id))),
            // Cancelled.
            Err(_) => self.running.retain(|_, running| !running.task.is_finished()),
        }
    }

    // Whether these requests may run beside those that do.
    fn may_run(&self, ids: &[Id]) -> Result<(), Fault> {
        let mut seen = HashSet::new();
        if ids.iter().any(|id| self.running.contains_key(id) || !seen.insert(id)) {
            return Err(Fault::invalid_request("Invalid request: a request with this id is still running"));
        }
        if self.tasks.len().max(self.running.len()) + ids.len() > MAX_RUNNING {
            let why = format!("{MAX_RUNNING} requests are running; wait for one to end");
            return Err(Fault::new(Kind::RateLimited.rpc_code(), why));
        }
        Ok(())
    }

    // A writer that is gone ends the channel (`run`), so what cannot be sent is dropped here.
    async fn send(&self, body: Vec<u8>) {
        let _ = self.out.send(Out::Message(body)).await;
    }

    async fn refuse(&self, id: Option<&Id>, fault: &Fault) {
        self.send(fault.answer(id)).await;
    }

    fn version(&self) -> Version {
        self.opened.as_ref().map_or(Version::LATEST_LEGACY, |opened| opened.version)
    }

    async fn message(&mut self, line: &[u8], room: Room) {
        match (parse(line, self.engine.clients().of_body()), room) {
            (Ok(Body::One(Message::Request(request))), Room::Full(fault)) => {
                self.refuse(Some(&request.id), &fault).await
            }
            (Ok(Body::Batch(_)), Room::Full(fault)) => self.refuse(None, &fault).await,
            (parsed, room) => self.parsed(parsed, room).await,
        }
    }

    async fn parsed(&mut self, parsed: Result<Body<'_>, Malformed>, room: Room) {
        match parsed {
            Ok(Body::One(Message::Request(request))) => self.request(request, room).await,
            Ok(Body::One(Message::Notification { method, params })) => {
                if let Some(id) = cancelled(&method, params) {
                    self.cancel(&id);
                }
            }
            Ok(Body::One(Message::Response { id, result, error })) => {
                if let Some(session) = &self.opened {
                    session.answer(id.as_ref(), result, error);
                }
            }
            Ok(Body::Batch(_)) if !self.version().has_batches() => {
                let why = "Invalid request: batches exist only in protocol version 2025-03-26";
                self.refuse(None, &Fault::invalid_request(why)).await;
            }
            Ok(Body::Batch(messages)) => self.batch(messages, room).await,
            Err(Malformed { id, fault }) => self.refuse(id.as_ref(), &fault).await,
        }
    }

    fn cancel(&mut self, id: &Id) {
        match self.running.get(id).map(|running| &running.part) {
            // Its id is taken until the answer of the batch is there.
            Some(Some(part)) => part.abort(),
            Some(None) => {
                if let Some(running) = self.running.remove(id) {
                    running.task.abort();
                }
            }
            None => {}
        }
    }

    // Era and version of a request: a modern one says so itself.
    fn peer(&self, request: &Incoming<'_>) -> Result<Peer, Fault> {
        let modern = request.meta.protocol_version.is_some();
        let version = if modern { request.meta.require()? } else { self.version() };
        let client = if modern {
            request.meta.client().map(Arc::new)
        } else {
            self.opened.as_ref().and_then(|o| o.client.clone())
        };
        let (caller, scope) = (self.caller.clone(), self.scope.clone());
        let session = self.opened.clone().filter(|_| !modern);
        let forwarded = self.forwarded.clone();
        Ok(Peer { caller, scope, version, http: false, client, session, trace: None, forwarded })
    }

    async fn request(&mut self, request: Request<'_>, room: Room) {
        let request = match Incoming::of(request) {
            Ok(request) => request,
            Err(Malformed { id, fault }) => return self.refuse(id.as_ref(), &fault).await,
        };
        let peer = match self.peer(&request) {
            Ok(peer) => peer,
            Err(fault) => return self.refuse(Some(&request.id), &fault).await,
        };
        if self.running.contains_key(&request.id) {
            let fault = Fault::invalid_request("Invalid request: a request with this id is still running");
            return self.refuse(Some(&request.id), &fault).await;
        }
        match start(&self.engine, &peer, &request, Some(&self.out)) {
            Step::Done(Reply { body, opened, .. }) => {
                if let Some(before) = opened.and_then(|opened| self.opened.replace(opened)) {
                    before.end();
                }
                self.answers.send(Some(&request.id), body.into_vec()).await;
            }
            Step::Call(pending) => {
                if let Err(fault) = self.may_run(std::slice::from_ref(&request.id)) {
                    return self.refuse(Some(&request.id), &fault).await;
                }
                let endless = pending.is_endless();
                let (engine, answers) = (self.engine.clone(), self.answers.clone());
                let task = self.tasks.spawn(async move {
                    let _room = room;
                    let id = pending.id().clone();
                    let reply = pending.run(&engine).await;
                    answers.send(Some(&id), reply.body.into_vec()).await;
                    vec![id]
                });
                if endless {
                    self.endless.retain(|task| !task.is_finished());
                    self.endless.push(task.clone());
                }
                self.running.insert(request.id, Running { task, part: None });
            }
        }
    }

    async fn batch(&mut self, messages: Vec<Result<Message<'_>, Malformed>>, room: Room) {
        let ids = batch::ids(&messages);
        if let Err(fault) = self.may_run(&ids) {
            return self.refuse(None, &fault).await;
        }
        let (caller, scope) = (self.caller.clone(), self.scope.clone());
        let client = self.opened.as_ref().and_then(|o| o.client.clone());
        let peer = Peer {
            caller,
            scope,
            version: self.version(),
            http: false,
            client,
            session: self.opened.clone(),
            trace: None,
            forwarded: self.forwarded.clone(),
        };
        let (parts, entered): (Vec<_>, Vec<_>) = ids.iter().map(|_| future::AbortHandle::new_pair()).unzip();
        let batch = batch::begin(&self.engine, &peer, messages, entered);
        let cancelled = batch.cancelled.clone();
        if !batch.is_empty() {
            let (engine, answers, ended) = (self.engine.clone(), self.answers.clone(), ids.clone());
            let task = self.tasks.spawn(async move {
                let _room = room;
                answers.send(None, batch.run(&engine).await).await;
                ended
            });
            for (id, part) in ids.into_iter().zip(parts) {
                self.running.insert(id, Running { task: task.clone(), part: Some(part) });
            }
        }
        for id in &cancelled {
            self.cancel(id);
        }
    }
}
