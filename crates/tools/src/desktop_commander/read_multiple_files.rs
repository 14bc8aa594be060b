//! Tool `read_multiple_files`.

use super::DesktopCommander;
use crate::text::{Encoding, decode_prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_FILES: usize = 20;
const MAX_EACH: usize = 256 << 10;

/// Read up to 20 small text files at once, 256 KiB of each. A file that cannot be read says why; the others are returned.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadMultipleFiles {
    /// Absolute paths, or ones relative to the workspace.
    #[schemars(length(min = 1, max = 20))]
    paths: Vec<String>,
}

/// The files in the order asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Files {
    files: Vec<One>,
}

/// One file: its content, or why there is none.
#[derive(Debug, Serialize, JsonSchema)]
pub struct One {
    path: String,
    content: Option<String>,
    size: Option<u64>,
    truncated: bool,
    error: Option<String>,
}

impl Tool for ReadMultipleFiles {
    type Server = DesktopCommander;
    type Output = Files;
    const SPEC: Spec = Spec::read("read_multiple_files").aliases(&["batch_read_files"]).without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Files, ToolError> {
        if self.paths.is_empty() || self.paths.len() > MAX_FILES {
            return Err(ToolError::invalid(format!("{} paths; give 1 to {MAX_FILES}", self.paths.len())));
        }
        let mut files = Vec::with_capacity(self.paths.len());
        for path in self.paths {
            let read = server.host.files().read(&path, 0, MAX_EACH + 4).await.map_err(ToolError::from);
            let text = read
                .and_then(|(bytes, size)| Ok((decode_prefix(Encoding::Utf8, bytes, size, MAX_EACH)?, size)));
            files.push(match text {
                Ok((text, size)) => One {
                    path,
                    truncated: size > MAX_EACH as u64,
                    content: Some(text),
                    size: Some(size),
                    error: None,
                },
                Err(e) => {
                    One { path, content: None, size: None, truncated: false, error: Some(e.to_string()) }
                }
            });
        }
        Ok(Files { files })
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
