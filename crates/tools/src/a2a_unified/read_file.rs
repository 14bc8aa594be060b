//! Tool `read_file` of the shared server.

use super::A2aUnified;
use crate::text::{Encoding, decode_prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Most returned at once: what the result cap leaves room for once it is JSON.
const MAX_CONTENT: usize = 4 << 20;

/// Read a text file. A long one is cut at 4 MiB; the answer says so.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Absolute path, or one relative to the first writable directory.
    path: String,
    /// Text encoding: utf-8, ascii or latin-1.
    #[serde(default)]
    encoding: Encoding,
}

/// A text file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Content {
    path: String,
    content: String,
    /// Bytes of the whole file.
    size: u64,
    /// Whether there is more in the file than was returned.
    truncated: bool,
    success: bool,
}

impl Tool for ReadFile {
    type Server = A2aUnified;
    type Output = Content;
    const SPEC: Spec = Spec::read("read_file").without_breaker();

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Content, ToolError> {
        // Up to three bytes more, so that a character at the cut can be told from a broken one.
        let (bytes, size) = server.host.files().read(&self.path, 0, MAX_CONTENT + 4).await?;
        let content = decode_prefix(self.encoding, bytes, size, MAX_CONTENT)?;
        let truncated = (self.encoding.encoded_len(&content) as u64) < size;
        Ok(Content { path: self.path, content, size, truncated, success: true })
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
        std::fs::write(dir.path().join("t"), "tö").unwrap();
        let read = call::<ReadFile>(&server, json!({"path": "t"})).await.unwrap();
        assert_eq!(
            read,
            json!({"path": "t", "content": "tö", "size": 3, "truncated": false, "success": true})
        );
        std::fs::write(dir.path().join("l"), [0xe9]).unwrap();
        let read = call::<ReadFile>(&server, json!({"path": "l", "encoding": "latin1"})).await.unwrap();
        assert_eq!((&read["content"], &read["size"]), (&json!("é"), &json!(1)));
        std::fs::write(dir.path().join("long"), "é".repeat(3 << 20)).unwrap();
        let read = call::<ReadFile>(&server, json!({"path": "long"})).await.unwrap();
        assert_eq!(
            (read["content"].as_str().unwrap().len(), &read["truncated"]),
            (MAX_CONTENT, &json!(true))
        );
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = server();
        std::fs::write(dir.path().join("b"), [0xff]).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", dir.path().join("out")).unwrap();
        let kind = async |arguments| refusal::<ReadFile>(&server, arguments).await;
        assert_eq!(kind(json!({"path": "/etc/passwd"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "../../etc/passwd"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "out"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "none"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"path": "b"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"path": "b", "encoding": "utf-7"})).await, Kind::Invalid);
    }
}
