//! The one list of built-in tool servers.
//!
//! Adding a server is one entry here. Nothing registers itself.

use crate::config::Settings;
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

/// Names of every server.
pub fn names() -> &'static [&'static str] {
    &ALL
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
