//! Tool `list_directory` of the shared server.

use super::{A2aUnified, given};
use crate::glob::glob;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::files::{FileKind, Meta, WalkEnd, WalkOptions};

const MAX_ITEMS: usize = 100;
// Entries looked at in one call, whatever matches.
const MAX_VISITED: usize = 100_000;
const MAX_DEPTH: usize = 64;

/// List a directory, at most 100 entries. Symbolic links are shown, not followed; names that begin with a dot only
/// where the pattern has such a name.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDirectory {
    /// Absolute path, or one relative to the first writable directory.
    path: String,
    /// Glob on the path beneath the directory: `*.rs` is its own files, `src/*.rs` those of `src`, `**/*.rs` all beneath.
    #[serde(default)]
    pattern: Option<String>,
}

/// Entries of a directory, by name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    items: Vec<Item>,
    count: usize,
    /// Whether there are more.
    truncated: bool,
}

/// One entry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Item {
    name: String,
    path: String,
    is_dir: bool,
    /// Bytes; 0 for directories.
    size: u64,
}

fn item(meta: &Meta) -> Item {
    let is_dir = meta.kind == FileKind::Directory;
    Item {
        name: meta.name.clone(),
        path: meta.path.clone(),
        is_dir,
        size: if is_dir { 0 } else { meta.size },
    }
}

// Levels beneath the directory that can match.
fn depth(pattern: &str) -> usize {
    if pattern.contains("**") { MAX_DEPTH } else { pattern.matches('/').count().min(MAX_DEPTH) }
}

impl Tool for ListDirectory {
    type Server = A2aUnified;
    type Output = Listing;
    const SPEC: Spec = Spec::read("list_directory").without_breaker();

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Listing, ToolError> {
        let pattern = given(self.pattern).unwrap_or_else(|| "*".to_owned());
        let pattern = pattern.strip_prefix("./").unwrap_or(&pattern);
        let glob = glob("pattern", pattern, true)?;
        let hidden = pattern.split('/').any(|part| part.starts_with('.'));
        let options = WalkOptions { max_depth: depth(pattern), hidden, max_entries: MAX_VISITED };
        let base = server.host.files().stat(&self.path).await?.path;
        let items = Arc::new(Mutex::new(Vec::new()));
        let end = server
            .host
            .files()
            .walk(&self.path, options, {
                let items = items.clone();
                move |meta, _| {
                    let below = meta.path.strip_prefix(&base).unwrap_or(&meta.path).trim_start_matches('/');
                    if !glob.is_match(below) {
                        return true;
                    }
                    let mut items = items.lock().unwrap_or_else(PoisonError::into_inner);
                    let room = items.len() < MAX_ITEMS;
                    if room {
                        items.push(item(meta));
                    }
                    room
                }
            })
            .await?;
        let items = std::mem::take(&mut *items.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Listing { count: items.len(), items, truncated: end != WalkEnd::Complete })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, dir) = server();
        std::fs::create_dir_all(dir.path().join("d/e")).unwrap();
        for file in ["a.rs", "b.txt", ".h.rs", "d/c.rs", "d/e/f.rs"] {
            std::fs::write(dir.path().join(file), "xy").unwrap();
        }
        let names = async |arguments| -> Vec<Value> {
            let listing = call::<ListDirectory>(&server, arguments).await.unwrap();
            listing["items"].as_array().unwrap().iter().map(|i| i["name"].clone()).collect()
        };
        assert_eq!(names(json!({"path": "."})).await, ["a.rs", "b.txt", "d"]);
        assert_eq!(names(json!({"path": ".", "pattern": "*.rs"})).await, ["a.rs"]);
        assert_eq!(names(json!({"path": ".", "pattern": ".*"})).await, [".h.rs"]);
        assert_eq!(names(json!({"path": ".", "pattern": "d/*.rs"})).await, ["c.rs"]);
        assert_eq!(names(json!({"path": ".", "pattern": "**/*.rs"})).await, ["a.rs", "c.rs", "f.rs"]);
        let listing = call::<ListDirectory>(&server, json!({"path": "d", "pattern": ""})).await.unwrap();
        assert_eq!((&listing["count"], &listing["truncated"]), (&json!(2), &json!(false)));
        let of = |name: &str| {
            listing["items"].as_array().unwrap().iter().find(|i| i["name"] == name).unwrap().clone()
        };
        assert_eq!((of("c.rs")["size"].clone(), of("e")["is_dir"].clone()), (json!(2), json!(true)));
        for n in 0..101 {
            std::fs::write(dir.path().join(format!("d/e/{n}")), "").unwrap();
        }
        let long = call::<ListDirectory>(&server, json!({"path": "d/e"})).await.unwrap();
        assert_eq!((&long["count"], &long["truncated"]), (&json!(100), &json!(true)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<ListDirectory>(&server, arguments).await;
        assert_eq!(kind(json!({"path": "/proc"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": ".."})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"path": "none"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"path": ".", "pattern": "[a"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"path": ".", "pattern": "*".repeat(513)})).await, Kind::TooLarge);
    }
}
