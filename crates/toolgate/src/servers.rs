//! The one list of built-in tool servers.
//!
//! Adding a server is one entry here. Nothing registers itself.

use crate::config::Settings;
use crate::data_dir::DataDir;
use anyhow::Result;
use toolgate_core::BuiltIn;
use toolgate_host::Host;

/// What a server may be made from.
pub struct Parts<'a> {
    pub settings: &'a Settings,
    pub dir: &'a DataDir,
    pub host: &'a Host,
}

/// Every server, in the order shown: its name here, its making in `mount`.
const ALL: [&str; 3] = ["omnipotent", "a2a-unified", "desktop-commander"];

/// Names of every server.
pub fn names() -> &'static [&'static str] {
    &ALL
}

/// Mount the enabled ones.
pub async fn mount(parts: &Parts<'_>) -> Result<Vec<BuiltIn>> {
    let enabled = parts.settings.document.servers.enabled.as_deref();
    let mut mounted = Vec::new();
    for name in ALL.iter().filter(|name| enabled.is_none_or(|names| names.iter().any(|wanted| wanted == *name))) {
        mounted.extend(make(name, parts).await?);
    }
    Ok(mounted)
}

async fn make(name: &str, parts: &Parts<'_>) -> Result<Option<BuiltIn>> {
    let _ = (parts.settings, parts.dir, parts.host);
    Ok(match name {
        // "omnipotent" => Some(BuiltIn::mount(toolgate_tools::omnipotent::Omnipotent::new(parts.host.clone()))),
        _ => None,
    })
}
