//! `<server>/<tool>` as a method: another way to write `tools/call`, on every transport.
//!
//! `params` are the tool's arguments. `context` (user_id, workspace, preferences), which clients of this form send with
//! them, decides nothing and is left out, as are the members that belong to the protocol. Methods of the protocol go
//! first; a server that the caller may not see has no such methods.
//!
//! The result is document 003's: `success`, the members of the tool's own output, and `metadata` (execution_time_ms,
//! server, version). What the tool itself says under these names goes first; its `metadata` gets what it has not said.
//! A tool's no has `success: false` and the `error` (kind, message) that REST has. What shows something (`Spec::shows`)
//! has its content blocks instead of output. What is no result of a tool, a task or a question to the client or the
//! gateway's refusal, is as with `tools/call`.

use super::{Peer, Pending, SERVER_INFO, call};
use crate::Engine;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::time::Duration;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::{Call, Error, Face, JsonText, Outcome};
use toolgate_wire::era::Era;
use toolgate_wire::rest::without;
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Id, Incoming};

const NOT_ARGUMENTS: [&str; 4] = ["_meta", "context", "inputResponses", "requestState"];
// Written apart, or the protocol's own.
const NOT_OUTPUT: [&str; 4] = ["success", "metadata", "_meta", "resultType"];

/// The door and the tool that a method names, when it names any.
pub(super) fn of<'a>(engine: &Engine, peer: &Peer, method: &'a str) -> Option<(Peer, &'a str)> {
    let (server, tool) = method.split_once('/')?;
    let server = ServerName::new(server).ok()?;
    let door = Door::of(&server);
    if peer.scope.as_ref().is_some_and(|scope| *scope != door) {
        return None;
    }
    engine.tools(&peer.caller, Some(server.as_str())).ok()?;
    Some((Peer { scope: Some(door), ..peer.clone() }, tool))
}

pub(super) fn arguments(request: &Incoming<'_>) -> Result<JsonText, Fault> {
    without(request.raw.map(RawValue::get), &NOT_ARGUMENTS)
}

pub(super) fn prepare(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&super::Outbox>,
) -> Result<Pending, Fault> {
    let method = request.method.as_ref();
    let Some((peer, tool)) = of(engine, peer, method) else { return Err(Fault::method_not_found(method)) };
    let named = (tool.to_owned(), arguments(request)?);
    Ok(call::of(engine, Face::Tool, named, &peer, request, outbox)?.named())
}

// What an output says itself of the members of this form.
#[derive(Default, Deserialize)]
struct Own<'a> {
    #[serde(borrow)]
    success: Option<&'a RawValue>,
    #[serde(borrow)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, rename = "isError")]
    is_error: Option<&'a RawValue>,
}

/// The result of a tool in this form.
pub(super) fn written(
    engine: &Engine,
    era: Era,
    id: &Id,
    call: &Call,
    outcome: &Outcome,
    took: Duration,
) -> Result<Vec<u8>, Error> {
    let size = match outcome {
        Outcome::Done(output) => output.bytes(),
        Outcome::Refused(error) => error.message.len(),
    };
    let mut writer = ResultWriter::new(era, id, size);
    let own = match outcome {
        Outcome::Done(output) => {
            let own: Own<'_> = serde_json::from_str(output.json.get()).map_err(Error::internal)?;
            let failed = output.whole && own.is_error.is_some_and(|said| said.get() == "true");
            let rest = without(Some(output.json.get()), &NOT_OUTPUT)
                .map_err(|fault| Error::internal(fault.message.into_owned()))?;
            let plain = if failed { "false" } else { "true" };
            writer.raw("success", own.success.map_or(plain, RawValue::get)).members(&rest);
            own
        }
        Outcome::Refused(error) => {
            let problem = json!({ "kind": error.kind.label(), "message": error.message });
            writer.raw("success", "false").raw("error", &problem.to_string());
            Own::default()
        }
    };
    writer.raw("metadata", &metadata(engine, call, own.metadata, took));
    Ok(writer.finish(SERVER_INFO))
}

fn metadata(engine: &Engine, call: &Call, own: Option<&RawValue>, took: Duration) -> String {
    let mut all = match own.map(|own| (own, serde_json::from_str(own.get()))) {
        None => Map::new(),
        Some((_, Ok(Value::Object(all)))) => all,
        Some((own, _)) => return own.get().to_owned(),
    };
    let server = call.scope.as_ref().map(Door::as_str);
    let snapshot = engine.0.snapshot.load();
    let version = server.and_then(|name| Some(&snapshot.catalogue.server(name)?.server.version));
    // With three decimals.
    let millis = (took.as_secs_f64() * 1_000_000.0).round() / 1000.0;
    for (name, value) in
        [("execution_time_ms", json!(millis)), ("server", json!(server)), ("version", json!(version))]
    {
        all.entry(name).or_insert(value);
    }
    Value::Object(all).to_string()
}
