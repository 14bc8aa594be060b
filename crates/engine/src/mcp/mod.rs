//! MCP methods on top of the engine, the same for every transport.
//!
//! A transport parses a message, makes a `Peer` (who asks, through which door, in which version) and hands both to
//! `start`. Everything but a tool call is answered at once; a call becomes a `Pending`, which owns all it needs, so that
//! the transport may run it where it likes. Dropping a `Pending` or its future cancels the call.
//! Absent as yet: resources, prompts, completion, tasks, subscriptions, logging. What is absent is not advertised and
//! answers "method not found".

pub mod batch;
mod call;
mod initialize;
mod list;
mod mirrored;
mod progress;
pub mod stdio;
#[cfg(test)]
mod tests;

pub use call::Pending;
pub use mirrored::Mirrored;
pub use progress::Outbox;

use crate::Engine;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::name::ServerName;
use toolgate_core::trace::TraceContext;
use toolgate_core::{Caller, ClientInfo, Error};
use toolgate_wire::era::{Era, Version};
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Id, Incoming, Malformed, Params};

// How long a client may keep `tools/list` and `server/discover`. Nobody is told of changes yet, so it is short.
const LISTS_HOLD: Duration = Duration::from_secs(60);

// `Implementation` object of this gateway.
const SERVER_INFO: &str =
    concat!(r#"{"name":"toolgate","title":"Toolgate","version":""#, env!("CARGO_PKG_VERSION"), "\"}");

// What works; anything not named here answers "method not found".
const CAPABILITIES: &str = r#"{"tools":{}}"#;

/// The other end of one request.
#[derive(Clone)]
pub struct Peer {
    pub caller: Arc<Caller>,
    /// One server's door (`/mcp/{server}`), or the door of all.
    pub scope: Option<ServerName>,
    /// What this request speaks.
    pub version: Version,
    /// Whether it came over HTTP; 2024-11-05 exists only on stdio.
    pub http: bool,
    pub client: Option<Arc<ClientInfo>>,
    /// Trace context of the transport; one in `_meta` goes before it.
    pub trace: Option<TraceContext>,
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
        self.scope.as_ref().map(ServerName::as_str)
    }
}

/// A whole answer.
#[derive(Debug)]
pub struct Reply {
    /// One JSON-RPC response.
    pub body: Vec<u8>,
    /// HTTP status, when this is the whole content of an HTTP response.
    pub status: u16,
    pub retry_after: Option<Duration>,
    /// Set when an `initialize` succeeded.
    pub opened: Option<Opened>,
}

/// What an `initialize` agreed on.
#[derive(Debug, Clone)]
pub struct Opened {
    pub version: Version,
    pub client: Option<Arc<ClientInfo>>,
}

impl Reply {
    /// A result, or the answers of a batch.
    pub fn whole(body: Vec<u8>) -> Self {
        Self { body, status: 200, retry_after: None, opened: None }
    }

    /// An error answer.
    pub fn fault(era: Era, id: Option<&Id>, fault: &Fault) -> Self {
        Self {
            body: fault.answer(id),
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
    /// A tool call, not running yet.
    Call(Box<Pending>),
}

/// Begin to answer a request. `outbox` takes the progress of a call that asks for it.
pub fn start(engine: &Engine, peer: &Peer, request: &Incoming<'_>, outbox: Option<&Outbox>) -> Step {
    let era = peer.era();
    let id = &request.id;
    let body = match (era, request.method.as_ref()) {
        (_, "tools/call") => match call::prepare(peer, request, outbox) {
            Ok(pending) => return Step::Call(Box::new(pending)),
            Err(fault) => Err(fault),
        },
        (_, "tools/list") => list::list(engine, peer, request),
        (Era::Legacy, "initialize") => {
            return Step::Done(match initialize::initialize(engine, peer, request) {
                Ok(reply) => reply,
                Err(fault) => Reply::fault(era, Some(id), &fault).at_door(|| peer.leads_nowhere(engine)),
            });
        }
        (Era::Legacy, "ping") => Ok(ResultWriter::new(era, id, 0).finish(SERVER_INFO)),
        (Era::Modern, "server/discover") => initialize::discover(engine, peer, id),
        (_, method) => Err(Fault::method_not_found(method)),
    };
    Step::Done(match body {
        Ok(body) => Reply::whole(body),
        Err(fault) => Reply::fault(era, Some(id), &fault).at_door(|| peer.leads_nowhere(engine)),
    })
}

/// Answer a request. The only path from MCP to a tool is `Engine::call`, which this uses.
pub async fn handle(engine: &Engine, peer: &Peer, request: &Incoming<'_>, outbox: Option<&Outbox>) -> Reply {
    match start(engine, peer, request, outbox) {
        Step::Done(reply) => reply,
        Step::Call(pending) => pending.run(engine).await,
    }
}

fn leads_nowhere(engine: &Engine, caller: &Caller, scope: Option<&str>) -> bool {
    scope.is_some() && engine.tools(caller, scope).is_err()
}

/// Whether a server of this name is mounted, whoever may see it.
pub fn is_server(engine: &Engine, name: &ServerName) -> bool {
    engine.0.catalogue.server(name.as_str()).is_some()
}

/// The request that a notification cancels, when it is one that cancels.
pub fn cancelled(method: &str, params: Option<&RawValue>) -> Option<Id> {
    if method != "notifications/cancelled" {
        return None;
    }
    Params::of(params).ok()?.cancelled()
}
