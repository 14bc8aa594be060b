//! Health reports (CATALOGUE 2.10): named checks, run at once; one unhealthy check makes the whole unhealthy.

use serde::Serialize;
use std::time::Duration;
use toolgate_core::server::{Health, State, Status};
use toolgate_core::tool::BoxFuture;

/// The binary's checks of what the engine does not know: database, machine, disk.
pub type Checks = Box<dyn Fn() -> BoxFuture<'static, Vec<Health>> + Send + Sync>;

/// `{server, status, timestamp, checks, version}`.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub server: String,
    pub status: Status,
    /// RFC 3339, UTC.
    pub timestamp: String,
    pub checks: Vec<Health>,
    pub version: String,
}

// Longest a set of checks may take.
const LIMIT: Duration = Duration::from_secs(5);

impl Report {
    pub(crate) fn new(server: &str, version: &str, checks: Vec<Health>) -> Self {
        let status = checks.iter().map(|c| c.status).max().unwrap_or(Status::Healthy);
        let timestamp = crate::journal::now();
        Self { server: server.to_owned(), status, timestamp, checks, version: version.to_owned() }
    }
}

pub(crate) async fn limited(name: &str, checks: impl Future<Output = Vec<Health>>) -> Vec<Health> {
    tokio::time::timeout(LIMIT, checks)
        .await
        .unwrap_or_else(|_| vec![Health::of(name, Status::Unhealthy, "did not answer within 5 s")])
}

/// The check that says whether a server has what it needs.
pub(crate) fn of_state(state: &State) -> Health {
    match state {
        State::Ready => Health::healthy("configuration"),
        State::Unconfigured { missing } => {
            Health::of("configuration", Status::Degraded, format!("set {}", missing.join(", ")))
        }
    }
}
