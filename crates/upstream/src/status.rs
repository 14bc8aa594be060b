//! `Status` and `Report`: how an upstream is, and what came of trying one out. For people and the admin API.

use serde::Serialize;
use serde_json::Value;
use toolgate_core::foreign::SetAside;
use toolgate_wire::Era;

/// What an upstream is doing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Connecting,
    Ready,
    Failing {
        /// Public text; names no secret.
        why: String,
        /// Unix time in milliseconds.
        since_ms: u64,
        /// Milliseconds until the next try.
        next_try_ms: u64,
    },
    Disabled,
}

/// How an upstream is. What it offers is of its last good catalogue.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Status {
    pub name: String,
    #[serde(flatten)]
    pub state: State,
    /// `modern` or `legacy`, once it was connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub era: Option<&'static str>,
    /// Version of MCP that is spoken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The `Implementation` that it says it is.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub server: Value,
    pub tools: usize,
    pub prompts: usize,
    pub resources: usize,
    pub set_aside: Vec<SetAside>,
    pub sessions: usize,
    /// Calls that wait for answers of their clients.
    pub parked: usize,
}

impl Status {
    pub(crate) fn new(name: &str, state: State) -> Self {
        Self {
            name: name.to_owned(),
            state,
            era: None,
            version: None,
            server: Value::Null,
            tools: 0,
            prompts: 0,
            resources: 0,
            set_aside: Vec::new(),
            sessions: 0,
            parked: 0,
        }
    }
}

pub(crate) fn era(era: Era) -> &'static str {
    match era {
        Era::Modern => "modern",
        Era::Legacy => "legacy",
    }
}

/// What came of trying an upstream out.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    pub name: String,
    /// Whether every step went well.
    pub ok: bool,
    pub steps: Vec<Step>,
}

/// One step of a trial, in the order taken. The first that fails is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `settings`, `connect`, `lists`, `offers`.
    pub name: &'static str,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub detail: String,
    pub took_ms: u64,
}
