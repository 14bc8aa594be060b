//! `Server`: a named set of built-in tools over one state, and `Mount`, a server as the engine sees it.
//!
//! Tool crates implement `Server`; the binary mounts each one in one explicit list. An upstream is mounted as it is, with
//! what only an upstream has in `foreign`. Below `Mount` nothing tells one from the other.

use crate::foreign::Foreign;
use crate::json_text::JsonText;
use crate::listing::Nameless;
use crate::name::ServerName;
use crate::offer::{MountedPrompt, MountedResource, PromptDef, ResourceDef};
use crate::tool::{BoxFuture, Ready, ToolDef};
use crate::unit::Rate;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::sync::Arc;

/// Whether a server can work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Ready,
    /// Settings are missing; each entry names one and what it is for.
    Unconfigured {
        missing: Vec<String>,
    },
}

/// Result of a health check (CATALOGUE: healthy, degraded, unhealthy).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Healthy,
    Degraded,
    Unhealthy,
}

/// One named check of a health report.
#[derive(Debug, Clone, Serialize)]
pub struct Health {
    pub name: String,
    pub status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Health {
    pub fn healthy(name: impl Into<String>) -> Self {
        Self { name: name.into(), status: Status::Healthy, message: None }
    }

    pub fn of(name: impl Into<String>, status: Status, message: impl Into<String>) -> Self {
        Self { name: name.into(), status, message: Some(message.into()) }
    }
}

/// A built-in tool server. Cheap to make; the engine calls its tools.
pub trait Server: Sized + Send + Sync + 'static {
    const NAME: &'static str;
    /// One or two sentences for a person who chooses servers.
    const ABOUT: &'static str;
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    /// Calls of one caller to one of its tools, where it should differ from the gateway's default; settings overrule it.
    const RATE: Option<Rate> = None;

    /// Every tool, in the order shown.
    fn tools() -> Vec<ToolDef<Self>>;

    /// Every resource and resource template, in the order shown.
    fn resources() -> Vec<ResourceDef<Self>> {
        Vec::new()
    }

    /// Every prompt, in the order shown.
    fn prompts() -> Vec<PromptDef<Self>> {
        Vec::new()
    }

    fn state(&self) -> State {
        State::Ready
    }

    /// Quick checks of what it needs; called by health endpoints, never on the data path.
    fn health(&self) -> impl Future<Output = Vec<Health>> + Send {
        async { Vec::new() }
    }
}

/// One tool of a mounted server, types erased.
pub trait AnyTool: Send + Sync {
    fn spec(&self) -> &crate::Spec;
    /// Its name, unique in its server.
    fn name(&self) -> &str {
        self.spec().name
    }
    /// The MCP object (`Tool`, `Prompt`) that an upstream describes it with.
    fn listing(&self) -> Option<&Nameless> {
        None
    }
    fn description(&self) -> &str;
    /// Its JSON Schema. An upstream's is kept in its listing only, and looked for each time.
    fn input_schema(&self) -> Cow<'_, RawValue>;
    /// `null` when it has none.
    fn output_schema(&self) -> Cow<'_, RawValue>;
    /// Parse arguments. The error text says what was wrong and what is accepted.
    fn prepare(&self, arguments: &JsonText) -> Result<Box<dyn Ready>, String>;
}

/// A schema that is kept parsed, as text.
pub fn raw(schema: &serde_json::Value) -> Cow<'static, RawValue> {
    // A `Value` can always be written.
    Cow::Owned(serde_json::value::to_raw_value(schema).unwrap_or_else(|_| RawValue::NULL.to_owned()))
}

struct Mounted<S> {
    def: ToolDef<S>,
    server: Arc<S>,
}

impl<S: Send + Sync + 'static> AnyTool for Mounted<S> {
    fn spec(&self) -> &crate::Spec {
        &self.def.spec
    }
    fn description(&self) -> &str {
        &self.def.description
    }
    fn input_schema(&self) -> Cow<'_, RawValue> {
        raw(&self.def.input_schema)
    }
    fn output_schema(&self) -> Cow<'_, RawValue> {
        raw(&self.def.output_schema)
    }
    fn prepare(&self, arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
        self.def.prepare(&self.server, arguments)
    }
}

pub(crate) fn mounted<S: Send + Sync + 'static>(def: ToolDef<S>, server: &Arc<S>) -> Arc<dyn AnyTool> {
    Arc::new(Mounted { def, server: server.clone() })
}

struct Checked<S>(Arc<S>);

impl<S: Server> Checks for Checked<S> {
    fn state(&self) -> State {
        self.0.state()
    }
    fn health(&self) -> BoxFuture<'_, Vec<Health>> {
        Box::pin(self.0.health())
    }
}

/// Looks after a mounted server.
pub trait Checks: Send + Sync {
    fn state(&self) -> State;
    /// Quick checks; called by health endpoints, never on the data path.
    fn health(&self) -> BoxFuture<'_, Vec<Health>>;
}

/// A mounted server.
#[derive(Clone)]
pub struct Mount {
    pub name: ServerName,
    pub about: Cow<'static, str>,
    pub version: Cow<'static, str>,
    pub rate: Option<Rate>,
    pub tools: Vec<Arc<dyn AnyTool>>,
    pub resources: Vec<MountedResource>,
    pub prompts: Vec<MountedPrompt>,
    pub checks: Arc<dyn Checks>,
    /// What only an upstream has.
    pub foreign: Option<Foreign>,
}

impl Mount {
    /// Mount a built-in server. Panics if its name is not a valid server name, which the servers' own tests show.
    pub fn of<S: Server>(server: S) -> Self {
        let server = Arc::new(server);
        let tools = S::tools().into_iter().map(|def| mounted(def, &server)).collect();
        let resources = S::resources().into_iter().map(|def| def.mount(&server)).collect();
        let prompts = S::prompts().into_iter().map(|def| def.mount(&server)).collect();
        let name = match ServerName::new(S::NAME) {
            Ok(name) => name,
            Err(problem) => panic!("built-in server {:?}: {problem}", S::NAME),
        };
        let checks = Arc::new(Checked(server));
        let (about, version) = (S::ABOUT.into(), S::VERSION.into());
        Self { name, about, version, rate: S::RATE, tools, resources, prompts, checks, foreign: None }
    }

    pub fn state(&self) -> State {
        self.checks.state()
    }

    pub fn health(&self) -> BoxFuture<'_, Vec<Health>> {
        self.checks.health()
    }
}
