//! Tool `get_file_info`.

use super::DesktopCommander;
use super::list_directory::word;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Facts of a file or directory: kind, size, time of the last change, permissions.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetFileInfo {
    /// Absolute path, or one relative to the workspace.
    path: String,
}

/// Facts.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Info {
    path: String,
    name: String,
    /// `file`, `directory`, `symlink` or `other`.
    kind: &'static str,
    size: u64,
    /// RFC 3339, UTC.
    modified: Option<String>,
    /// Octal permissions.
    mode: String,
}

impl Tool for GetFileInfo {
    type Server = DesktopCommander;
    type Output = Info;
    const SPEC: Spec = Spec::read("get_file_info").without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Info, ToolError> {
        let meta = server.host.files().stat(&self.path).await?;
        Ok(Info {
            path: meta.path,
            name: meta.name,
            kind: word(meta.kind),
            size: meta.size,
            modified: meta.modified,
            mode: meta.mode,
        })
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
        std::fs::write(dir.path().join("f"), "abc").unwrap();
        let info = call::<GetFileInfo>(&server, json!({"path": "f"})).await.unwrap();
        assert_eq!((info["kind"].clone(), info["size"].clone()), (json!("file"), json!(3)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<GetFileInfo>(&server, json!({"path": "/etc/shadow"})).await, Kind::Forbidden);
        assert_eq!(refusal::<GetFileInfo>(&server, json!({"path": "none"})).await, Kind::NotFound);
    }
}
