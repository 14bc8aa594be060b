//! Tool `read_multiple_files`.

use super::DesktopCommander;
use crate::batch::{self, Files};
use crate::text::Encoding;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Read up to 20 small text files at once, 256 KiB of each. A file that cannot be read says why; the others are returned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadMultipleFiles {
    /// Absolute paths, or ones relative to the workspace.
    #[schemars(length(min = 1, max = 20))]
    paths: Vec<String>,
}

impl Tool for ReadMultipleFiles {
    type Server = DesktopCommander;
    type Output = Files;
    const SPEC: Spec = Spec::read("read_multiple_files").without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Files, ToolError> {
        batch::read(&server.host, self.paths, Encoding::Utf8).await
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
        std::fs::write(dir.path().join("a"), "A").unwrap();
        let done = call::<ReadMultipleFiles>(&server, json!({"paths": ["a", "/etc/passwd"]})).await.unwrap();
        assert_eq!(done["files"][0]["content"], "A");
        assert!(done["files"][1]["content"].is_null() && done["files"][1]["error"].is_string());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ReadMultipleFiles>(&server, json!({"paths": []})).await, Kind::Invalid);
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert_eq!(refusal::<ReadMultipleFiles>(&server, json!({"paths": many})).await, Kind::Invalid);
    }
}
