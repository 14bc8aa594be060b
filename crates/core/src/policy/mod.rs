//! Roles, permissions and tool policies: may this caller call this tool? Pure: no I/O, no clock.
//!
//! Written by the operator in a policy file (CATALOGUE 2.4 and 5.3), compiled once, asked by `admit` and by every list.
//! What no rule allows is refused.

mod builtin;
mod file;
mod pattern;

pub use file::{PolicyFile, Role, ServerPolicy, ToolPolicy};

use crate::spec::Effect;
use pattern::Pattern;
pub use pattern::server as server_key;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// A compiled policy.
#[derive(Debug, Clone)]
pub struct Policy {
    roles: BTreeMap<Arc<str>, Compiled>,
    tools: BTreeMap<(String, String), ToolPolicy>,
}

#[derive(Debug, Clone)]
struct Compiled {
    /// The role and all that it inherits.
    held: BTreeSet<Arc<str>>,
    grants: Vec<Grant>,
}

#[derive(Debug, Clone)]
struct Grant {
    pattern: Pattern,
    /// As a record shows it: `role viewer: *:read`.
    rule: Arc<str>,
}

/// What was decided, and by which rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    Allow(Arc<str>),
    Deny(Arc<str>),
}

impl Default for Policy {
    /// The built-in roles and tool policies alone.
    fn default() -> Self {
        match Self::compile(&PolicyFile::default()) {
            Ok(policy) => policy,
            Err(problems) => unreachable!("built-in policy: {problems:?}"),
        }
    }
}

impl Policy {
    /// Compile a file on top of the built-in roles and tool policies; every problem is named with its path in the file.
    pub fn compile(file: &PolicyFile) -> Result<Self, Vec<String>> {
        let mut whole = builtin::policy();
        whole.roles.extend(file.roles.clone());
        for (server, rules) in &file.server_policies {
            whole.server_policies.entry(server.clone()).or_default().tools.extend(rules.tools.clone());
        }
        let mut problems = Vec::new();
        let mut roles = BTreeMap::new();
        for name in whole.roles.keys() {
            if !file::is_role_name(name) {
                problems.push(format!(
                    "roles.{name}: not a role name; 3 to 31 letters, digits and _, beginning with a letter"
                ));
            }
            let held = inherited(name, &whole.roles, &mut problems);
            let mut grants = Vec::new();
            for part in &held {
                for (i, text) in whole.roles[part].permissions.iter().enumerate() {
                    match Pattern::parse(text) {
                        Ok(pattern) => {
                            grants.push(Grant { pattern, rule: format!("role {part}: {text}").into() })
                        }
                        // Reported once, for the role that holds it.
                        Err(problem) if part == name => {
                            problems.push(format!("roles.{name}.permissions[{i}]: {problem}"));
                        }
                        Err(_) => {}
                    }
                }
            }
            let held = held.into_iter().map(Arc::from).collect();
            roles.insert(Arc::from(name.as_str()), Compiled { held, grants });
        }
        let mut tools = BTreeMap::new();
        for (server, rules) in whole.server_policies {
            for (tool, policy) in rules.tools {
                for required in policy.requires.iter().filter(|r| !roles.contains_key(r.as_str())) {
                    problems.push(format!(
                        "server_policies.{server}.tools.{tool}.requires: there is no role {required:?}"
                    ));
                }
                tools.insert((pattern::server(&server), tool), policy);
            }
        }
        if problems.is_empty() { Ok(Self { roles, tools }) } else { Err(problems) }
    }

    /// Names of all roles, sorted.
    pub fn roles(&self) -> impl Iterator<Item = &str> {
        self.roles.keys().map(|name| &**name)
    }

    pub fn has_role(&self, name: &str) -> bool {
        self.roles.contains_key(name)
    }

    /// The rules for one tool on top of permissions, if there are any.
    pub fn tool(&self, server: &str, tool: &str) -> Option<&ToolPolicy> {
        self.tools.get(&(pattern::server(server), tool.to_owned()))
    }

    /// May someone with these roles call this tool with this effect?
    pub fn decide<R: AsRef<str>>(&self, roles: &[R], server: &str, tool: &str, effect: Effect) -> Verdict {
        let held: Vec<&Compiled> = roles.iter().filter_map(|r| self.roles.get(r.as_ref())).collect();
        let server_name = pattern::server(server);
        let Some(grant) = held
            .iter()
            .flat_map(|role| &role.grants)
            .find(|grant| grant.pattern.allows_call(&server_name, tool, effect))
        else {
            return Verdict::Deny(format!("no role allows {server}:{tool} ({})", effect.label()).into());
        };
        if let Some(policy) = self.tool(server, tool) {
            let holds = |required: &String| held.iter().any(|role| role.held.contains(required.as_str()));
            if !policy.requires.is_empty() && !policy.requires.iter().any(holds) {
                return Verdict::Deny(
                    format!("{server}:{tool} requires one of the roles {}", policy.requires.join(", "))
                        .into(),
                );
            }
        }
        Verdict::Allow(grant.rule.clone())
    }

    /// Does someone with these roles hold this one, by itself or through another?
    pub fn holds<R: AsRef<str>>(&self, roles: &[R], role: &str) -> bool {
        roles.iter().filter_map(|r| self.roles.get(r.as_ref())).any(|held| held.held.contains(role))
    }

    /// Does someone with these roles hold a permission that is not about a tool, e.g. `audit`, `read`?
    pub fn permits<R: AsRef<str>>(&self, roles: &[R], resource: &str, action: &str) -> bool {
        roles
            .iter()
            .filter_map(|r| self.roles.get(r.as_ref()))
            .flat_map(|role| &role.grants)
            .any(|grant| grant.pattern.allows_action(resource, action))
    }

    /// Digest of all that these roles may do: equal for callers of equal rights, another after any change of policy
    /// that touches them.
    pub fn digest<R: AsRef<str>>(&self, roles: &[R]) -> [u8; 32] {
        let mut rules: BTreeSet<&str> = BTreeSet::new();
        let mut held: BTreeSet<&str> = BTreeSet::new();
        for role in roles.iter().filter_map(|r| self.roles.get(r.as_ref())) {
            rules.extend(role.grants.iter().map(|g| &*g.rule));
            held.extend(role.held.iter().map(|r| &**r));
        }
        let tools: Vec<String> =
            self.tools.iter().map(|((s, t), p)| format!("{s} {t} {:?}", p.requires)).collect();
        crate::canon::sha256(format!("{rules:?}{held:?}{tools:?}").as_bytes())
    }
}

// The role itself and everything it inherits, in the order of distance; unknown parents and circles are problems.
fn inherited(name: &str, roles: &BTreeMap<String, Role>, problems: &mut Vec<String>) -> Vec<String> {
    let mut held = vec![name.to_owned()];
    let mut next = 0;
    while next < held.len() {
        let current = held[next].clone();
        next += 1;
        for parent in &roles[&current].inherits {
            if !roles.contains_key(parent) {
                if current == name {
                    problems.push(format!("roles.{name}.inherits: there is no role {parent:?}"));
                }
            } else if parent == name {
                problems.push(format!("roles.{name}.inherits: it inherits itself through {current:?}"));
            } else if !held.contains(parent) {
                held.push(parent.clone());
            }
        }
    }
    held
}

#[cfg(test)]
mod tests;
