//! Permission patterns: `resource:action`.
//!
//! Resource: `*`, a server's name (`-` and `_` alike), a CATALOGUE alias of one (`mcp.docker`, `mcp.*`) or something
//! that is no server (`audit`). Action: `*`, a tool's name, or a class: `read`, `write`, `destroy` (`delete`), `execute`
//! (read and write), `admin` (all), `list` and `health` (not calls).

use crate::spec::Effect;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    resource: Resource,
    action: Action,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Resource {
    Any,
    /// Every server, but nothing that is no server (`mcp.*`).
    AnyServer,
    Named(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Action {
    Any,
    Effects { read: bool, write: bool, destroy: bool, word: String },
    Word(String),
}

// Names under which roles of CATALOGUE 2.4 know servers.
const ALIASES: [(&str, &str); 9] = [
    ("desktop", "desktop-commander"),
    ("windows", "windows-system"),
    ("prometheus", "prometheus-monitoring"),
    ("slack", "slack-notifications"),
    ("s3", "s3-storage"),
    ("brave", "brave-search"),
    ("azuredevops", "azure-devops"),
    ("cloud", "cloud-storage"),
    ("sast", "sast-scanner"),
];

/// The one spelling of a server's name that patterns and policies compare.
pub fn server(name: &str) -> String {
    name.replace('_', "-")
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let problem = || {
            format!("{text:?} is not a permission; write it like \"server:tool\", \"server:*\", \"*:read\"")
        };
        let (resource, action) = text.split_once(':').ok_or_else(problem)?;
        let word =
            |w: &str| !w.is_empty() && w.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b));
        let resource = match resource {
            "*" => Resource::Any,
            "mcp.*" => Resource::AnyServer,
            name if word(name) => {
                let plain = server(name.strip_prefix("mcp.").unwrap_or(name));
                let known = ALIASES.iter().find(|(alias, _)| *alias == plain);
                Resource::Named(known.map_or(plain, |(_, name)| (*name).to_owned()))
            }
            _ => return Err(problem()),
        };
        let effects =
            |read, write, destroy| Action::Effects { read, write, destroy, word: action.to_owned() };
        let action = match action {
            "*" => Action::Any,
            "read" => effects(true, false, false),
            "write" => effects(false, true, false),
            "execute" => effects(true, true, false),
            "destroy" | "delete" => effects(false, false, true),
            "admin" => effects(true, true, true),
            name if word(name) => Action::Word(name.to_owned()),
            _ => return Err(problem()),
        };
        Ok(Self { resource, action })
    }

    /// `server` in the spelling of `server()`.
    pub(super) fn allows_call(&self, server: &str, tool: &str, effect: Effect) -> bool {
        let resource = match &self.resource {
            Resource::Any | Resource::AnyServer => true,
            Resource::Named(name) => name == server,
        };
        resource
            && match &self.action {
                Action::Any => true,
                Action::Effects { read, write, destroy, .. } => match effect {
                    Effect::Read => *read,
                    Effect::Write => *write,
                    Effect::Destroy => *destroy,
                },
                // `list` and `health` are no tools' names anywhere in the catalogue.
                Action::Word(word) => word == tool,
            }
    }

    pub(super) fn allows_action(&self, resource: &str, action: &str) -> bool {
        let named = match &self.resource {
            Resource::Any => true,
            Resource::AnyServer => false,
            Resource::Named(name) => *name == server(resource),
        };
        named
            && match &self.action {
                Action::Any => true,
                Action::Effects { word, .. } | Action::Word(word) => word == action,
            }
    }
}
