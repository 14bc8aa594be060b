//! The first exchange: `initialize` (legacy) and `server/discover` (modern).

use super::{LISTS_HOLD, Peer, Reply, SERVER_INFO, Session, offers, subscribes, tasks};
use crate::Engine;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use toolgate_core::Face;
use toolgate_wire::era::{self, Era, Version};
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Id, Incoming};

const ALL_SERVERS: &str = "Tools are named server__tool. A tool may be called by its own name alone when only one server \
                           has a tool of that name.";

/// Longest capabilities of a client, in bytes: a session and a running call keep them, parsed, which takes many times that.
pub(super) const MAX_CAPABILITIES: usize = 8 * 1024;

/// Refuse capabilities that nobody would want to keep.
pub(super) fn bounded(capabilities: Option<&RawValue>) -> Result<(), Fault> {
    if capabilities.is_none_or(|raw| raw.get().len() <= MAX_CAPABILITIES) {
        return Ok(());
    }
    let why = format!("Invalid params: the client's capabilities have more than {MAX_CAPABILITIES} bytes");
    Err(Fault::invalid_params(why))
}

pub(super) fn initialize(engine: &Engine, peer: &Peer, request: &Incoming<'_>) -> Result<Reply, Fault> {
    let params = &request.params;
    let wanted = params.text("protocolVersion", params.protocol_version)?;
    let version = era::negotiate(&wanted, peer.http);
    bounded(params.capabilities)?;
    reachable(engine, peer)?;
    let mut result = ResultWriter::new(Era::Legacy, &request.id, 256);
    let able = capabilities(engine, peer).to_string();
    result.text("protocolVersion", version.as_str()).raw("capabilities", &able);
    result.raw("serverInfo", SERVER_INFO);
    instructions(engine, peer, &mut result);
    let able = params.capabilities.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default();
    let opened = Session::new(version, params.client().map(Arc::new), able);
    Ok(Reply { opened: Some(Arc::new(opened)), ..Reply::whole(result.finish(SERVER_INFO)) })
}

pub(super) fn discover(engine: &Engine, peer: &Peer, id: &Id) -> Result<Vec<u8>, Fault> {
    reachable(engine, peer)?;
    let versions: Vec<String> = Version::names(Era::Modern).iter().map(|v| format!("\"{v}\"")).collect();
    let mut result = ResultWriter::new(Era::Modern, id, 256);
    result.array("supportedVersions", versions.iter().map(String::as_str));
    let mut able = capabilities(engine, peer);
    if tasks::offered(engine, &peer.caller, peer.scope()) {
        able["extensions"] = json!({ tasks::EXTENSION: {} });
    }
    result.raw("capabilities", &able.to_string());
    instructions(engine, peer, &mut result);
    result.cacheable(LISTS_HOLD);
    Ok(result.finish(SERVER_INFO))
}

// What works for this caller at this door; anything not named here answers "method not found".
fn capabilities(engine: &Engine, peer: &Peer) -> Value {
    let mut able = json!({ "tools": { "listChanged": true }, "logging": {} });
    if offers(engine, peer, Face::Resource) {
        able["resources"] = json!({ "listChanged": true });
        if subscribes(engine, peer) {
            able["resources"]["subscribe"] = json!(true);
        }
        able["completions"] = json!({});
    }
    if offers(engine, peer, Face::Prompt) {
        able["prompts"] = json!({ "listChanged": true });
        able["completions"] = json!({});
    }
    able
}

// A door to a server that this caller may not see opens for nobody.
fn reachable(engine: &Engine, peer: &Peer) -> Result<(), Fault> {
    match peer.scope() {
        None => Ok(()),
        scope => engine.tools(&peer.caller, scope).map(|_| ()).map_err(|e| Fault::from(&e)),
    }
}

// Instructions of upstreams that are passed on at the door of all, in bytes; what would go beyond is left out whole.
const MAX_INSTRUCTIONS: usize = 16 << 10;
// Of one of them.
const MAX_OWN: usize = 4 << 10;

// Of one upstream its own; of all, ours and those of each upstream of which this caller may see something.
fn instructions(engine: &Engine, peer: &Peer, result: &mut ResultWriter) {
    let snapshot = engine.0.snapshot.load();
    let text = match &peer.scope {
        Some(door) => {
            let of_server = || snapshot.catalogue.server(door.server()?)?.instructions();
            let of_view = || snapshot.catalogue.view(Some(door))?.instructions.as_deref();
            of_server().or_else(of_view).unwrap_or_default().to_owned()
        }
        None => {
            let rights = snapshot.rights(&peer.caller);
            let mut text = ALL_SERVERS.to_owned();
            for mounted in &snapshot.catalogue.servers {
                let sees =
                    || snapshot.catalogue.entries[mounted.entries.clone()].iter().any(|e| rights.sees(e));
                let own = mounted.instructions().filter(|own| own.len() <= MAX_OWN && sees());
                let Some(own) = own else { continue };
                // Quoted line by line, so that none can speak for another or for the gateway.
                let quoted: String = own.lines().map(|line| format!("\n> {line}")).collect();
                if text.len() + quoted.len() < MAX_INSTRUCTIONS {
                    text.push_str(&format!("\n\nThe server {} says:\n{quoted}", mounted.server.name));
                }
            }
            text
        }
    };
    if !text.is_empty() {
        result.text("instructions", &text);
    }
}
