//! What the operator can set of the data path. A section of `toolgate.yaml`, so every field has a default and a doc.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use toolgate_core::unit::{Rate, Size, Span};

/// Limits of the data path (`limits:` in `toolgate.yaml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
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
    /// Tries of a failed call that only reads, the first included.
    pub read_attempts: u32,
    /// Exceptions for single servers, by name.
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

/// Circuit breaker of a tool.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Breaker {
    /// Faults in a row that open it.
    pub failures: u32,
    /// Time it stays open before one probe is let through.
    pub open_for: Span,
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

impl Default for Breaker {
    fn default() -> Self {
        Self { failures: 5, open_for: Span(Duration::from_secs(60)) }
    }
}
