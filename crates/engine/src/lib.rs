//! The data path: one catalogue, one place that decides, one record for every call.
//!
//! Called by the edge (`http`), by `toolgate stdio` and by the command line. Names no tool server and no database:
//! the binary hands it mounted servers, policy, keys and an open journal. `docs/request.md` follows a call through it.

pub mod catalogue;
pub mod health;
pub mod journal;
pub mod mcp;
pub mod settings;

pub use catalogue::{Entry, ServerView};
pub use settings::Settings;

use std::sync::Arc;
use std::time::Duration;
use toolgate_core::policy::Policy;
use toolgate_core::{BuiltIn, Call, Caller, Error, Outcome};

/// What is needed to verify an API key. The secret itself is never stored.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The public part of the key, between `tg_` and the second `_`.
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// SHA-256 of the whole key text.
    pub hash: [u8; 32],
    pub roles: Vec<Arc<str>>,
    /// Seconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine {}

impl Engine {
    pub fn new(
        settings: Settings,
        servers: Vec<BuiltIn>,
        policy: Policy,
        keys: Vec<ApiKey>,
        journal: journal::Journal,
    ) -> Result<Self, Error> {
        let _ = (settings, servers, policy, keys, journal);
        todo!()
    }

    /// Who presents this key? `Unauthenticated` when nobody does, whatever the reason; the log has the reason.
    pub fn identify(&self, key: Option<&str>) -> Result<Arc<Caller>, Error> {
        let _ = key;
        todo!()
    }

    /// Tools this caller may call, in catalogue order; with a scope, one server's. Decided by the same function as `call`.
    pub fn tools(&self, caller: &Caller, scope: Option<&str>) -> Result<Vec<Arc<Entry>>, Error> {
        let _ = (caller, scope);
        todo!()
    }

    /// Servers of which this caller may see something.
    pub fn servers(&self, caller: &Caller) -> Vec<ServerView> {
        let _ = caller;
        todo!()
    }

    /// Decide, run, record. The only path to a tool. Dropping the future cancels the call (and records that).
    pub async fn call(&self, call: Call) -> Result<Outcome, Error> {
        let _ = call;
        todo!()
    }

    /// Start or stop a server: a stopped one lists nothing and refuses calls. For administrators; recorded.
    pub fn set_running(&self, caller: &Caller, server: &str, running: bool) -> Result<ServerView, Error> {
        let _ = (caller, server, running);
        todo!()
    }

    /// Whether this caller may use the administration and the gateway-wide health and metrics (`admin`, or a `*:health` or `monitoring:read` permission for the latter).
    pub fn may_observe(&self, caller: &Caller) -> bool {
        let _ = caller;
        todo!()
    }

    /// Swap keys or policy; the next call sees the new ones.
    pub fn replace_keys(&self, keys: Vec<ApiKey>) {
        let _ = keys;
        todo!()
    }

    pub fn replace_policy(&self, policy: Policy) {
        let _ = policy;
        todo!()
    }

    /// Prometheus text exposition (version 0.0.4); with a scope, one server's.
    pub fn metrics(&self, scope: Option<&str>) -> String {
        let _ = scope;
        todo!()
    }

    /// Health of the gateway, or of one server.
    pub async fn health(&self, scope: Option<&str>) -> Result<health::Report, Error> {
        let _ = scope;
        todo!()
    }

    /// Count a connection in or out for `mcp_active_connections{server}`; `None` is the aggregate endpoint.
    pub fn connection(&self, scope: Option<&str>) -> ConnectionGuard {
        let _ = scope;
        todo!()
    }

    /// Refuse new calls, wait for the running ones at most `limit`, flush and close the journal.
    pub async fn drain(&self, limit: Duration) {
        let _ = limit;
        todo!()
    }
}

/// Counts one open connection until dropped.
pub struct ConnectionGuard {}
