//! Tool `write_file` of the workspace server.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};
use toolgate_host::files::WriteMode;

/// Write a text file in the workspace: replace it whole and at once, append to it, or only make a new one.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WriteFile {
    /// Absolute path, or one relative to the workspace.
    #[serde(alias = "path")]
    file_path: String,
    content: String,
    /// Make missing parent directories.
    #[serde(default = "crate::text::yes", deserialize_with = "param::boolean")]
    create_dirs: bool,
    /// `rewrite` replaces the file, `append` adds to its end, `create` refuses when it exists.
    #[serde(default)]
    mode: Mode,
}

/// How to write.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    #[default]
    Rewrite,
    Append,
    Create,
}

/// The file written.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Written {
    file_path: String,
    /// Bytes of the file now.
    size: u64,
    /// Whether parent directories were made.
    created_dirs: bool,
}

impl Tool for WriteFile {
    type Server = DesktopCommander;
    type Output = Written;
    const SPEC: Spec = Spec::write("write_file").without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Written, ToolError> {
        let mode = match self.mode {
            Mode::Rewrite => WriteMode::Replace,
            Mode::Append => WriteMode::Append,
            Mode::Create => WriteMode::CreateNew,
        };
        let files = server.host.files();
        let (size, created_dirs) =
            files.write(&self.file_path, self.content.into_bytes(), mode, self.create_dirs).await?;
        Ok(Written { file_path: self.file_path, size, created_dirs })
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
        let write = async |arguments| call::<WriteFile>(&server, arguments).await.unwrap();
        assert_eq!(
            write(json!({"file_path": "d/f", "content": "one"})).await,
            json!({"file_path": "d/f", "size": 3, "created_dirs": true})
        );
        assert_eq!(write(json!({"file_path": "d/f", "content": "two", "mode": "append"})).await["size"], 6);
        assert_eq!(std::fs::read_to_string(dir.path().join("d/f")).unwrap(), "onetwo");
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("f"), "").unwrap();
        let kind = async |arguments| refusal::<WriteFile>(&server, arguments).await;
        assert_eq!(kind(json!({"file_path": "/etc/cron.d/x", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"file_path": ".ssh/authorized_keys", "content": ""})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"file_path": "f", "content": "", "mode": "create"})).await, Kind::Conflict);
    }
}
