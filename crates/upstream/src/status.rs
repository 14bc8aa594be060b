//! `Status` and `Report`: how an upstream is, and what came of trying one out. For people and the admin API.

use crate::transport::Failure;
use serde::Serialize;
use serde_json::Value;
use toolgate_core::Kind;
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

/// What kind of thing is wrong, for whoever says what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    Settings,
    /// It wants to know who asks (HTTP 401).
    Credentials,
    /// It takes no requests for this host name.
    HostName,
    /// It knows who asks and refuses (HTTP 403).
    Rights,
    /// There is no endpoint at this path (HTTP 404, 405, 410).
    Path,
    /// A rule of the gateway forbids it.
    Rule,
    /// No connection: nothing answers, the name is unknown, the certificate is not trusted.
    Unreachable,
    /// It took longer than it may.
    Slow,
    /// The program could not be started.
    NotStarted,
    /// The program is gone, or was ended.
    Ended,
    /// What answers is no such server, or breaks the protocol.
    Broken,
    /// It is well, but for some things that are not offered.
    SetAside,
}

impl Cause {
    /// Of an upstream that is a program, or an endpoint.
    pub(crate) fn of(failure: &Failure, program: bool) -> Self {
        let of_host = || {
            let body = failure.body.as_deref().unwrap_or_default();
            String::from_utf8_lossy(body).to_ascii_lowercase().contains("host")
        };
        match (failure.status, failure.kind) {
            (Some(401), _) => Self::Credentials,
            (Some(421), _) => Self::HostName,
            (Some(403), _) if of_host() => Self::HostName,
            (Some(403), _) => Self::Rights,
            (Some(404 | 405 | 410), _) => Self::Path,
            (_, Kind::Timeout) => Self::Slow,
            (_, Kind::Forbidden) => Self::Rule,
            (_, Kind::Invalid | Kind::Unsupported) => Self::Settings,
            (None, _) if program && failure.unseen => Self::NotStarted,
            (None, Kind::Unavailable) if program => Self::Ended,
            (None, _) if failure.unseen => Self::Unreachable,
            _ => Self::Broken,
        }
    }
}

/// One step of a trial, in the order taken. The first that fails is the last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `settings`, `connect`, `lists`, `offers`.
    pub name: &'static str,
    pub ok: bool,
    /// What kind of thing is wrong, if something is.
    pub cause: Option<Cause>,
    /// What was found, or what is wrong.
    pub detail: String,
    pub took_ms: u64,
}
