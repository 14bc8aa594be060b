//! Tools whose parameters are mirrored into headers (`x-mcp-header`), checked for each modern HTTP call.

use super::{Peer, alias};
use crate::Engine;
use serde_json::value::RawValue;
use std::borrow::Cow;
use toolgate_core::Face;
use toolgate_wire::params::Params;
use toolgate_wire::{Fault, HeaderMap, Incoming};

/// Compare the headers of a call with its arguments. A tool that the caller may not see is not looked at, so that it
/// answers like one that does not exist.
pub fn check_mirrored(
    engine: &Engine,
    peer: &Peer,
    request: &Incoming<'_>,
    headers: &HeaderMap,
) -> Result<(), Fault> {
    let params: &Params<'_> = &request.params;
    let (scoped, name, arguments): (_, _, Cow<'_, str>) = match request.method.as_ref() {
        "tools/call" => (
            None,
            params.text("name", params.name)?,
            params.arguments()?.map(RawValue::get).unwrap_or("{}").into(),
        ),
        method => match alias::of(engine, peer, method) {
            Some((scoped, tool)) => {
                (Some(scoped), tool.into(), Cow::Owned(alias::arguments(request)?.get().to_owned()))
            }
            None => return Ok(()),
        },
    };
    let peer = scoped.as_ref().unwrap_or(peer);
    let snapshot = engine.0.snapshot.load();
    if !snapshot.catalogue.mirrors {
        return Ok(());
    }
    let rights = snapshot.rights(&peer.caller);
    let seen = snapshot.find(&peer.caller, &rights, Face::Tool, &name, peer.scope.as_ref());
    match &seen.entries[..] {
        [entry] => match &entry.mirrors {
            Some(mirrors) => mirrors.check(headers, &arguments),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}
