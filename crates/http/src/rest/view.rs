//! What REST answers look like. Made from the engine's views; the OpenAPI document is generated from these very types.

use crate::app::AppState;
use crate::refusal::Refusal;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::id::CallId;
use toolgate_core::server::{self, State};
use toolgate_core::{Caller, Effect};
use toolgate_engine::{Entry, ServerView, health};

/// A tool server.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Server {
    id: String,
    name: String,
    description: String,
    version: String,
    /// False while an administrator has stopped it.
    running: bool,
    /// `ready`, `stopped` while it is not running, or `unconfigured` when settings are missing.
    #[schemars(extend("enum" = ["ready", "stopped", "unconfigured"]))]
    state: &'static str,
    /// Settings that are missing, each with what it is for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    missing: Vec<String>,
    /// Number of tools that you may call.
    tools: usize,
}

impl From<ServerView> for Server {
    fn from(view: ServerView) -> Self {
        let (state, missing) = match view.state {
            State::Ready if !view.running => ("stopped", Vec::new()),
            State::Ready => ("ready", Vec::new()),
            State::Unconfigured { missing } => ("unconfigured", missing),
        };
        Self {
            id: view.id,
            name: view.name,
            description: view.description,
            version: view.version,
            running: view.running,
            state,
            missing,
            tools: view.tools,
        }
    }
}

/// A server that the caller may see; the engine's words for one that is not there otherwise.
pub(super) fn visible_server(state: &AppState, caller: &Caller, name: &str) -> Result<ServerView, Refusal> {
    let found = state.engine().servers(caller).into_iter().find(|view| view.id == name);
    found.ok_or_else(|| match state.engine().tools(caller, Some(name)) {
        Err(error) => error.into(),
        // It came to be seen between the two questions.
        Ok(_) => Refusal::not_found("the policy changed meanwhile; ask again"),
    })
}

/// A tool.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Tool {
    /// Name within its server, as in the path.
    name: Arc<str>,
    server: String,
    /// Name at the endpoint of all servers (`/mcp`).
    exposed_name: String,
    description: String,
    /// Most that a call of it does: `read`, `write` or `destroy`.
    #[schemars(extend("enum" = Effect::ALL.map(Effect::label)))]
    effect: &'static str,
    /// Longest that a call may run.
    timeout_ms: u64,
    /// Other names it answers to.
    aliases: &'static [&'static str],
    /// JSON Schema of `params`.
    #[schemars(with = "Map<String, Value>")]
    input_schema: Box<RawValue>,
    /// JSON Schema of `data`.
    #[schemars(with = "Map<String, Value>")]
    output_schema: Box<RawValue>,
}

impl From<&Entry> for Tool {
    fn from(entry: &Entry) -> Self {
        let most: Effect = entry.spec.most;
        Self {
            name: entry.tool.clone(),
            server: entry.server.to_string(),
            exposed_name: entry.exposed.clone(),
            description: entry.description().to_owned(),
            effect: most.label(),
            timeout_ms: u64::try_from(entry.spec.timeout.as_millis()).unwrap_or(u64::MAX),
            aliases: entry.spec.aliases,
            input_schema: entry.input_schema().into_owned(),
            output_schema: entry.output_schema().into_owned(),
        }
    }
}

/// What is known of a call.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Metadata<'a> {
    /// Time from the request's arrival to its answer, in milliseconds.
    pub execution_time_ms: f64,
    /// Server as asked for.
    pub server: &'a str,
    /// Version of the server; null when there is none that you may see.
    pub version: Option<&'a str>,
    /// Id of the call in the journal.
    #[schemars(with = "String")]
    pub call_id: CallId,
}

/// Milliseconds with three decimals.
pub(super) fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

const STATUSES: [&str; 3] = ["healthy", "degraded", "unhealthy"];

/// A health report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Report {
    server: String,
    /// `healthy`, `degraded` or `unhealthy`; the worst of the checks.
    #[schemars(with = "String", extend("enum" = STATUSES))]
    pub status: server::Status,
    /// RFC 3339, UTC.
    timestamp: String,
    #[schemars(with = "Vec<Check>")]
    pub checks: Vec<server::Health>,
    version: String,
}

/// One named check.
#[derive(Serialize, JsonSchema)]
#[allow(dead_code)] // the shape of core's `Health`, for the document
struct Check {
    name: String,
    /// `healthy`, `degraded` or `unhealthy`.
    #[schemars(extend("enum" = STATUSES))]
    status: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl From<&health::Report> for Report {
    fn from(report: &health::Report) -> Self {
        Self {
            server: report.server.clone(),
            status: report.status,
            timestamp: report.timestamp.clone(),
            checks: report.checks.clone(),
            version: report.version.clone(),
        }
    }
}
