//! The policy file as written. Names are CATALOGUE 5.3's.

use crate::unit::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A policy file.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PolicyFile {
    /// Roles by name. A role named here replaces the built-in one of that name.
    pub roles: BTreeMap<String, Role>,
    /// Rules for single tools, by server and tool.
    pub server_policies: BTreeMap<String, ServerPolicy>,
}

/// A named set of permissions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Role {
    /// Roles whose permissions it has too.
    pub inherits: Vec<String>,
    /// `server:tool`, `server:*`, `server:read`, `*:read`, `*:*`.
    pub permissions: Vec<String>,
}

/// Rules for the tools of one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerPolicy {
    pub tools: BTreeMap<String, ToolPolicy>,
}

/// Rules for one tool, on top of the caller's permissions.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ToolPolicy {
    /// The caller must hold one of these roles; empty means any.
    pub requires: Vec<String>,
    /// At most so many calls of each caller.
    pub rate_limit: Option<Rate>,
    /// A person must approve each call.
    pub approval_required: bool,
}

// CATALOGUE 2.4: `^[a-zA-Z][a-zA-Z0-9_]{2,30}$`.
pub(super) fn is_role_name(name: &str) -> bool {
    (3..=31).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}
