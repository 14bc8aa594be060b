//! MCP methods on top of the engine, the same for every transport.
//!
//! A transport parses a message, makes a `Peer` (who asks, through which door, in which version) and hands both to
//! `start`. Everything but a tool call is answered at once; a call becomes a `Pending`, which owns all it needs, so that
//! the transport may run it where it likes. Dropping a `Pending` or its future cancels the call.
//! What a caller has nothing of (prompts, resources) is not advertised to it and answers "method not found".

mod alias;
pub mod batch;
mod call;
pub mod channel;
mod complete;
mod initialize;
mod link;
mod list;
mod mirrored;
pub mod notice;
mod progress;
mod seal;
mod session;
pub mod stdio;
mod tasks;
#[cfg(test)]
mod tests;

pub use call::Pending;
pub use mirrored::check_mirrored;
pub use progress::{Out, Outbox};
pub(crate) use seal::Seal;
pub use session::{Saved, Session};
pub(crate) use tasks::{InMemory, Tasks};
pub use tasks::{Kept, TaskStatus, TaskStore};

use crate::{Engine, Readable};
use list::List;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::name::Door;
use toolgate_core::trace::TraceContext;
use toolgate_core::{Caller, ClientInfo, Error, Face, Forwarded};
use toolgate_wire::era::{Era, Version};
use toolgate_wire::result::{Pieces, ResultWriter};
use toolgate_wire::{Fault, Id, Incoming, Malformed, Params};

// How long a client may keep lists and `server/discover`. Not everybody listens for changes, so it is short.
const LISTS_HOLD: Duration = Duration::from_secs(60);

