//! `Spec`: a tool's declared facts, and `Effect`, what it does to the world.
//!
//! Written once beside each tool; hints, default rights, retry, cache and intent records are derived from it, so that
//! what a client is told and what the gateway enforces cannot disagree.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What a call does to the world. Ordered: each includes the ones before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    Read,
    Write,
    Destroy,
}

impl Effect {
    pub const ALL: [Effect; 3] = [Effect::Read, Effect::Write, Effect::Destroy];

    pub const fn label(self) -> &'static str {
        match self {
            Effect::Read => "read",
            Effect::Write => "write",
            Effect::Destroy => "destroy",
        }
    }
}

/// A tool's declared facts.
#[derive(Debug, Clone, Copy)]
pub struct Spec {
    /// Tool name, unique in its server.
    pub name: &'static str,
    /// The least effect a call of it has.
    pub effect: Effect,
    /// The greatest effect a call of it can have; above `effect` when it depends on the arguments.
    pub most: Effect,
    /// Hard limit of one call.
    pub timeout: Duration,
    /// How long a result may be served again to callers of the same rights. Only for calls that read.
    pub cache: Option<Duration>,
    /// Bytes of result kept; the rest is cut and said.
    pub max_output: usize,
    /// Other names it answers to.
    pub aliases: &'static [&'static str],
    /// Whether it reaches things outside this machine (MCP `openWorldHint`).
    pub open_world: bool,
    /// Whether repeating it changes nothing more (MCP `idempotentHint`).
    pub idempotent: bool,
    /// Whether its faults tell of one dependency, so that a circuit breaker makes sense. Not so where the caller chooses
    /// the target: one caller's dead host must not close the tool to the others.
    pub breaker: bool,
    /// What it returns is a whole result (`content::Shown`), not data.
    pub shows: bool,
    /// Whether it may become a task, for a client that can take one.
    pub task: Task,
}

/// Whether a call may be answered with a task, and the result fetched later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Never,
    /// Where the client can take one.
    Optional,
    /// Always; a client that cannot take one is refused.
    Required,
    /// The upstream that it is of says so, call by call (`Link::defer`).
    Upstream,
}

impl Spec {
    const fn new(name: &'static str, effect: Effect) -> Self {
        Self {
            name,
            effect,
            most: effect,
            timeout: Duration::from_secs(30),
            cache: None,
            max_output: 10 * 1024 * 1024,
            aliases: &[],
            open_world: false,
            idempotent: matches!(effect, Effect::Read),
            breaker: true,
            shows: false,
            task: Task::Never,
        }
    }

    pub const fn read(name: &'static str) -> Self {
        Self::new(name, Effect::Read)
    }

    pub const fn write(name: &'static str) -> Self {
        Self::new(name, Effect::Write)
    }

    pub const fn destroy(name: &'static str) -> Self {
        Self::new(name, Effect::Destroy)
    }

    /// The arguments may raise the effect up to `most` (see `Tool::effect`).
    pub const fn up_to(mut self, most: Effect) -> Self {
        self.most = most;
        self.idempotent = false;
        self
    }

    /// It returns `content::Shown`: text, pictures, sound, resources.
    pub const fn shows(mut self) -> Self {
        self.shows = true;
        self
    }

    pub const fn task(mut self, task: Task) -> Self {
        self.task = task;
        self
    }

    pub const fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }

    pub const fn cache(mut self, ttl: Duration) -> Self {
        self.cache = Some(ttl);
        self
    }

    pub const fn max_output(mut self, bytes: usize) -> Self {
        self.max_output = bytes;
        self
    }

    pub const fn aliases(mut self, names: &'static [&'static str]) -> Self {
        self.aliases = names;
        self
    }

    pub const fn open_world(mut self) -> Self {
        self.open_world = true;
        self
    }

    pub const fn idempotent(mut self) -> Self {
        self.idempotent = true;
        self
    }

    /// The caller chooses the target (a URL, a command): no circuit breaker.
    pub const fn without_breaker(mut self) -> Self {
        self.breaker = false;
        self
    }
}

/// Seconds, for `Spec` constants.
pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}
