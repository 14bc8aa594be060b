//! Tool `list_directory` of the workspace server.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::param::{self, Within};
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::files::{FileKind, Meta, WalkEnd, WalkOptions};

const MAX_ITEMS: usize = 1000;

/// List a directory, with `depth` levels beneath it, at most 1000 entries.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListDirectory {
    /// Absolute path, or one relative to the workspace.
    #[serde(alias = "path")]
    directory_path: String,
    /// Include entries whose name begins with a dot.
    #[serde(default, deserialize_with = "param::boolean")]
    show_hidden: bool,
    /// Levels to show, 1 to 10.
    #[serde(default)]
    depth: Within<1, 10, 1>,
}

/// Entries of a directory.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listing {
    directory_path: String,
    items: Vec<Item>,
    total_items: usize,
    /// Whether there are more.
    truncated: bool,
}

/// One entry.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Item {
    name: String,
    path: String,
    /// `file`, `directory`, `symlink` or `other`.
    kind: &'static str,
    /// Bytes; 0 for directories.
    size: u64,
    /// RFC 3339, UTC.
    modified: Option<String>,
}

pub(super) fn word(kind: FileKind) -> &'static str {
    match kind {
        FileKind::File => "file",
        FileKind::Directory => "directory",
        FileKind::Symlink => "symlink",
        FileKind::Other => "other",
    }
}

fn item(meta: &Meta) -> Item {
    let size = if meta.kind == FileKind::Directory { 0 } else { meta.size };
    Item {
        name: meta.name.clone(),
        path: meta.path.clone(),
        kind: word(meta.kind),
        size,
        modified: meta.modified.clone(),
    }
}

impl Tool for ListDirectory {
    type Server = DesktopCommander;
    type Output = Listing;
    const SPEC: Spec = Spec::read("list_directory").without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Listing, ToolError> {
        let depth = self.depth.count() - 1;
        let items = Arc::new(Mutex::new(Vec::new()));
        let options = WalkOptions { max_depth: depth, hidden: self.show_hidden, max_entries: MAX_ITEMS };
        let end = server
            .host
            .files()
            .walk(&self.directory_path, options, {
                let items = items.clone();
                move |meta, _| {
                    items.lock().unwrap_or_else(PoisonError::into_inner).push(item(meta));
                    true
                }
            })
            .await?;
        let items = std::mem::take(&mut *items.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Listing {
            directory_path: self.directory_path,
            total_items: items.len(),
            items,
            truncated: end == WalkEnd::Limited,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, dir) = super::super::server();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        for file in ["b", ".h", "d/inner"] {
            std::fs::write(dir.path().join(file), "xy").unwrap();
        }
        let names = async |arguments| -> Vec<Value> {
            let listing = call::<ListDirectory>(&server, arguments).await.unwrap();
            listing["items"].as_array().unwrap().iter().map(|i| i["name"].clone()).collect()
        };
        let flat = names(json!({"directory_path": "."})).await;
        assert_eq!(flat.len(), 2, "{flat:?}");
        assert_eq!(names(json!({"directory_path": ".", "show_hidden": "true"})).await.len(), 3);
        assert_eq!(names(json!({"directory_path": ".", "depth": 2})).await.len(), 3);
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(
            refusal::<ListDirectory>(&server, json!({"directory_path": "/proc"})).await,
            Kind::Forbidden
        );
        assert_eq!(
            refusal::<ListDirectory>(&server, json!({"directory_path": "none"})).await,
            Kind::NotFound
        );
        for depth in [0, 11] {
            let arguments = json!({"directory_path": ".", "depth": depth});
            assert_eq!(refusal::<ListDirectory>(&server, arguments).await, Kind::Invalid);
        }
    }
}
