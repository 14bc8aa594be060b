//! `<server>/<tool>` as a method: another way to write `tools/call`, on every transport.
//!
//! `params` are the tool's arguments. `context` (user_id, workspace, preferences), which clients of this form send with
//! them, decides nothing and is left out, as are the members that belong to the protocol. The answer is that of
//! `tools/call`. Methods of the protocol go first; a server that the caller may not see has no such methods.

use super::{Peer, Pending, call};
use crate::Engine;
use serde_json::value::RawValue;
use toolgate_core::Face;
use toolgate_core::name::ServerName;
use toolgate_wire::rest::without;
use toolgate_wire::{Fault, Incoming};

const NOT_ARGUMENTS: [&str; 4] = ["_meta", "context", "inputResponses", "requestState"];

/// The door and the tool that a method names, when it names any.
pub(super) fn of<'a>(engine: &Engine, peer: &Peer, method: &'a str) -> Option<(Peer, &'a str)> {
    let (server, tool) = method.split_once('/')?;
    let server = ServerName::new(server).ok()?;
    if peer.scope.as_ref().is_some_and(|scope| *scope != server) {
        return None;
    }
    engine.tools(&peer.caller, Some(server.as_str())).ok()?;
    Some((Peer { scope: Some(server), ..peer.clone() }, tool))
}

pub(super) fn arguments(request: &Incoming<'_>) -> Result<Box<RawValue>, Fault> {
    without(request.raw, &NOT_ARGUMENTS)
}

pub(super) fn prepare(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&super::Outbox>,
) -> Result<Pending, Fault> {
    let method = request.method.as_ref();
    let Some((peer, tool)) = of(engine, peer, method) else { return Err(Fault::method_not_found(method)) };
    call::of(engine, Face::Tool, (tool.to_owned(), arguments(request)?), &peer, request, outbox)
}
