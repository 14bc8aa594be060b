//! Tools whose parameters are mirrored into headers (`x-mcp-header`), found once, checked for each modern HTTP call.

use super::{Peer, alias};
use crate::Engine;
use std::collections::HashMap;
use toolgate_core::Face;
use toolgate_wire::mirror::{ANNOTATION, Mirrors};
use toolgate_wire::params::Params;
use toolgate_wire::{Fault, HeaderMap, Incoming};

/// The annotated tools of a catalogue, by place. Usually none, and then a check costs nothing.
#[derive(Debug, Default)]
pub struct Mirrored(HashMap<usize, Mirrors>);

impl Mirrored {
    /// Read the annotations of every tool. One that is wrong is logged and not enforced.
    pub fn of(engine: &Engine) -> Self {
        let mut found = HashMap::new();
        for entry in &engine.0.catalogue.entries {
            let schema = entry.input_schema.get();
            if !schema.contains(ANNOTATION) {
                continue;
            }
            let mirrors =
                serde_json::from_str(schema).map_err(|e| e.to_string()).and_then(|s| Mirrors::of(&s));
            match mirrors {
                Ok(mirrors) if mirrors.is_empty() => {}
                Ok(mirrors) => {
                    found.insert(entry.index, mirrors);
                }
                Err(problem) => tracing::warn!(tool = entry.exposed, problem, "header annotations ignored"),
            }
        }
        Self(found)
    }

    /// Compare the headers of a call with its arguments. A tool that the caller may not see is not looked at, so
    /// that it answers like one that does not exist.
    pub fn check(
        &self,
        engine: &Engine,
        peer: &Peer,
        request: &Incoming<'_>,
        headers: &HeaderMap,
    ) -> Result<(), Fault> {
        if self.0.is_empty() {
            return Ok(());
        }
        let params: &Params<'_> = &request.params;
        let (scoped, name, arguments) = match request.method.as_ref() {
            "tools/call" => (None, params.text("name", params.name)?, params.arguments()?),
            method => match alias::of(engine, peer, method) {
                Some((scoped, tool)) => (Some(scoped), tool.into(), alias::arguments(request)?),
                None => return Ok(()),
            },
        };
        let peer = scoped.as_ref().unwrap_or(peer);
        let inner = &*engine.0;
        let snapshot = inner.snapshot.load();
        let rights = snapshot.rights(&peer.caller, &inner.catalogue);
        let mut seen = inner.catalogue.find(Face::Tool, &name, peer.scope.as_ref()).entries;
        seen.retain(|entry| rights.sees(entry));
        match &seen[..] {
            [entry] => match self.0.get(&entry.index) {
                Some(mirrors) => mirrors.check(headers, &arguments),
                None => Ok(()),
            },
            _ => Ok(()),
        }
    }
}
