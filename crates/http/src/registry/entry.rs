//! One server as an entry of the registry.

use super::Registry;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use toolgate_engine::ServerView;

const SCHEMA: &str = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json";
// Longest description that the registry's schema takes, in characters.
const LONGEST_ABOUT: usize = 100;

/// A server of the registry.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Entry {
    server: Detail,
    #[serde(rename = "_meta")]
    meta: Meta,
}

/// What the server is (`server.json`).
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Detail {
    #[serde(rename = "$schema")]
    schema: &'static str,
    /// Reverse DNS name, `io.toolgate/docker`.
    pub name: String,
    title: String,
    description: String,
    pub version: String,
    /// Where it is: the gateway's own endpoint for it.
    remotes: [Remote; 1],
}

/// An endpoint.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Remote {
    #[serde(rename = "type")]
    kind: &'static str,
    url: String,
}

/// What the registry says of it.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Meta {
    #[serde(rename = "io.modelcontextprotocol.registry/official")]
    official: Official,
}

/// Its place in the registry.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Official {
    /// Always `active`.
    status: &'static str,
    published_at: String,
    updated_at: String,
    is_latest: bool,
}

impl Entry {
    pub fn name(&self) -> &str {
        &self.server.name
    }

    pub fn version(&self) -> &str {
        &self.server.version
    }

    pub fn description(&self) -> &str {
        &self.server.description
    }
}

/// `base`: address of the gateway. `since`: when this gateway began to offer it.
pub(super) fn entry(view: ServerView, settings: &Registry, base: &str, since: Timestamp) -> Entry {
    let time = since.to_string();
    Entry {
        server: Detail {
            schema: SCHEMA,
            name: format!("{}/{}", settings.namespace, view.id),
            title: view.name.clone(),
            description: cut(&view.description),
            version: version(&view.version),
            remotes: [Remote { kind: "streamable-http", url: format!("{base}/mcp/{}", view.id) }],
        },
        meta: Meta {
            official: Official {
                status: "active",
                published_at: time.clone(),
                updated_at: time,
                is_latest: true,
            },
        },
    }
}

fn cut(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let line = if line.is_empty() { "An MCP server behind this gateway".to_owned() } else { line };
    if line.chars().count() <= LONGEST_ABOUT {
        return line;
    }
    line.chars().take(LONGEST_ABOUT - 1).chain(['…']).collect()
}

// The schema takes neither ranges nor `latest`, and an upstream may call its version anything.
fn version(text: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '_');
    let clean: String = text.chars().filter(|c| fits(*c)).take(64).collect();
    if clean.is_empty() || clean.eq_ignore_ascii_case("latest") { "0.0.0".to_owned() } else { clean }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_versions() {
        assert_eq!(cut(&"é".repeat(200)).chars().count(), 100);
        assert_eq!(cut(" a\n b "), "a b");
        assert_eq!(
            (version("latest"), version("^1.2"), version("")),
            ("0.0.0".into(), "1.2".into(), "0.0.0".into())
        );
    }
}
