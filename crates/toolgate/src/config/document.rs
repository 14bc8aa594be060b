//! `toolgate.yaml` as an operator writes it: one struct for each section, a default for every field. A section that one
//! crate owns is that crate's own struct.
//!
//! The JSON Schema that the file is checked against is generated from these types (`toolgate config schema`), so a doc
//! comment here is what the operator reads. Nothing here is checked beyond its shape; `config::semantic` does the rest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toolgate_core::policy::{Role, ServerPolicy};
use toolgate_engine::journal;
use toolgate_host::egress::EgressRules;
use toolgate_host::exec::ExecRules;
use toolgate_host::files::Root;
use toolgate_upstream::Upstream;

/// Configuration of Toolgate.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Document {
    /// Version of this format; always 1.
    pub version: u32,
    /// Address and port of the HTTP endpoint, e.g. `127.0.0.1:8000`.
    pub listen: String,
    /// Data directory; default `$XDG_DATA_HOME/toolgate` or `~/.local/share/toolgate`.
    pub data: Option<PathBuf>,
    pub log: Log,
    /// The HTTP edge.
    pub http: toolgate_http::Settings,
    /// Limits of the data path.
    pub limits: toolgate_engine::Settings,
    /// A policy file with `roles` and `server_policies`, instead of the two sections below.
    pub policy: Option<PathBuf>,
    /// Roles by name, beside the built-in ones.
    pub roles: BTreeMap<String, Role>,
    /// Rules for single tools, by server and tool.
    pub server_policies: BTreeMap<String, ServerPolicy>,
    /// Where tools may connect to.
    pub egress: EgressRules,
    /// Which programs tools may run, and how far they are confined.
    pub exec: ExecRules,
    pub files: Files,
    /// The audit journal.
    pub journal: journal::Options,
    pub servers: Servers,
    /// Choices of what there is, each at `/mcp/v/NAME`, by name.
    pub virtual_servers: BTreeMap<String, toolgate_engine::VirtualServer>,
    /// Upstream MCP servers, by name: their tools are offered beside the built-in ones, under the same rules. More can be
    /// added while the gateway runs (`toolgate upstreams`); of two with one name the one here is used.
    pub upstreams: BTreeMap<String, Upstream>,
    pub a2a: A2a,
}

impl Default for Document {
    fn default() -> Self {
        Self {
            version: 1,
            listen: "127.0.0.1:8000".to_owned(),
            data: None,
            log: Log::default(),
            http: toolgate_http::Settings::default(),
            limits: toolgate_engine::Settings::default(),
            policy: None,
            roles: BTreeMap::new(),
            server_policies: BTreeMap::new(),
            egress: EgressRules::default(),
            exec: ExecRules::default(),
            files: Files::default(),
            journal: journal::Options::default(),
            servers: Servers::default(),
            virtual_servers: BTreeMap::new(),
            upstreams: BTreeMap::new(),
            a2a: A2a::default(),
        }
    }
}

/// What is logged, and how.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Log {
    /// `error`, `warn`, `info`, `debug`, `trace`, or filter directives such as `info,toolgate_engine=debug`.
    pub level: String,
    pub format: LogFormat,
}

impl Default for Log {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// Form of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Text when stderr is a terminal, JSON otherwise.
    #[default]
    Auto,
    Json,
    Text,
}

/// Which files tools may use.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Directories that tools may use; default: the current directory for writing (`DATA/workspace` when that is a home
    /// or system directory), `/usr`, `/opt` and `/etc` for reading.
    pub roots: Option<Vec<Root>>,
    /// Paths inside the roots that stay closed. The data directory always is.
    pub deny: Vec<PathBuf>,
}

/// Built-in tool servers.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Servers {
    /// Servers to offer, by name; all of them when absent.
    pub enabled: Option<Vec<String>>,
}

/// The agent-to-agent server.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct A2a {
    /// Its database file; default `a2a-unified.db` in the data directory.
    pub db_path: Option<PathBuf>,
}
