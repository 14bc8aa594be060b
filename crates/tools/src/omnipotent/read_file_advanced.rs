//! Tool `read_file_advanced`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};

/// Largest file read, in bytes (CATALOGUE 1.16).
const MAX_FILE: u64 = 100 << 20;
/// Most of it returned at once: what the result cap leaves room for once it is JSON.
const MAX_CONTENT: usize = 4 << 20;

/// Read a text file. A long one is cut at 4 MiB or after `max_lines`; the answer says so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFileAdvanced {
    /// Absolute path, or one relative to the first writable directory.
    path: String,
    /// Text encoding: utf-8, ascii or latin-1.
    #[serde(default)]
    encoding: crate::text::Encoding,
    /// Lines to return at most; 0 for all.
    #[serde(default, deserialize_with = "param::integer")]
    max_lines: usize,
}

/// A text file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Content {
    path: String,
    /// Bytes of the whole file.
    size: u64,
    content: String,
    /// Lines returned.
    lines: usize,
    /// Whether there is more in the file than was returned.
    truncated: bool,
    success: bool,
}

impl Tool for ReadFileAdvanced {
    type Server = Omnipotent;
    type Output = Content;
    const SPEC: Spec = Spec::read("read_file_advanced").aliases(&["read_file_secure"]);

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Content, ToolError> {
        let (bytes, size) = server.host.files().read(&self.path, 0, MAX_CONTENT + 4).await?;
        if size > MAX_FILE {
            return Err(ToolError::too_large(format!(
                "{} has {size} bytes; at most {MAX_FILE} are read. Search it, or read a range with desktop-commander",
                self.path
            )));
        }
        let content = crate::text::decode_prefix(self.encoding, bytes, size, MAX_CONTENT)?;
        let kept: String = match self.max_lines {
            0 => content,
            most => content.split_inclusive('\n').take(most).collect(),
        };
        Ok(Content {
            lines: kept.lines().count(),
            truncated: (self.encoding.encoded_len(&kept) as u64) < size,
            content: kept,
            path: self.path,
            size,
            success: true,
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
        std::fs::write(dir.path().join("t.txt"), "one\ntwö\nthree").unwrap();
        let all = call::<ReadFileAdvanced>(&server, json!({"path": "t.txt"})).await.unwrap();
        assert_eq!(
            (all["lines"].clone(), all["truncated"].clone(), all["size"].clone()),
            (json!(3), json!(false), json!(14))
        );
        let two =
            call::<ReadFileAdvanced>(&server, json!({"path": "t.txt", "max_lines": "2"})).await.unwrap();
        assert_eq!((two["content"].clone(), two["truncated"].clone()), (json!("one\ntwö\n"), json!(true)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("b.bin"), [0xff, 0xfe]).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("out")).unwrap();
        let kind = async |arguments| refusal::<ReadFileAdvanced>(&server, arguments).await;
        assert_eq!(kind(json!({"path": "/etc/passwd"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "out"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "none"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"path": "b.bin"})).await, Kind::Invalid);
    }
}
