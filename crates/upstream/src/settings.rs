//! What an operator says of one upstream (`upstreams.NAME` in `toolgate.yaml`, and the admin API).
//!
//! A secret is written as a reference: `${env:NAME}` or `${file:PATH}`, anywhere in a value of `env` or `headers`. It is
//! resolved when a process starts or a request is sent, and printed never.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use toolgate_core::Effect;
use toolgate_core::foreign::Prefix;
use toolgate_core::pattern::Choice;
use toolgate_core::unit::{Rate, Size, Span};

/// One upstream MCP server: either `url` or `command`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Upstream {
    /// Whether it is offered.
    pub enabled: bool,
    /// Address of its MCP endpoint, e.g. `https://mcp.example.com/mcp`.
    pub url: Option<String>,
    /// How the endpoint is spoken to.
    pub transport: Transport,
    /// Program that is the server, spoken to over its standard input and output. No shell reads it.
    pub command: Option<String>,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Environment of the program, beside `PATH`, `HOME`, `LANG` and `TZ`. Secrets by reference: `${env:NAME}`, `${file:PATH}`.
    pub env: BTreeMap<String, String>,
    /// Directory that the program runs in; default an empty one of its own.
    pub cwd: Option<PathBuf>,
    /// Headers of every request to the endpoint. Secrets by reference.
    pub headers: BTreeMap<String, String>,
    /// Headers of the client's own request that are passed on with its calls: of the request that calls (Streamable HTTP and
    /// REST), or of the one that opened the channel (WebSocket and HTTP+SSE); over stdio there are none. Never a credential,
    /// `Cookie`, `Host`, `Origin`, `Mcp-*`, `Sec-*`, `Forwarded`, `X-Forwarded-*` or one of the connection.
    pub forward_headers: Vec<String>,
    /// Era of MCP that it speaks.
    pub era: EraChoice,
    /// How its tools are named at the endpoint of all servers.
    pub prefix: Prefix,
    pub tools: Tools,
    /// Which resources are offered, by URI. A URI is judged by what it comes to: decoded, without `..`.
    pub resources: Choice,
    /// Which prompts are offered, by name.
    pub prompts: Choice,
    /// How far the program is confined.
    pub sandbox: Sandbox,
    /// Paths that a confined program may read, beside the system's programs and libraries.
    pub read: Vec<PathBuf>,
    /// Paths that a confined program may write, beside its own directory.
    pub write: Vec<PathBuf>,
    /// Hosts that a confined program may connect to, e.g. `api.github.com` or `*.example.com:443`.
    pub egress: Vec<String>,
    /// Memory of one process.
    pub memory: Size,
    /// Who shares one process or session.
    pub share: Share,
    /// A process or session that nobody used for this long is ended.
    pub idle: Span,
    /// Processes or sessions at the same time.
    pub max_sessions: usize,
    /// How long a call may be silent.
    pub deadline: Span,
    /// How long it may take to start, to connect and to say what it offers.
    pub start: Span,
    /// Calls at the same time.
    pub max_concurrency: usize,
    /// Calls of each caller to each of its tools; default `limits.per_tool`.
    pub rate: Option<Rate>,
    /// Largest message it may send.
    pub max_message: Size,
    /// File of PEM certificates that its endpoint is checked against, instead of the system's.
    pub ca: Option<PathBuf>,
}

impl Default for Upstream {
    fn default() -> Self {
        Self {
            enabled: true,
            url: None,
            transport: Transport::default(),
            command: None,
            args: Vec::new(),
            env: BTreeMap::new(),
            cwd: None,
            headers: BTreeMap::new(),
            forward_headers: Vec::new(),
            era: EraChoice::default(),
            prefix: Prefix::default(),
            tools: Tools::default(),
            resources: Choice::default(),
            prompts: Choice::default(),
            sandbox: Sandbox::default(),
            read: Vec::new(),
            write: Vec::new(),
            egress: Vec::new(),
            memory: Size(1 << 30),
            share: Share::default(),
            idle: Span(std::time::Duration::from_secs(600)),
            max_sessions: 64,
            deadline: Span(std::time::Duration::from_secs(60)),
            start: Span(std::time::Duration::from_secs(30)),
            max_concurrency: 64,
            rate: None,
            max_message: Size(16 << 20),
            ca: None,
        }
    }
}

/// Transport of an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Transport {
    /// Streamable HTTP; HTTP+SSE where the endpoint does not speak it.
    #[default]
    Auto,
    StreamableHttp,
    /// HTTP+SSE of 2024-11-05.
    Sse,
}

/// Era of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EraChoice {
    /// Asked once (`server/discover`), and again after a failure.
    #[default]
    Auto,
    /// 2026-07-28 on.
    Modern,
    /// Up to 2025-11-25.
    Legacy,
}

/// Which tools are offered, under which names, as what.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Tools {
    /// Names, or patterns with `*`; all of them when empty.
    pub allow: Vec<String>,
    /// Names, or patterns with `*`; goes before `allow`.
    pub deny: Vec<String>,
    /// New names, by the upstream's own.
    pub rename: BTreeMap<String, String>,
    /// What calls do to the world (`read`, `write`, `destroy`), by name or pattern; goes before the upstream's hints.
    pub effects: BTreeMap<String, Effect>,
    /// Whether the upstream's own hints (`readOnlyHint`, `destructiveHint`) are believed. Without them, and where nothing
    /// is said in `effects`, a tool counts as one that destroys.
    pub trust_hints: bool,
    /// Tools whose calls are tasks that the gateway keeps (extension `io.modelcontextprotocol/tasks`), by name or pattern:
    /// `optional` or `required`. For an upstream that makes no tasks itself, as no legacy one does.
    pub tasks: BTreeMap<String, Tasks>,
}

/// Which calls of a tool are tasks, whose result is fetched later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Tasks {
    /// Those of clients that know tasks; others wait for the answer.
    Optional,
    /// All of clients of the modern era; one that does not know tasks is refused.
    Required,
}

/// How far a program is confined. One that cannot be confined as asked does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sandbox {
    /// Not at all, but for its own process group and limits.
    None,
    /// Reads the system and what `read` names, writes its own directory and what `write` names; no new privileges; no
    /// dangerous system calls; reaches the network only where `egress` allows (everywhere public when it is empty).
    #[default]
    Standard,
    /// As standard, but without a network where `egress` is empty, and without the home directory, in namespaces of its own.
    Strict,
}

/// Who shares one process or session of an upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Share {
    /// Everybody when it is modern, and so keeps nothing between calls; otherwise each caller has its own.
    #[default]
    Auto,
    All,
    Caller,
    /// Each session of a client has its own.
    Session,
}
