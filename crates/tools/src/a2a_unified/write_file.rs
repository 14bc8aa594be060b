//! Tool `write_file` of the shared server.

use super::A2aUnified;
use crate::text::Encoding;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::files::WriteMode;

/// Write a text file, replacing what was there at once and whole; missing parent directories are made. Only beneath the
/// writable directories.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Absolute path, or one relative to the first writable directory.
    path: String,
    content: String,
    /// Text encoding: utf-8, ascii or latin-1.
    #[serde(default)]
    encoding: Encoding,
}

/// The file written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    path: String,
    /// Bytes.
    size: u64,
    success: bool,
}

impl Tool for WriteFile {
    type Server = A2aUnified;
    type Output = Written;
    const SPEC: Spec = Spec::write("write_file").idempotent().without_breaker();

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Written, ToolError> {
        let bytes = self.encoding.encode(self.content)?;
        let (size, _) = server.host.files().write(&self.path, bytes, WriteMode::Replace, true).await?;
        Ok(Written { path: self.path, size, success: true })
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
        let (server, dir) = server();
        let arguments = json!({"path": "a/b/c", "content": "é", "encoding": "latin-1"});
        let done = call::<WriteFile>(&server, arguments).await.unwrap();
        assert_eq!(done, json!({"path": "a/b/c", "size": 1, "success": true}));
        assert_eq!(std::fs::read(dir.path().join("a/b/c")).unwrap(), [0xe9]);
        call::<WriteFile>(&server, json!({"path": "a/b/c", "content": ""})).await.unwrap();
        assert_eq!(std::fs::read(dir.path().join("a/b/c")).unwrap(), [0; 0]);
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = server();
        let kind = async |arguments| refusal::<WriteFile>(&server, arguments).await;
        assert_eq!(kind(json!({"path": "/etc/cron.d/x", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "../x", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "x", "content": "€", "encoding": "latin-1"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"path": "x"})).await, Kind::Invalid);
        assert!(!dir.path().join("x").exists());
    }
}
