//! Tool `get_error_stats`.

use super::A2aUnified;
use super::library::ErrorCount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// How many calls of each tool of this server failed lately.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetErrorStats {
    /// Hours to look back, 1 to 720.
    #[serde(default)]
    hours: Within<1, 720, 24>,
}

/// Errors by tool, most first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorStats {
    errors: Vec<ErrorCount>,
    total_errors: u64,
    hours: u32,
}

impl Tool for GetErrorStats {
    type Server = A2aUnified;
    type Output = ErrorStats;
    const SPEC: Spec = Spec::read("get_error_stats");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<ErrorStats, ToolError> {
        let hours = self.hours.get();
        let errors = server.library.error_stats(hours).await?;
        Ok(ErrorStats { total_errors: errors.iter().map(|e| e.count).sum(), errors, hours })
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
        let stats = call::<GetErrorStats>(&server, json!({})).await.unwrap();
        let errors = json!([{"tool": "recall", "count": 24}, {"tool": "remember", "count": 1}]);
        assert_eq!(stats, json!({"errors": errors, "total_errors": 25, "hours": 24}));
        let most = call::<GetErrorStats>(&server, json!({"hours": "720"})).await.unwrap();
        assert_eq!(most["hours"], 720);
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        for hours in [-1, 0, 721, 1_000_000] {
            assert_eq!(refusal::<GetErrorStats>(&server, json!({"hours": hours})).await, Kind::Invalid);
        }
        assert_eq!(refusal::<GetErrorStats>(&server, json!({"days": 1})).await, Kind::Invalid);
    }
}
