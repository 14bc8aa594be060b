//! Tool `get_performance_stats`.

use super::Omnipotent;
use crate::insight::{CacheStats, ToolUse};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Server, Spec, Tool, ToolError};

/// Calls, errors, latency and success rate of each tool of this server since the gateway started, with the result
/// cache and the outgoing HTTP requests.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetPerformanceStats {}

/// Figures since the start.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Performance {
    /// Only tools that were called.
    tools: Vec<ToolUse>,
    cache: CacheStats,
    http: Http,
}

/// Outgoing requests of all servers.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Http {
    pub(super) requests: u64,
    pub(super) failed: u64,
    /// Refused by the egress guard.
    pub(super) refused: u64,
}

pub(super) fn http(server: &Omnipotent) -> Http {
    let stats = server.host.http().stats();
    Http { requests: stats.requests, failed: stats.failed, refused: stats.refused }
}

pub(super) fn used(server: &Omnipotent) -> Vec<ToolUse> {
    let mut uses = server.insight.uses(Omnipotent::NAME);
    uses.retain(|tool| tool.calls > 0);
    uses
}

impl Tool for GetPerformanceStats {
    type Server = Omnipotent;
    type Output = Performance;
    const SPEC: Spec = Spec::read("get_performance_stats").aliases(&["get_metrics"]);

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Performance, ToolError> {
        Ok(Performance { tools: used(server), cache: server.insight.cache(), http: http(server) })
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
        let stats = call::<GetPerformanceStats>(&server, json!({})).await.unwrap();
        assert_eq!(stats["tools"][0]["success_rate"], 0.5);
        assert_eq!(stats["cache"]["hit_rate"], 0.5);
        assert_eq!(stats["http"]["requests"], 0);
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<GetPerformanceStats>(&server, json!({"since": 1})).await, Kind::Invalid);
    }
}
