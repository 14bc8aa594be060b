//! Tool `create_directory`.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Make a directory and its missing parents; fine when it is there already.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateDirectory {
    /// Absolute path, or one relative to the workspace.
    path: String,
}

/// The directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Made {
    path: String,
    success: bool,
}

impl Tool for CreateDirectory {
    type Server = DesktopCommander;
    type Output = Made;
    const SPEC: Spec = Spec::write("create_directory").idempotent().without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Made, ToolError> {
        server.host.files().create_directory(&self.path).await?;
        Ok(Made { path: self.path, success: true })
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
        let (server, dir) = super::super::server();
        for _ in 0..2 {
            call::<CreateDirectory>(&server, json!({"path": "a/b/c"})).await.unwrap();
        }
        assert!(dir.path().join("a/b/c").is_dir());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<CreateDirectory>(&server, json!({"path": "/usr/x"})).await, Kind::Forbidden);
        assert_eq!(refusal::<CreateDirectory>(&server, json!({"path": ""})).await, Kind::Invalid);
    }
}
