//! Tool `clear_cache`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Forget every cached tool result, so that the next calls look afresh.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ClearCache {}

/// What was forgotten.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cleared {
    success: bool,
    message: String,
}

impl Tool for ClearCache {
    type Server = Omnipotent;
    type Output = Cleared;
    const SPEC: Spec = Spec::write("clear_cache").idempotent();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Cleared, ToolError> {
        let count = server.insight.clear_cache();
        Ok(Cleared { success: true, message: format!("{count} cached results forgotten") })
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
        let done = call::<ClearCache>(&server, json!({})).await.unwrap();
        assert_eq!(done, json!({"success": true, "message": "3 cached results forgotten"}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ClearCache>(&server, json!({"all": true})).await, Kind::Invalid);
    }
}
