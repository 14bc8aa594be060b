//! Tool `move_file`.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};

/// Move or rename a file or directory within the writable directories. Nothing is overwritten unless `replace` is set.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MoveFile {
    source: String,
    destination: String,
    /// Replace a file that is there.
    #[serde(default, deserialize_with = "param::boolean")]
    replace: bool,
}

/// What was moved.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Moved {
    source: String,
    destination: String,
    success: bool,
}

impl Tool for MoveFile {
    type Server = DesktopCommander;
    type Output = Moved;
    const SPEC: Spec = Spec::write("move_file").without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Moved, ToolError> {
        server.host.files().rename(&self.source, &self.destination, self.replace).await?;
        Ok(Moved { source: self.source, destination: self.destination, success: true })
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
        std::fs::write(dir.path().join("a"), "1").unwrap();
        call::<MoveFile>(&server, json!({"source": "a", "destination": "b"})).await.unwrap();
        assert!(dir.path().join("b").exists() && !dir.path().join("a").exists());
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = super::super::server();
        for name in ["a", "b"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        let kind =
            async |from, to| refusal::<MoveFile>(&server, json!({"source": from, "destination": to})).await;
        assert_eq!(kind("a", "b").await, Kind::Conflict);
        assert_eq!(kind("a", "../out").await, Kind::Forbidden);
        assert_eq!(kind("/etc/hostname", "h").await, Kind::Forbidden);
        assert_eq!(kind("none", "n").await, Kind::NotFound);
    }
}
