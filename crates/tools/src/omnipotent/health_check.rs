//! Tool `health_check`.

use super::Omnipotent;
use super::get_performance_stats::{Http, http, used};
use crate::insight::{CacheStats, ToolUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::server::Status;
use toolgate_core::{Ctx, Server, Spec, Tool, ToolError};

/// Whether this server and its machine are well, with the figures behind it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {}

/// A health report.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// `healthy`, `degraded` or `unhealthy`.
    status: String,
    version: String,
    /// RFC 3339, UTC.
    timestamp: String,
    uptime_seconds: f64,
    checks: Vec<Check>,
    cache_stats: CacheStats,
    /// Requests that tools sent out; not those that came in.
    outgoing_http: Http,
    metrics: Vec<ToolUse>,
}

/// One check.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    name: String,
    status: String,
    message: Option<String>,
}

fn word(status: Status) -> String {
    match status {
        Status::Healthy => "healthy",
        Status::Degraded => "degraded",
        Status::Unhealthy => "unhealthy",
    }
    .to_owned()
}

impl Tool for HealthCheck {
    type Server = Omnipotent;
    type Output = Report;
    const SPEC: Spec = Spec::read("health_check");

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Report, ToolError> {
        let checks = server.health().await;
        let worst = checks.iter().map(|c| c.status).max().unwrap_or(Status::Healthy);
        Ok(Report {
            status: word(worst),
            version: Omnipotent::VERSION.to_owned(),
            timestamp: jiff::Timestamp::now().to_string(),
            uptime_seconds: server.insight.uptime(),
            checks: checks
                .into_iter()
                .map(|c| Check { name: c.name, status: word(c.status), message: c.message })
                .collect(),
            cache_stats: server.insight.cache(),
            outgoing_http: http(server),
            metrics: used(server),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let report = call::<HealthCheck>(&server, json!({})).await.unwrap();
        let names: Vec<&str> =
            report["checks"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["cpu", "memory", "disk"]);
        assert!(["healthy", "degraded", "unhealthy"].contains(&report["status"].as_str().unwrap()));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<HealthCheck>(&server, json!({"deep": true})).await, Kind::Invalid);
    }
}
