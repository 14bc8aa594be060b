//! The one list of built-in tool servers.
//!
//! Adding a server is one entry here. Nothing registers itself.

use crate::config::Settings;
use anyhow::Result;
use toolgate_core::BuiltIn;
use toolgate_host::Host;

/// What a server may be made from.
pub struct Parts<'a> {
    pub settings: &'a Settings,
    pub host: &'a Host,
}

type Mount = fn(&Parts<'_>) -> Result<BuiltIn>;

/// Every server, in the order shown.
const ALL: [(&str, Option<Mount>); 3] =
    [("omnipotent", None), ("a2a-unified", None), ("desktop-commander", None)];

/// Names of every server.
pub fn names() -> Vec<&'static str> {
    ALL.iter().map(|(name, _)| *name).collect()
}

/// Mount the enabled ones.
pub fn mount(parts: &Parts<'_>) -> Result<Vec<BuiltIn>> {
    let enabled = parts.settings.document.servers.enabled.as_deref();
    ALL.iter()
        .filter(|(name, _)| enabled.is_none_or(|names| names.iter().any(|wanted| wanted == name)))
        .filter_map(|(_, mount)| mount.map(|mount| mount(parts)))
        .collect()
}
