//! `toolgate.yaml` as an operator writes it: one struct for each section, a default for every field.
//!
//! The JSON Schema that the file is checked against is generated from these types (`toolgate config schema`), so a doc
//! comment here is what the operator reads. Nothing here is checked beyond its shape; `config::semantic` does the rest.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toolgate_core::policy::{Role, ServerPolicy};
use toolgate_core::unit::{Size, Span};
use toolgate_engine::journal::Options;
use toolgate_host::egress::EgressRules;
use toolgate_host::exec::{ExecRules, Profile};

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
    pub egress: Egress,
    pub exec: Exec,
    pub files: Files,
    pub journal: Journal,
    pub servers: Servers,
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
            egress: Egress::default(),
            exec: Exec::default(),
            files: Files::default(),
            journal: Journal::default(),
            servers: Servers::default(),
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

/// Where tools may connect to.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Egress {
    /// Private services that may be reached although their address is private: `host:port`, or `host` for any port.
    pub allow_private: Vec<String>,
    /// When not empty: only these hosts (`example.org`, `*.example.org`) may be reached.
    pub only: Vec<String>,
    /// Hosts never reached.
    pub deny: Vec<String>,
    /// Redirects followed, each checked again.
    pub max_redirects: Option<u8>,
}

impl Egress {
    pub fn rules(&self) -> EgressRules {
        EgressRules {
            allow_private: self.allow_private.clone(),
            only: self.only.clone(),
            deny: self.deny.clone(),
            max_redirects: self.max_redirects.map(usize::from),
        }
    }
}

/// Which programs tools may run, and how far they are confined.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Exec {
    pub profile: Confinement,
    /// Programs that may run, by name; empty means the built-in list.
    pub allow: Vec<String>,
    /// Environment variables passed on to programs, by name.
    pub env: Vec<String>,
    /// Programs that may use TCP under `profile: standard`, beside those that are there for it (git, npm, docker, ...).
    pub network: Vec<String>,
    /// Directories, besides the system's own, where programs are looked up.
    pub path: Vec<PathBuf>,
    /// Programs running at once.
    pub max_children: u32,
    /// Address space of one program; no limit when absent.
    pub max_memory: Option<Size>,
}

impl Default for Exec {
    fn default() -> Self {
        let rules = ExecRules::default();
        Self {
            profile: Confinement::Standard,
            allow: rules.allow,
            env: rules.env,
            network: rules.network,
            path: rules.path,
            max_children: u32::try_from(rules.max_children).unwrap_or(u32::MAX),
            max_memory: (rules.max_memory > 0).then_some(Size(rules.max_memory)),
        }
    }
}

/// How far programs are confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confinement {
    /// Own process group, limits, cleared environment; nothing else.
    None,
    /// And Landlock where the kernel has it.
    #[default]
    Standard,
    /// And Landlock, or the program is not started.
    Strict,
}

impl Exec {
    pub fn rules(&self) -> ExecRules {
        ExecRules {
            profile: match self.profile {
                Confinement::None => Profile::None,
                Confinement::Standard => Profile::Standard,
                Confinement::Strict => Profile::Strict,
            },
            allow: self.allow.clone(),
            env: self.env.clone(),
            network: self.network.clone(),
            path: self.path.clone(),
            max_children: self.max_children as usize,
            max_memory: self.max_memory.map_or(0, |size| size.0),
        }
    }
}

/// Which files tools may use.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Files {
    /// Directories that tools may use; default: the current directory for writing, `/usr`, `/opt` and `/etc` for reading.
    pub roots: Option<Vec<FileRoot>>,
    /// Paths inside the roots that stay closed. The data directory always is.
    pub deny: Vec<PathBuf>,
}

/// A directory, with everything beneath it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FileRoot {
    /// An existing directory.
    pub path: PathBuf,
    /// Whether tools may write there.
    #[serde(default)]
    pub write: bool,
}

/// The audit journal.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Journal {
    /// A file to which every signed checkpoint is appended too; keep it where this machine cannot change it.
    pub anchor: Option<PathBuf>,
    /// A segment file is closed before it grows beyond this.
    pub segment_size: Size,
    /// A checkpoint is signed after so many lines,
    pub checkpoint_lines: u64,
    /// and this long after the first line that no checkpoint covers.
    pub checkpoint_after: Span,
}

impl Default for Journal {
    fn default() -> Self {
        let options = Options::default();
        Self {
            anchor: options.anchor,
            segment_size: Size(options.segment_bytes),
            checkpoint_lines: options.checkpoint_lines,
            checkpoint_after: Span(options.checkpoint_after),
        }
    }
}

impl Journal {
    /// `anchor`: the path made absolute.
    pub fn options(&self, anchor: Option<PathBuf>) -> Options {
        Options {
            segment_bytes: self.segment_size.0,
            checkpoint_lines: self.checkpoint_lines,
            checkpoint_after: self.checkpoint_after.0,
            anchor,
        }
    }
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
