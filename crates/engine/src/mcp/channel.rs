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
use futures_util::{Stream, StreamExt};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use toolgate_core::name::ServerName;
use toolgate_core::{Caller, Kind};
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

/// Open a channel: the future answers what comes in, the receiver gives what goes out. With a scope, only that server's
/// tools, by their own names. The receiver ends when everything is answered; dropping the future cancels what runs. An answer
/// that `hold` has no room for is replaced by an error.
pub fn open<S>(
    engine: Engine,
    caller: Arc<Caller>,
    scope: Option<ServerName>,
    incoming: S,
    hold: Option<Hold>,
) -> (impl Future<Output = std::io::Result<()>> + Send, mpsc::Receiver<Out>)
where
    S: Stream<Item = std::io::Result<Line>> + Unpin + Send,
{
    let (out, outgoing) = mpsc::channel(OUTGOING);
    let answers = Answers { out: out.clone(), hold };
    let client = Client {
        engine,
        caller,
        scope,
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
    scope: Option<ServerName>,
    /// What the last `initialize` agreed on.
    opened: Option<Arc<Session>>,
    out: Outbox,
    answers: Answers,
    running: HashMap<Id, AbortHandle>,
    // Of subscriptions, which have no end of their own.
    endless: Vec<AbortHandle>,
    tasks: JoinSet<Option<Id>>,
}

impl Client {
    async fn serve(
        mut self,
        mut incoming: impl Stream<Item = std::io::Result<Line>> + Unpin,
    ) -> std::io::Result<()> {
        let mut changes = self.engine.changes();
        loop {
            tokio::select! {
                Ok(told) = changes.recv() => self.tell(&told).await,
                message = incoming.next() => match message.transpose()? {
                    Some(Line::Text(text)) => self.message(&text).await,
                    Some(Line::TooLong) => {
                        let most = self.engine.clients().max_line.0;
                        let why = format!("Invalid request: a line is longer than {most} bytes");
                        self.refuse(None, &Fault::invalid_request(why)).await;
                    }
                    Some(Line::End) | None => break,
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

    fn ended(&mut self, ended: Result<Option<Id>, tokio::task::JoinError>) {
        match ended {
            Ok(Some(id)) => {
                self.running.remove(&id);
            }
            // Cancelled, or a batch: nothing under this id any more.
            _ => self.running.retain(|_, task| !task.is_finished()),
        }
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

    async fn message(&mut self, line: &[u8]) {
        match parse(line, self.engine.clients().max_depth) {
            Ok(Body::One(Message::Request(request))) => self.request(request).await,
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
            Ok(Body::Batch(messages)) => match batch::check(&self.engine, messages.len()) {
                Ok(()) => self.batch(messages),
                Err(fault) => self.refuse(None, &fault).await,
            },
            Err(Malformed { id, fault }) => self.refuse(id.as_ref(), &fault).await,
        }
    }

    fn cancel(&mut self, id: &Id) {
        if let Some(task) = self.running.remove(id) {
            task.abort();
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
        Ok(Peer { caller, scope, version, http: false, client, session, trace: None })
    }

    async fn request(&mut self, request: Request<'_>) {
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
                self.answers.send(Some(&request.id), body).await;
            }
            Step::Call(_) if self.tasks.len() >= MAX_RUNNING => {
                let why = format!("{MAX_RUNNING} requests are running; wait for one to end");
                self.refuse(Some(&request.id), &Fault::new(Kind::RateLimited.rpc_code(), why)).await;
            }
            Step::Call(pending) => {
                let endless = pending.is_endless();
                let (engine, answers) = (self.engine.clone(), self.answers.clone());
                let task = self.tasks.spawn(async move {
                    let id = pending.id().clone();
                    let reply = pending.run(&engine).await;
                    answers.send(Some(&id), reply.body).await;
                    Some(id)
                });
                if endless {
                    self.endless.retain(|task| !task.is_finished());
                    self.endless.push(task.clone());
                }
                self.running.insert(request.id, task);
            }
        }
    }

    fn batch(&mut self, messages: Vec<Result<Message<'_>, Malformed>>) {
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
        };
        let batch = batch::begin(&self.engine, &peer, messages);
        for id in &batch.cancelled {
            self.cancel(id);
        }
        if batch.is_empty() {
            return;
        }
        let (engine, answers) = (self.engine.clone(), self.answers.clone());
        self.tasks.spawn(async move {
            answers.send(None, batch.run(&engine).await).await;
            None
        });
    }
}