// `Implementation` object of this gateway.
const SERVER_INFO: &str =
    concat!(r#"{"name":"toolgate","title":"Toolgate","version":""#, env!("CARGO_PKG_VERSION"), "\"}");

/// The other end of one request.
#[derive(Clone)]
pub struct Peer {
    pub caller: Arc<Caller>,
    /// One server's door (`/mcp/{server}`), or the door of all.
    pub scope: Option<Door>,
    /// What this request speaks.
    pub version: Version,
    /// Whether it came over HTTP; 2024-11-05 exists only on stdio.
    pub http: bool,
    pub client: Option<Arc<ClientInfo>>,
    /// What was agreed on; legacy only.
    pub session: Option<Arc<Session>>,
    /// Trace context of the transport; one in `_meta` goes before it.
    pub trace: Option<TraceContext>,
    /// Headers of this request that some upstream may be given.
    pub forwarded: Option<Arc<Forwarded>>,
}

impl Peer {
    fn era(&self) -> Era {
        self.version.era()
    }

    // A door to a server that is not there, or of which this caller may see nothing, leads nowhere in both cases.
    fn leads_nowhere(&self, engine: &Engine) -> bool {
        leads_nowhere(engine, &self.caller, self.scope())
    }

    fn scope(&self) -> Option<&str> {
        self.scope.as_ref().map(Door::as_str)
    }
}

/// A whole answer.
pub struct Reply {
    /// One JSON-RPC response.
    pub body: Pieces,
    /// HTTP status, when this is the whole content of an HTTP response.
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// Set when an `initialize` succeeded.
    pub opened: Option<Arc<Session>>,
}

impl Reply {
    /// A result, or the answers of a batch.
    pub fn whole(body: impl Into<Pieces>) -> Self {
        Self { body: body.into(), status: 200, retry_after: None, opened: None }
    }

    /// An error answer.
    pub fn fault(era: Era, id: Option<&Id>, fault: &Fault) -> Self {
        Self {
            body: fault.answer(id).into(),
            status: fault.status(era),
            retry_after: fault.retry_after,
            opened: None,
        }
    }

    // An error at a door that leads nowhere is 404 in both eras: it is the address that is wrong.
    fn at_door(self, leads_nowhere: impl FnOnce() -> bool) -> Self {
        let status = if leads_nowhere() { 404 } else { self.status };
        Self { status, ..self }
    }

    /// The answer to what is not a message.
    pub fn malformed(era: Era, malformed: &Malformed) -> Self {
        Self::fault(era, malformed.id.as_ref(), &malformed.fault)
    }

    /// The gateway refuses or fails.
    pub fn error(era: Era, id: &Id, error: &Error) -> Self {
        Self::fault(era, Some(id), &Fault::from(error))
    }
}

/// What `start` makes of a request.
pub enum Step {
    Done(Reply),
    /// A call, or anything else that takes time; not running yet.
    Call(Box<Pending>),
}

/// Begin to answer a request. `outbox` takes what goes out before the answer; without one nothing does, and nobody can be
/// asked anything.
pub fn start(engine: &Engine, peer: &Peer, request: &Incoming<'_>, outbox: Option<&Outbox>) -> Step {
    let (era, id) = (peer.era(), &request.id);
    let answer = match request.method.as_ref() {
        "tools/call" => later(call::prepare(engine, Face::Tool, peer, request, outbox)),
        "resources/read" if offers(engine, peer, Face::Resource) => {
            later(call::prepare(engine, Face::Resource, peer, request, outbox))
        }
        "prompts/get" if offers(engine, peer, Face::Prompt) => {
            later(call::prepare(engine, Face::Prompt, peer, request, outbox))
        }
        "tools/list" => now(list::list(engine, peer, request, List::Tools)),
        "prompts/list" => now(list::list(engine, peer, request, List::Prompts)),
        "resources/templates/list" => now(list::list(engine, peer, request, List::Templates)),
        "resources/list" => later(list::resources(engine, peer, request)),
        "completion/complete" if completes(engine, peer) => later(complete::complete(engine, peer, request)),
        method => match era {
            Era::Legacy => legacy(engine, peer, request, method, outbox),
            Era::Modern => match method {
                "server/discover" => now(initialize::discover(engine, peer, id)),
                "subscriptions/listen" => later(notice::listen(engine, peer, request, outbox)),
                "tasks/get" | "tasks/update" | "tasks/cancel" => {
                    later(tasks::method(engine, peer, request, method))
                }
                _ => later(alias::prepare(engine, peer, request, outbox)),
            },
        },
    };
    answer.unwrap_or_else(|fault| {
        Step::Done(Reply::fault(era, Some(id), &fault).at_door(|| peer.leads_nowhere(engine)))
    })
}

// Methods that the modern era has no more.
fn legacy(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    method: &str,
    outbox: Option<&Outbox>,
) -> Result<Step, Fault> {
    let empty = || ResultWriter::new(Era::Legacy, &request.id, 0).finish(SERVER_INFO);
    match (method, &peer.session) {
        ("initialize", _) => initialize::initialize(engine, peer, request).map(Step::Done),
        ("ping", _) => now(Ok(empty())),
        ("logging/setLevel", Some(session)) => {
            session.set_loudness(call::level(request)?);
            now(Ok(empty()))
        }
        ("resources/subscribe" | "resources/unsubscribe", Some(session)) if subscribes(engine, peer) => {
            let uri = request.params.text("uri", request.params.uri)?;
            match (method, engine.readable(&peer.caller, peer.scope.as_ref(), &uri)) {
                // What may be read no more can still be left.
                ("resources/unsubscribe", readable) => {
                    session.unsubscribe(&known_as(&uri, readable.as_ref()))
                }
                (_, Some(readable)) if readable.tells => {
                    let uri = known_as(&uri, Some(&readable));
                    session.subscribe(&uri, engine.clients().subscriptions)?;
                    session.watched(&uri, readable.watch(&peer.caller));
                }
                (_, Some(_)) => {
                    let why = "this resource does not tell when it changes; read it again when you need it";
                    return Err(Fault::invalid_params(why));
                }
                (_, None) => {
                    let error = crate::admit::no_such(Face::Resource, &uri);
                    return Err(call::fault(Era::Legacy, Face::Resource, &error));
                }
            }
            now(Ok(empty()))
        }
        _ => later(alias::prepare(engine, peer, request, outbox)),
    }
}

/// The name under which changes to a resource are told: the server's own, or with the server's name before it.
fn known_as(uri: &str, readable: Option<&Readable>) -> String {
    match readable {
        Some(readable) if !uri.ends_with(&readable.uri) => readable.uri.clone(),
        _ => uri.to_owned(),
    }
}

fn now(body: Result<Vec<u8>, Fault>) -> Result<Step, Fault> {
    body.map(|body| Step::Done(Reply::whole(body)))
}

fn later(pending: Result<Pending, Fault>) -> Result<Step, Fault> {
    pending.map(|pending| Step::Call(Box::new(pending)))
}

// Whether this caller has any of it at this door.
fn offers(engine: &Engine, peer: &Peer, face: Face) -> bool {
    engine.lists(face, &peer.caller, peer.scope(), |_| true)
}

// Whether anything that this caller may read at this door tells when it changes.
fn subscribes(engine: &Engine, peer: &Peer) -> bool {
    engine.lists(Face::Resource, &peer.caller, peer.scope(), |entry| entry.tells)
}

fn completes(engine: &Engine, peer: &Peer) -> bool {
    offers(engine, peer, Face::Prompt) || offers(engine, peer, Face::Resource)
}

/// Answer a request. The only path from MCP to a tool is `Engine::call`, which this uses.
pub async fn handle(engine: &Engine, peer: &Peer, request: &Incoming<'_>, outbox: Option<&Outbox>) -> Reply {
    match start(engine, peer, request, outbox) {
        Step::Done(reply) => reply,
        Step::Call(pending) => pending.run(engine).await,
    }
}

fn leads_nowhere(engine: &Engine, caller: &Caller, scope: Option<&str>) -> bool {
    scope.is_some() && !engine.leads(caller, scope)
}

/// Whether a door leads to anything, whoever may pass it.
pub fn is_door(engine: &Engine, door: &Door) -> bool {
    let catalogue = &engine.0.snapshot.load().catalogue;
    door.server().map_or(catalogue.view(Some(door)).is_some(), |server| catalogue.server(server).is_some())
}

/// The request that a notification cancels, when it is one that cancels.
pub fn cancelled(method: &str, params: Option<&RawValue>) -> Option<Id> {
    if method != "notifications/cancelled" {
        return None;
    }
    Params::of(params).ok()?.cancelled()
}
