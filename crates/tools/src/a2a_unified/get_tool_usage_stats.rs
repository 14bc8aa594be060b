//! Tool `get_tool_usage_stats`.

use super::A2aUnified;
use super::library::ToolUsage;
use crate::insight::{CacheStats, ToolUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::{Ctx, Server, Spec, Tool, ToolError};

/// How this server's tools are used: since the gateway started, and over the last hours across restarts; with the result
/// cache, the outgoing requests and the size of the database.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetToolUsageStats {
    /// Hours that `usage` looks back, 1 to 720.
    #[serde(default)]
    hours: Within<1, 720, 24>,
}

/// Figures.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Stats {
    cache: CacheStats,
    http_pool: HttpPool,
    /// Since the gateway started; only tools that were called.
    metrics: Vec<ToolUse>,
    database: Database,
    /// Over the last `hours`, also before the last start.
    usage: Vec<ToolUsage>,
    hours: u32,
    /// Start of the first hour in `usage`, RFC 3339, UTC.
    since: String,
}

/// Outgoing requests of all servers since the gateway started.
#[derive(Debug, Serialize, JsonSchema)]
pub struct HttpPool {
    requests: u64,
    failed: u64,
    /// Refused by the egress guard.
    refused: u64,
}

/// The database.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Database {
    /// File name, without its directory.
    path: String,
    /// Bytes on disk.
    size: u64,
}

impl Tool for GetToolUsageStats {
    type Server = A2aUnified;
    type Output = Stats;
    const SPEC: Spec = Spec::read("get_tool_usage_stats");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Stats, ToolError> {
        let hours = self.hours.get();
        let usage = server.library.usage(hours).await?;
        let http = server.host.http().stats();
        let mut metrics = server.insight.uses(A2aUnified::NAME);
        metrics.retain(|tool| tool.calls > 0);
        Ok(Stats {
            cache: server.insight.cache(),
            http_pool: HttpPool { requests: http.requests, failed: http.failed, refused: http.refused },
            metrics,
            database: Database { path: usage.file, size: usage.size },
            usage: usage.tools,
            hours,
            since: usage.since,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let stats = call::<GetToolUsageStats>(&server, json!({"hours": 2})).await.unwrap();
        assert_eq!(
            (&stats["cache"]["hit_rate"], &stats["metrics"][0]["success_rate"]),
            (&json!(0.5), &json!(0.5))
        );
        assert_eq!(stats["database"], json!({"path": "a2a-unified.db", "size": 4096}));
        assert_eq!((&stats["usage"][0]["calls"], &stats["hours"]), (&json!(2), &json!(2)));
        assert_eq!(stats["http_pool"], json!({"requests": 0, "failed": 0, "refused": 0}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        assert_eq!(refusal::<GetToolUsageStats>(&server, json!({"hours": 1.5})).await, Kind::Invalid);
    }
}
