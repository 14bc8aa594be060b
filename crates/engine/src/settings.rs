//! What the operator can set of the data path. A section of `toolgate.yaml`, so every field has a default and a doc.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use toolgate_core::unit::{Rate, Size, Span};
use toolgate_wire::line::MAX_LINE;
use toolgate_wire::message::{Bounds, MAX_BATCH};
use toolgate_wire::scan::MAX_DEPTH;
use toolgate_wire::sse::MAX_EVENT;

// The parser of JSON gives up at 128.
const MAX_PARSED: usize = 100;

/// Limits of the data path (`limits:` in `toolgate.yaml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct Settings {
    /// Calls of one caller, all tools together.
    pub per_caller: Rate,
    /// Calls of one caller to one tool, unless the policy, `servers` or the server itself says otherwise.
    pub per_tool: Rate,
    /// Longest a call may run, whatever the tool asks for: one that reports progress ends here, one that is silent at its
    /// tool's own timeout.
    pub max_duration: Span,
    /// Largest result of a call.
    pub max_output: Size,
    /// Calls of one server running at once.
    pub concurrency: usize,
    /// Calls of one server waiting for a slot; more are refused.
    pub queue: usize,
    /// Result cache.
    pub cache: Cache,
    /// Circuit breaker, one for each tool.
    pub breaker: Breaker,
    /// What all upstreams together may list.
    pub catalogues: Catalogues,
    /// What MCP clients may send and hold open.
    pub clients: Clients,
    /// Tries of a failed call that only reads, the first included.
    pub read_attempts: u32,
    /// Exceptions for single servers, by name: built-in ones and upstreams, also those that are added later.
    pub servers: BTreeMap<String, ServerSettings>,
    /// What a call does when the journal cannot be written.
    pub journal_failure: JournalFailure,
}

/// Bounds of the result cache.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cache {
    pub max_entries: usize,
    pub max_bytes: Size,
}

/// Bounds of the lists of all upstreams together. One that breaks them keeps what it offered before, and its status says so.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Catalogues {
    /// Bytes of the lists, as the upstreams write them.
    pub max_bytes: Size,
    /// Tools, prompts, resources and templates.
    pub max_items: usize,
}

/// Circuit breaker of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Faults in a row that open it.
    pub failures: u32,
    /// Time it stays open before one probe is let through.
    pub open_for: Span,
}

/// What MCP clients may send and hold open, over every transport. Sessions are bounded by `http.sessions`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Clients {
    /// Nesting of objects and arrays in a message.
    pub max_depth: usize,
    /// Messages in a batch, which only protocol version 2025-03-26 has.
    pub max_batch: usize,
    /// Longest line on stdio; a longer one is skipped and refused.
    pub max_line: Size,
    /// Largest event that a call sends before its answer: larger log messages and progress are left out, a larger question
    /// to the client is refused.
    pub max_event: Size,
    /// Resources that one session, or one `subscriptions/listen`, may subscribe to.
    pub subscriptions: usize,
    /// Streams of `subscriptions/listen` that one caller may have open.
    pub streams_per_caller: usize,
    /// Those of all callers.
    pub streams: usize,
    /// Tasks that one caller may have, ended ones included until they are forgotten.
    pub tasks_per_caller: usize,
    /// Those of all callers.
    pub tasks: usize,
}

/// Exceptions for one server.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ServerSettings {
    pub per_tool: Option<Rate>,
    pub concurrency: Option<usize>,
    pub queue: Option<usize>,
}

/// What a call does when its record cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum JournalFailure {
    /// The call is refused or its answer withheld.
    #[default]
    Refuse,
    /// The answer is given, the loss counted and logged.
    DropAndCount,
}

impl Default for Settings {
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            per_caller: Rate { calls: 1000, per: minute },
            per_tool: Rate { calls: 100, per: minute },
            max_duration: Span(Duration::from_secs(3600)),
            max_output: Size(10 << 20),
            concurrency: 64,
            queue: 1000,
            cache: Cache::default(),
            breaker: Breaker::default(),
            catalogues: Catalogues::default(),
            clients: Clients::default(),
            read_attempts: 2,
            servers: BTreeMap::new(),
            journal_failure: JournalFailure::Refuse,
        }
    }
}

impl Default for Cache {
    fn default() -> Self {
        Self { max_entries: 2000, max_bytes: Size(64 << 20) }
    }
}

impl Default for Catalogues {
    fn default() -> Self {
        Self { max_bytes: Size(64 << 20), max_items: 50_000 }
    }
}

impl Default for Clients {
    fn default() -> Self {
        Self {
            max_depth: MAX_DEPTH,
            max_batch: MAX_BATCH,
            max_line: Size(MAX_LINE as u64),
            max_event: Size(MAX_EVENT as u64),
            subscriptions: 1000,
            streams_per_caller: 100,
            streams: 10_000,
            tasks_per_caller: 256,
            tasks: 4096,
        }
    }
}

impl Clients {
    /// Bounds on one body of theirs.
    pub fn of_body(&self) -> Bounds {
        Bounds { depth: self.max_depth, batch: self.max_batch }
    }

    /// Every problem, each with its path below `limits`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut bound = |path: &str, fits: bool, want: &str| {
            if !fits {
                problems.push(format!("limits.clients.{path}: must be {want}"));
            }
        };
        // What a message needs at least, and what its parser takes at most.
        bound("max_depth", (8..=MAX_PARSED).contains(&self.max_depth), "from 8 to 100");
        bound("max_batch", (1..=MAX_BATCH).contains(&self.max_batch), "from 1 to 100");
        bound("max_line", (1 << 10..=1 << 30).contains(&self.max_line.0), "from 1KiB to 1GiB");
        bound("max_event", (1 << 10..=1 << 30).contains(&self.max_event.0), "from 1KiB to 1GiB");
        bound("subscriptions", (1..=100_000).contains(&self.subscriptions), "from 1 to 100000");
        bound(
            "streams_per_caller",
            (1..=self.streams).contains(&self.streams_per_caller),
            "from 1 to limits.clients.streams",
        );
        bound("streams", (1..=1_000_000).contains(&self.streams), "from 1 to 1000000");
        bound(
            "tasks_per_caller",
            (1..=self.tasks).contains(&self.tasks_per_caller),
            "from 1 to limits.clients.tasks",
        );
        bound("tasks", (1..=100_000).contains(&self.tasks), "from 1 to 100000");
        problems
    }
}

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open_for: Span(Duration::from_secs(60)) }
    }
}
