//! Tool `search_files`.

use super::Omnipotent;
use crate::glob::glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::param::{self, Within};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::files::{FileKind, WalkEnd, WalkOptions};

// Entries looked at in one call, whatever is found.
const MAX_VISITED: usize = 200_000;

/// Find files by name beneath a directory, e.g. all `*.rs`. Symbolic links are not followed; hidden files are included.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchFiles {
    /// Where to begin: an absolute path, or one relative to the first writable directory.
    directory: String,
    /// Glob on the file's name (`*.rs`), or on its path beneath the directory when it has a `/` (`src/**/*.rs`).
    pattern: String,
    /// Look into subdirectories.
    #[serde(default = "crate::text::yes", deserialize_with = "param::boolean")]
    recursive: bool,
    /// Files to return at most, 1 to 10,000.
    #[serde(default)]
    max_results: Within<1, 10_000, 100>,
}

/// Files found.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    directory: String,
    pattern: String,
    /// Absolute paths.
    files: Vec<String>,
    count: usize,
    /// Whether the search ended before it had seen everything.
    truncated: bool,
}

impl Tool for SearchFiles {
    type Server = Omnipotent;
    type Output = Found;
    const SPEC: Spec = Spec::read("search_files").timeout(secs(60)).without_breaker();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Found, ToolError> {
        let whole_path = self.pattern.contains('/');
        let glob = glob("pattern", &self.pattern, true)?;
        let most = self.max_results.count();
        let base = server.host.files().stat(&self.directory).await?.path;
        let files = Arc::new(Mutex::new(Vec::new()));
        let depth = if self.recursive { 64 } else { 0 };
        let options = WalkOptions { max_depth: depth, hidden: true, max_entries: MAX_VISITED };
        let end = server
            .host
            .files()
            .walk(&self.directory, options, {
                let files = files.clone();
                move |meta, _| {
                    let below = meta.path.strip_prefix(&base).unwrap_or(&meta.path).trim_start_matches('/');
                    let fits = glob.is_match(if whole_path { below } else { &meta.name });
                    let mut files = files.lock().unwrap_or_else(PoisonError::into_inner);
                    if meta.kind == FileKind::File && fits {
                        if files.len() == most {
                            return false;
                        }
                        files.push(meta.path.clone());
                    }
                    true
                }
            })
            .await?;
        let files = std::mem::take(&mut *files.lock().unwrap_or_else(PoisonError::into_inner));
        let (count, truncated) = (files.len(), end != WalkEnd::Complete);
        Ok(Found { directory: self.directory, pattern: self.pattern, count, files, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    fn names(found: &Value) -> Vec<String> {
        let files = found["files"].as_array().unwrap();
        files.iter().map(|f| f.as_str().unwrap().rsplit('/').next().unwrap().to_owned()).collect()
    }

    #[tokio::test]
    async fn happy() {
        let (server, dir) = super::super::server();
        std::fs::create_dir_all(dir.path().join("src/deep")).unwrap();
        for file in ["a.rs", "b.txt", "src/c.rs", "src/deep/d.rs"] {
            std::fs::write(dir.path().join(file), "").unwrap();
        }
        let find = async |arguments| call::<SearchFiles>(&server, arguments).await.unwrap();
        assert_eq!(names(&find(json!({"directory": ".", "pattern": "*.rs"})).await).len(), 3);
        assert_eq!(
            names(&find(json!({"directory": ".", "pattern": "*.rs", "recursive": false})).await),
            ["a.rs"]
        );
        assert_eq!(names(&find(json!({"directory": ".", "pattern": "src/*.rs"})).await), ["c.rs"]);
        let one = find(json!({"directory": ".", "pattern": "*.rs", "max_results": 1})).await;
        assert_eq!((one["count"].clone(), one["truncated"].clone()), (json!(1), json!(true)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<SearchFiles>(&server, arguments).await;
        assert_eq!(kind(json!({"directory": "/", "pattern": "*"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"directory": ".", "pattern": "[a"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"directory": ".", "pattern": "*", "max_results": 0})).await, Kind::Invalid);
        assert_eq!(kind(json!({"directory": "none", "pattern": "*"})).await, Kind::NotFound);
    }
}
