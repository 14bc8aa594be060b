//! Upstream servers as the admin API has them: the trait that the binary fills, and what crosses it.
//!
//! The edge checks who asks and how large it is; what an upstream is, where it is kept and what of it may be shown is the
//! binary's. Absent on purpose: any knowledge of its settings, which are JSON here.

use http::HeaderName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::sync::Arc;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Caller, Error};

/// An upstream server.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Upstream {
    pub name: String,
    pub enabled: bool,
    /// `file` (edited there), `cli`, `api` or `import`.
    pub source: String,
    /// `http` or `stdio`.
    pub transport: String,
    /// What is not the default, as `upstreams.NAME` of `toolgate config schema` says. Values of `env` and `headers` are shown
    /// as references, and as `***` where they are none.
    pub settings: Map<String, Value>,
    /// Where an imported one comes from, with digests.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// RFC 3339, UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Why it cannot be used as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// State, era, what it offers, what is set aside and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// What came of putting one.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Put {
    /// False when it took the place of another.
    pub added: bool,
    /// Fields whose literal secrets were put into files, e.g. `headers.Authorization`.
    pub secrets_kept: Vec<String>,
    pub warnings: Vec<String>,
    pub upstream: Upstream,
}

/// What came of a trial.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Trial {
    pub ok: bool,
    /// In the order taken; the first that fails is the last.
    pub steps: Vec<TrialStep>,
}

/// One step of a trial.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct TrialStep {
    pub name: String,
    pub ok: bool,
    /// What was found, or what is wrong.
    pub detail: String,
    pub took_ms: u64,
}

/// A document to import.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Import {
    /// A client's configuration (`mcpServers` or `servers`), or entries of a registry (`server.json`).
    pub document: Map<String, Value>,
    /// Only the servers of these names.
    #[serde(default)]
    pub only: Vec<String>,
    /// Whether they are stored; without it the answer says what would be.
    #[serde(default)]
    pub apply: bool,
}

/// What an import does, or would do.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Imported {
    /// Whether anything was stored.
    pub applied: bool,
    pub servers: Vec<ImportedServer>,
    pub skipped: Vec<Skipped>,
}

/// A server of an import.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ImportedServer {
    pub name: String,
    /// Its name in the document.
    pub original: String,
    /// `add`, or `replace` where there is one of this name.
    pub change: String,
    pub settings: Map<String, Value>,
    pub notes: Vec<String>,
}

/// A server of a document that cannot be imported.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Skipped {
    pub original: String,
    pub reason: String,
}

/// What the admin API needs of the upstreams. Every change is journaled and on disk when its future ends.
pub trait UpstreamAdmin: Send + Sync {
    /// Names of the headers of a client that any of them may be given; asked for each request.
    fn forwarded(&self) -> Arc<[HeaderName]>;
    /// All, by name.
    fn list(&self) -> BoxFuture<'_, Result<Vec<Upstream>, Error>>;
    /// `NotFound` when there is none of this name.
    fn get(&self, name: String) -> BoxFuture<'_, Result<Upstream, Error>>;
    /// Add, or replace: `Invalid` settings; `Conflict` with a built-in server or the configuration file.
    fn put(
        &self,
        caller: Arc<Caller>,
        name: String,
        settings: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Put, Error>>;
    fn remove(&self, caller: Arc<Caller>, name: String) -> BoxFuture<'_, Result<(), Error>>;
    /// Connect to it for this alone.
    fn test(&self, name: String) -> BoxFuture<'_, Result<Trial, Error>>;
    fn import(&self, caller: Arc<Caller>, import: Import) -> BoxFuture<'_, Result<Imported, Error>>;
}
