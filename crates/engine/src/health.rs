//! Health reports (CATALOGUE 2.10). (signatures)

use serde::Serialize;
use toolgate_core::server::{Health, Status};

/// `{server, status, timestamp, checks, version}`; one unhealthy check makes the whole unhealthy.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub server: String,
    pub status: Status,
    /// RFC 3339, UTC.
    pub timestamp: String,
    pub checks: Vec<Health>,
    pub version: String,
}
