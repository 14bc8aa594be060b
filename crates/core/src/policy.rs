//! Roles, permissions and tool policies: may this caller call this tool? Pure: no I/O, no clock.
//!
//! Written by the operator in a policy file (CATALOGUE 2.4 and 5.3), compiled once, asked by `admit` and by every list.
//! What no rule allows is refused.

use crate::spec::Effect;
use crate::unit::Rate;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A policy file as written.
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

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {}

impl Policy {
    /// Compile; every problem is named with its path in the file.
    pub fn compile(file: &PolicyFile) -> Result<Self, Vec<String>> {
        let _ = file;
        todo!()
    }

    /// Names of all roles, sorted.
    pub fn roles(&self) -> Vec<&str> {
        todo!()
    }

    /// May someone with these roles call this tool with this effect? Says which rule decided.
    pub fn decide(
        &self,
        roles: &[impl AsRef<str>],
        server: &str,
        tool: &str,
        effect: Effect,
    ) -> Result<String, String> {
        let _ = (roles, server, tool, effect);
        todo!()
    }
}
