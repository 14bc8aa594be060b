//! `Library`: what this server keeps, as it needs it. The binary answers it from the database.
//!
//! Called by the tools, each with arguments it has checked. An implementation gives errors whose text is for the model:
//! no path, no secret. Times are RFC 3339, UTC.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::time::Duration;
use toolgate_core::ToolError;
use toolgate_core::tool::BoxFuture;

pub type Answer<'a, T> = BoxFuture<'a, Result<T, ToolError>>;

/// Memories, knowledge, SQL over both, and statistics of this server's tools.
pub trait Library: Send + Sync {
    /// Store a value under a key, replacing the one before it. Whether the key is a new one.
    fn remember<'a>(&'a self, key: &'a str, value: &'a str, category: &'a str) -> Answer<'a, bool>;

    /// The memory of that key.
    fn recall<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Memory>>;

    /// Memories of one category or of all, newest first, at most `limit` (1 to 1000) and at most as fit an answer.
    fn memories<'a>(&'a self, category: Option<&'a str>, limit: u32) -> Answer<'a, Memories>;

    /// Keys that begin with these characters, newest first, at most `limit` (1 to 1000).
    fn keys<'a>(&'a self, beginning: &'a str, limit: u32) -> Answer<'a, Vec<String>>;

    /// Categories of memories.
    fn categories(&self) -> Answer<'_, Vec<String>>;

    /// Full-text search in `source`: `all`, `memory`, `knowledge` or the source of documents. The best first, at most
    /// `limit` (1 to 100).
    fn search<'a>(&'a self, query: &'a str, source: &'a str, limit: u32) -> Answer<'a, Vec<Hit>>;

    /// Names of the sources that documents were imported from.
    fn sources(&self) -> Answer<'_, Vec<String>>;

    /// Store documents, all or none; one of the same source and title is replaced. Gives their numbers.
    fn import(&self, documents: Vec<Document>) -> Answer<'_, Vec<i64>>;

    /// Numbers and titles of documents, newest first, at most `limit` (1 to 1000).
    fn titles(&self, limit: u32) -> Answer<'_, Vec<(i64, String)>>;

    /// The document of that number.
    fn document(&self, id: i64) -> Answer<'_, Option<Document>>;

    /// Run one statement. With `write` false it cannot change anything, whatever it says.
    fn sql<'a>(&'a self, query: &'a str, params: Vec<Value>, write: bool, bounds: Bounds)
    -> Answer<'a, Rows>;

    /// Errors per tool in the last `hours` (1 to 720), most first.
    fn error_stats(&self, hours: u32) -> Answer<'_, Vec<ErrorCount>>;

    /// Errors of calls by `caller`, newest first, at most `limit` (1 to 1000).
    fn recent_errors<'a>(&'a self, caller: &'a str, limit: u32) -> Answer<'a, Vec<LoggedError>>;

    /// Calls in the last `hours` (1 to 720), and the database.
    fn usage(&self, hours: u32) -> Answer<'_, Usage>;
}

/// One memory.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Memory {
    pub key: String,
    pub value: String,
    pub category: String,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC.
    pub updated_at: String,
}

/// Memories, newest first.
#[derive(Debug, Clone, Default)]
pub struct Memories {
    pub items: Vec<Memory>,
    /// Whether there are more.
    pub truncated: bool,
}

/// One thing found.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Hit {
    /// Title of a document, or key of a memory.
    pub title: String,
    /// Between 0 and 1. Above 0.5: all words of the query occur.
    pub relevance: f64,
    /// `memory`, or the source of the document.
    pub source: String,
    /// The words around the match.
    pub snippet: String,
    /// Key of a memory, for `recall`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Category of a memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Number of a document: `SELECT body FROM knowledge WHERE id = ?` has all of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// RFC 3339, UTC.
    pub updated_at: String,
}

/// A document to import.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// At most 512 bytes; unique within its source.
    pub title: String,
    /// The text, at most 1 MiB.
    pub body: String,
    /// Where it is from, e.g. `handbook`; at most 128 bytes. Not `all`, `memory` or `knowledge`.
    pub source: String,
    /// `http` or `https` address that search results show.
    #[serde(default)]
    pub url: Option<String>,
}

/// Bounds of one statement.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    pub timeout: Duration,
    pub max_rows: usize,
    /// Size of the rows as JSON, about.
    pub max_bytes: usize,
}

/// What a statement answered.
#[derive(Debug, Clone, Default)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// Rows are missing or cells are cut.
    pub truncated: bool,
    /// Rows inserted, updated or deleted.
    pub affected: u64,
}

/// Errors of one tool.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ErrorCount {
    pub tool: String,
    pub count: u64,
}

/// One error.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct LoggedError {
    pub tool: String,
    pub error: String,
    /// RFC 3339, UTC.
    pub timestamp: String,
}

/// Calls of one tool, also before the last start of the gateway.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ToolUsage {
    pub tool: String,
    pub calls: u64,
    pub errors: u64,
    pub avg_latency_ms: f64,
    /// Between 0 and 1.
    pub success_rate: f64,
    /// RFC 3339, UTC.
    pub last_called: Option<String>,
}

/// Calls of a span of time, and the database they are kept in.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Start of the first hour counted, RFC 3339, UTC: hours are counted whole.
    pub since: String,
    pub tools: Vec<ToolUsage>,
    /// The database's file name, without its directory.
    pub file: String,
    /// Bytes on disk.
    pub size: u64,
}
