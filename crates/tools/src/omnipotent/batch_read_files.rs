//! Tool `batch_read_files`.

use super::Omnipotent;
use crate::batch::{self, Files};
use crate::text::Encoding;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Read up to 20 small text files at once, 256 KiB of each. A file that cannot be read says why; the others are returned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BatchReadFiles {
    /// Absolute paths, or ones relative to the first writable directory.
    #[schemars(length(min = 1, max = 20))]
    paths: Vec<String>,
    /// Text encoding: utf-8, ascii or latin-1.
    #[serde(default)]
    encoding: Encoding,
}

impl Tool for BatchReadFiles {
    type Server = Omnipotent;
    type Output = Files;
    const SPEC: Spec = Spec::read("batch_read_files").without_breaker();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Files, ToolError> {
        batch::read(&server.host, self.paths, self.encoding).await
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
        std::fs::write(dir.path().join("a"), [0xe9]).unwrap();
        let arguments = json!({"paths": ["a", "/etc/passwd"], "encoding": "latin-1"});
        let done = call::<BatchReadFiles>(&server, arguments).await.unwrap();
        assert_eq!(done["files"][0]["content"], "é");
        assert!(done["files"][1]["content"].is_null() && done["files"][1]["error"].is_string());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<BatchReadFiles>(&server, json!({"paths": []})).await, Kind::Invalid);
        let many: Vec<String> = (0..21).map(|n| n.to_string()).collect();
        assert_eq!(refusal::<BatchReadFiles>(&server, json!({"paths": many})).await, Kind::Invalid);
    }
}
