//! Several text files in one answer: what `read_multiple_files` and `batch_read_files` share.
//!
//! Invariant: a file that cannot be read says why and leaves the others alone.

use crate::text::{Encoding, decode_prefix};
use schemars::JsonSchema;
use serde::Serialize;
use toolgate_core::ToolError;
use toolgate_host::Host;

const MAX_FILES: usize = 20;
const MAX_EACH: usize = 256 << 10;

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

/// Read 1 to 20 files, 256 KiB of each. Errors: `Invalid` for another number of paths.
pub async fn read(host: &Host, paths: Vec<String>, encoding: Encoding) -> Result<Files, ToolError> {
    if paths.is_empty() || paths.len() > MAX_FILES {
        return Err(ToolError::invalid(format!("{} paths; give 1 to {MAX_FILES}", paths.len())));
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let read = host.files().read(&path, 0, MAX_EACH + 4).await.map_err(ToolError::from);
        let text = read.and_then(|(bytes, size)| Ok((decode_prefix(encoding, bytes, size, MAX_EACH)?, size)));
        files.push(match text {
            Ok((text, size)) => One {
                path,
                truncated: size > MAX_EACH as u64,
                content: Some(text),
                size: Some(size),
                error: None,
            },
            Err(e) => One { path, content: None, size: None, truncated: false, error: Some(e.to_string()) },
        });
    }
    Ok(Files { files })
}
