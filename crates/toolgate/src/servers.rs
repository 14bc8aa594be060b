//! The one list of built-in tool servers.
//!
//! Adding a server is one entry here. Nothing registers itself.

use crate::config::{Known, Settings};
use crate::library::ShelfLibrary;
use anyhow::{Result, bail};
use std::sync::Arc;
use toolgate_core::{Mount, Server};
use toolgate_host::Host;
use toolgate_store::Shelf;
use toolgate_tools::a2a_unified::{A2aUnified, Sources};
use toolgate_tools::desktop_commander::DesktopCommander;
use toolgate_tools::insight::Insight;
use toolgate_tools::omnipotent::Omnipotent;

/// What a server may be made from.
pub struct Parts<'a> {
    pub settings: &'a Settings,
    pub host: &'a Host,
    pub insight: Arc<dyn Insight>,
    pub shelf: &'a Arc<Shelf>,
}

/// Every server, in the order shown: its name here, its making in `make`.
const ALL: [&str; 3] = [Omnipotent::NAME, A2aUnified::NAME, DesktopCommander::NAME];

/// What a configuration may name.
pub fn known() -> Known {
    Known { servers: &ALL, entries }
}

// What a server offers, without making it.
fn entries(server: &str) -> Vec<String> {
    fn of<S: Server>() -> Vec<String> {
        let tools = S::tools().into_iter().map(|tool| tool.spec.name);
        let resources = S::resources().into_iter().map(|resource| resource.name());
        let prompts = S::prompts().into_iter().map(|prompt| prompt.name());
        tools.chain(resources).chain(prompts).map(str::to_owned).collect()
    }
    match server {
        Omnipotent::NAME => of::<Omnipotent>(),
        DesktopCommander::NAME => of::<DesktopCommander>(),
        A2aUnified::NAME => of::<A2aUnified>(),
        _ => Vec::new(),
    }
}

/// Mount the enabled ones.
pub fn mount(parts: &Parts<'_>) -> Result<Vec<Mount>> {
    let enabled = parts.settings.document.servers.enabled.as_deref();
    let mut mounted = Vec::new();
    for name in
        ALL.iter().filter(|name| enabled.is_none_or(|names| names.iter().any(|wanted| wanted == *name)))
    {
        mounted.push(make(name, parts)?);
    }
    Ok(mounted)
}

fn make(name: &str, parts: &Parts<'_>) -> Result<Mount> {
    let host = parts.host.clone();
    Ok(match name {
        Omnipotent::NAME => {
            // What is not UTF-8 cannot be shown anyway.
            let env =
                std::env::vars_os().filter_map(|(n, v)| Some((n.into_string().ok()?, v.into_string().ok()?)));
            Mount::of(Omnipotent::new(host, parts.insight.clone(), env))
        }
        DesktopCommander::NAME => Mount::of(DesktopCommander::new(host)),
        A2aUnified::NAME => {
            let library = Arc::new(ShelfLibrary::new(parts.shelf.clone(), &parts.settings.a2a_db));
            Mount::of(A2aUnified::new(host, library, parts.insight.clone(), Sources::public()?))
        }
        _ => bail!("the server {name:?} is in the list but cannot be made; report this defect"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_server_offers_is_known_without_making_it() {
        for server in ALL {
            assert!(!entries(server).is_empty(), "{server}");
        }
        let entries = entries(Omnipotent::NAME);
        for name in ["kill_process", "system_report", "diagnose"] {
            assert!(entries.iter().any(|entry| entry == name), "{name} in {entries:?}");
        }
    }
}
