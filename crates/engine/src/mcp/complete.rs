//! `completion/complete`: values that an argument of a prompt or a variable of a resource may have.
//!
//! Decided like a call (what a caller may not use does not exist), limited in time and number, and not recorded: like a
//! list, it tells what there is.

use super::{Peer, Pending, Reply, SERVER_INFO};
use crate::{Engine, Entry, admit};
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::{Value, json};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::foreign::Resources;
use toolgate_core::{Caller, Face};
use toolgate_wire::result::ResultWriter;
use toolgate_wire::{Fault, Incoming};

// Most values in one answer, by the specification.
const MOST: usize = 100;
const LIMIT: Duration = Duration::from_secs(5);

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Reference {
    #[serde(rename = "ref/prompt")]
    Prompt { name: String },
    #[serde(rename = "ref/resource")]
    Resource { uri: String },
}

#[derive(Deserialize)]
struct Argument {
    name: String,
    value: String,
}

pub(super) fn complete(engine: &Engine, peer: &Peer, request: &Incoming<'_>) -> Result<Pending, Fault> {
    let params = &request.params;
    let read = |key: &str, member: Option<&serde_json::value::RawValue>| {
        member
            .map(|raw| raw.get().to_owned())
            .ok_or_else(|| Fault::invalid_params(format!("Invalid params: \"{key}\" is missing")))
    };
    let wrong =
        |key: &str, e: serde_json::Error| Fault::invalid_params(format!("Invalid params: \"{key}\": {e}"));
    let reference: Reference =
        serde_json::from_str(&read("ref", params.reference)?).map_err(|e| wrong("ref", e))?;
    let argument: Argument =
        serde_json::from_str(&read("argument", params.argument)?).map_err(|e| wrong("argument", e))?;
    let entry = entry(engine, peer, &reference)?;
    let context = request.params.context.and_then(|raw| serde_json::from_str(raw.get()).ok());
    let (era, id, caller) = (peer.version.era(), request.id.clone(), peer.caller.clone());
    Ok(Pending::later(&request.id, async move {
        let work =
            AssertUnwindSafe(completion(&entry, &caller, &reference, &argument, context)).catch_unwind();
        // Too late or broken: nothing to propose, which harms nobody.
        let completion = tokio::time::timeout(LIMIT, work).await.ok().and_then(Result::ok).flatten();
        let completion = completion.unwrap_or_else(|| json!({ "values": [], "total": 0, "hasMore": false }));
        let mut writer = ResultWriter::new(era, &id, 256);
        writer.raw("completion", &completion.to_string());
        Reply::whole(writer.finish(SERVER_INFO))
    }))
}

async fn completion(
    entry: &Entry,
    caller: &Arc<Caller>,
    reference: &Reference,
    argument: &Argument,
    context: Option<Value>,
) -> Option<Value> {
    if let Some(relay) = &entry.relay {
        let own = match reference {
            Reference::Prompt { .. } => json!({ "type": "ref/prompt", "name": entry.called }),
            Reference::Resource { uri } => {
                let own = entry.own_uri(uri);
                json!({ "type": "ref/resource", "uri": own })
            }
        };
        let mut params =
            json!({ "ref": own, "argument": { "name": argument.name, "value": argument.value } });
        if let Some(context) = context {
            params["context"] = context;
        }
        return relay.complete(caller, params).await.ok();
    }
    let mut values = entry.completer.as_ref()?.complete(&argument.name, &argument.value).await;
    let total = values.len();
    values.truncate(MOST);
    Some(json!({ "values": values, "total": total, "hasMore": total > MOST }))
}

// The entry that a reference means, if this caller may see it. A resource is named by its template, as in the list.
fn entry(engine: &Engine, peer: &Peer, reference: &Reference) -> Result<Arc<Entry>, Fault> {
    let (face, name) = match reference {
        Reference::Prompt { name } => (Face::Prompt, name),
        Reference::Resource { uri } => (Face::Resource, uri),
    };
    if face == Face::Prompt {
        let found = engine.sees(&peer.caller, peer.scope.as_ref(), face, name);
        return found.ok_or_else(|| Fault::from(&admit::no_such(face, name)));
    }
    let entries = engine.list(face, &peer.caller, peer.scope()).map_err(|e| Fault::from(&e))?;
    let is_meant = |entry: &&Arc<Entry>| {
        entry.template.as_ref().is_some_and(|t| t.as_str() == name || t.variables(name).is_some())
            || entry.resources.as_ref().is_some_and(|resources| lists(entry, resources, name))
    };
    entries.iter().find(is_meant).cloned().ok_or_else(|| Fault::from(&admit::no_such(face, name)))
}

// At the door of all servers a template may stand with its server's name before it.
fn lists(entry: &Entry, resources: &Resources, name: &str) -> bool {
    let own = entry.own_uri(name);
    resources.templates.iter().chain(&*resources.fixed).any(|listed| listed.uri == own)
}
