//! `completion/complete`: values that an argument of a prompt or a variable of a resource may have.
//!
//! Decided like a call (what a caller may not use does not exist), limited in time and number, and not recorded: like a
//! list, it tells what there is.

use super::{Peer, Pending, Reply, SERVER_INFO};
use crate::{Engine, Entry, admit};
use futures_util::FutureExt;
use serde::Deserialize;
use serde_json::json;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Face;
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
    let (era, id) = (peer.version.era(), request.id.clone());
    Ok(Pending::later(&request.id, async move {
        let mut values = match &entry.completer {
            Some(completer) => {
                let work =
                    AssertUnwindSafe(completer.complete(&argument.name, &argument.value)).catch_unwind();
                // Too late or broken: nothing to propose, which harms nobody.
                tokio::time::timeout(LIMIT, work).await.ok().and_then(Result::ok).unwrap_or_default()
            }
            None => Vec::new(),
        };
        let total = values.len();
        values.truncate(MOST);
        let completion = json!({ "values": values, "total": total, "hasMore": total > MOST });
        let mut writer = ResultWriter::new(era, &id, 256);
        writer.raw("completion", &completion.to_string());
        Reply::whole(writer.finish(SERVER_INFO))
    }))
}

// The entry that a reference means, if this caller may see it. A resource is named by its template, as in the list.
fn entry(engine: &Engine, peer: &Peer, reference: &Reference) -> Result<Arc<Entry>, Fault> {
    let (face, name) = match reference {
        Reference::Prompt { name } => (Face::Prompt, name),
        Reference::Resource { uri } => (Face::Resource, uri),
    };
    let entries = engine.list(face, &peer.caller, peer.scope()).map_err(|e| Fault::from(&e))?;
    let is_meant = |entry: &&Arc<Entry>| match face {
        Face::Resource => {
            entry.template.as_ref().is_some_and(|t| t.as_str() == name || t.variables(name).is_some())
        }
        Face::Prompt | Face::Tool => entry.exposed == *name || *entry.tool == **name,
    };
    entries.iter().find(is_meant).cloned().ok_or_else(|| Fault::from(&admit::no_such(face, name)))
}
