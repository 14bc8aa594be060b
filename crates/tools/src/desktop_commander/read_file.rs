//! Tool `read_file` of the workspace server.

use super::DesktopCommander;
use crate::text::{Encoding, decode_prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};

// CATALOGUE 1.2.
pub(super) const MAX_FILE: usize = 10 << 20;
const MAX_LINES: usize = 100_000;

/// Read a text file, whole or by lines: `offset` and `length` count lines, a negative `offset` counts from the end
/// (-20 gives the last 20 lines).
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadFile {
    /// Absolute path, or one relative to the workspace.
    #[serde(alias = "path")]
    file_path: String,
    /// Text encoding: utf-8, ascii or latin-1.
    #[serde(default)]
    encoding: Encoding,
    /// First line to return, counted from 0; negative: from the end.
    #[serde(default, deserialize_with = "param::integer")]
    offset: i64,
    /// Lines to return at most; 0 for all.
    #[serde(default, deserialize_with = "param::integer")]
    length: usize,
}

/// Lines of a text file.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Lines {
    file_path: String,
    content: String,
    /// Bytes of the whole file.
    size: u64,
    encoding: String,
    /// Lines of the whole file.
    total_lines: usize,
    /// Number of the first line returned, from 0.
    first_line: usize,
    /// Lines returned.
    lines: usize,
    /// Offset to continue from; null at the end.
    next_offset: Option<usize>,
}

impl Tool for ReadFile {
    type Server = DesktopCommander;
    type Output = Lines;
    const SPEC: Spec = Spec::read("read_file").without_breaker().max_output(16 << 20);

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Lines, ToolError> {
        let (bytes, size) = server.host.files().read(&self.file_path, 0, MAX_FILE + 4).await?;
        if size > MAX_FILE as u64 {
            return Err(ToolError::too_large(format!(
                "{} has {size} bytes; at most {MAX_FILE} are read. Use start_search to find the part you need",
                self.file_path
            )));
        }
        let text = decode_prefix(self.encoding, bytes, size, MAX_FILE)?;
        let all: Vec<&str> = text.split_inclusive('\n').collect();
        let total = all.len();
        let first = match usize::try_from(self.offset) {
            Ok(from_start) => from_start.min(total),
            Err(_) => total.saturating_sub(usize::try_from(self.offset.unsigned_abs()).unwrap_or(total)),
        };
        let most = if self.length == 0 { MAX_LINES } else { self.length.min(MAX_LINES) };
        let end = total.min(first.saturating_add(most));
        Ok(Lines {
            content: all[first..end].concat(),
            file_path: self.file_path,
            size,
            encoding: self.encoding.name().to_owned(),
            total_lines: total,
            first_line: first,
            lines: end - first,
            next_offset: (end < total).then_some(end),
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
        std::fs::write(dir.path().join("n.txt"), "a\nb\r\nc\nd").unwrap();
        let read = async |arguments| call::<ReadFile>(&server, arguments).await.unwrap();
        assert_eq!(read(json!({"file_path": "n.txt"})).await["content"], "a\nb\r\nc\nd");
        let middle = read(json!({"file_path": "n.txt", "offset": 1, "length": "2"})).await;
        assert_eq!((middle["content"].clone(), middle["next_offset"].clone()), (json!("b\r\nc\n"), json!(3)));
        let tail = read(json!({"file_path": "n.txt", "offset": -2})).await;
        assert_eq!((tail["content"].clone(), tail["first_line"].clone()), (json!("c\nd"), json!(2)));
        assert_eq!(read(json!({"file_path": "n.txt", "offset": 99})).await["content"], "");
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("big"), vec![b'x'; MAX_FILE + 1]).unwrap();
        let kind = async |arguments| refusal::<ReadFile>(&server, arguments).await;
        assert_eq!(kind(json!({"file_path": "../../etc/passwd"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"file_path": "big"})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"file_path": "."})).await, Kind::Invalid);
    }
}
