//! Tool `write_file_advanced`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};
use toolgate_host::files::WriteMode;

/// Write a text file, replacing what was there at once and whole. Only beneath the writable directories.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFileAdvanced {
    /// Absolute path, or one relative to the first writable directory.
    path: String,
    content: String,
    /// Text encoding; only `utf-8`.
    #[serde(default)]
    encoding: crate::text::Encoding,
    /// Make missing parent directories.
    #[serde(default = "crate::text::yes", deserialize_with = "param::boolean")]
    create_dirs: bool,
}

/// The file written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    path: String,
    /// Bytes.
    size: u64,
    success: bool,
}

impl Tool for WriteFileAdvanced {
    type Server = Omnipotent;
    type Output = Written;
    const SPEC: Spec =
        Spec::write("write_file_advanced").aliases(&["write_file_secure"]).idempotent().without_breaker();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Written, ToolError> {
        let bytes = self.encoding.encode(self.content)?;
        let (size, _) =
            server.host.files().write(&self.path, bytes, WriteMode::Replace, self.create_dirs).await?;
        Ok(Written { path: self.path, size, success: true })
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
        let done =
            call::<WriteFileAdvanced>(&server, json!({"path": "a/b.txt", "content": "hé"})).await.unwrap();
        assert_eq!(done, json!({"path": "a/b.txt", "size": 3, "success": true}));
        assert_eq!(std::fs::read_to_string(dir.path().join("a/b.txt")).unwrap(), "hé");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<WriteFileAdvanced>(&server, arguments).await;
        assert_eq!(kind(json!({"path": "../x", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "/etc/x", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "n/x", "content": "", "create_dirs": "false"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"path": "x"})).await, Kind::Invalid);
    }
}
