//! `Record`: the one thing that is left of a call, journaled, counted and logged.
//!
//! Made by the engine: an intent before a call that changes something runs, and one answer record for every call,
//! refused ones included. Member names are the journal's format.

use crate::kind::Kind;
use crate::spec::Effect;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// What a record tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// A call that will change something is about to run.
    Intent,
    /// What came of a call.
    Answer,
    /// Something that is not a call: a key made or revoked, a start, a stop.
    Event,
}

/// What was decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    Allow,
    Deny,
}

/// One entry of the journal, without its place in the chain (`seq`, `prev`), which the journal adds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// Call id (UUID version 7); intent and answer of one call share it.
    pub id: String,
    pub phase: Phase,
    /// RFC 3339, UTC, microseconds.
    pub time: String,
    pub caller: Arc<str>,
    pub caller_name: Arc<str>,
    pub roles: Arc<[Arc<str>]>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client: Option<String>,
    /// Server and tool as the catalogue names them; what was asked for, when it names nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<Arc<str>>,
    pub tool: Arc<str>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<Effect>,
    /// `sha256:` and the digest of the canonical arguments (RFC 8785).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args_digest: Option<String>,
    /// The arguments with secrets masked and long texts cut.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<serde_json::Value>,
    pub decision: Decision,
    /// The rule that decided.
    pub rule: Arc<str>,
    /// `ok`, or the label of the error's kind; absent in an intent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
    /// The public text of a refusal or failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Whether the result came from the cache.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cached: bool,
    /// Microseconds from the call's arrival to this record.
    pub duration_us: u64,
    /// Bytes of the result.
    #[serde(default)]
    pub bytes: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
}

impl Record {
    /// The `outcome` text of a kind, or of success.
    pub fn outcome_of(kind: Option<Kind>) -> String {
        kind.map_or("ok", Kind::label).to_owned()
    }
}
