//! Tool `get_recent_errors`.

use super::A2aUnified;
use super::library::LoggedError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// What went wrong in your own last calls of this server's tools, the newest first. Errors of other callers are not
/// shown.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetRecentErrors {
    /// Errors at most, 1 to 1000.
    #[serde(default)]
    limit: Within<1, 1000, 10>,
}

/// Errors, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct RecentErrors {
    errors: Vec<LoggedError>,
    count: usize,
}

impl Tool for GetRecentErrors {
    type Server = A2aUnified;
    type Output = RecentErrors;
    // No cache: it would serve one caller's errors to others of the same rights.
    const SPEC: Spec = Spec::read("get_recent_errors");

    async fn call(self, server: &A2aUnified, ctx: &Ctx) -> Result<RecentErrors, ToolError> {
        let errors = server.library.recent_errors(&ctx.caller.id, self.limit.get()).await?;
        Ok(RecentErrors { count: errors.len(), errors })
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
        let recent = call::<GetRecentErrors>(&server, json!({"limit": "7"})).await.unwrap();
        let error =
            json!({"tool": "recall", "error": "7 errors of key:test", "timestamp": "2026-01-02T03:04:05Z"});
        assert_eq!(recent, json!({"errors": [error], "count": 1}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        assert_eq!(refusal::<GetRecentErrors>(&server, json!({"limit": "x"})).await, Kind::Invalid);
        assert_eq!(refusal::<GetRecentErrors>(&server, json!({"caller": "key:other"})).await, Kind::Invalid);
    }
}
