//! Tool `recall`.

use super::library::{Memories, Memory};
use super::{A2aUnified, MAX_CATEGORY, MAX_KEY, at_most, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MOST: u32 = 100;

/// Recall the memory of a key; without a key, those of a category; without both, all. The newest come first, at most
/// 100. A key that nobody remembered gives no results.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Recall {
    /// Key of one memory, exactly.
    #[serde(default)]
    key: Option<String>,
    /// Category; not looked at when there is a key.
    #[serde(default)]
    category: Option<String>,
}

/// Memories, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Recalled {
    results: Vec<Memory>,
    count: usize,
    /// Whether there are more.
    truncated: bool,
}

impl Tool for Recall {
    type Server = A2aUnified;
    type Output = Recalled;
    const SPEC: Spec = Spec::read("recall");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Recalled, ToolError> {
        let category = given(self.category);
        let Memories { items, truncated } = match given(self.key) {
            Some(key) => {
                at_most("key", &key, MAX_KEY)?;
                let found = server.library.recall(&key).await?;
                Memories { items: found.into_iter().collect(), truncated: false }
            }
            None => {
                at_most("category", category.as_deref().unwrap_or(""), MAX_CATEGORY)?;
                server.library.memories(category.as_deref(), MOST).await?
            }
        };
        Ok(Recalled { count: items.len(), results: items, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::super::remember::Remember;
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        for (key, category) in [("a", "x"), ("b", "y"), ("c", "x")] {
            call::<Remember>(&server, json!({"key": key, "value": "v", "category": category})).await.unwrap();
        }
        let keys = async |arguments| -> Vec<Value> {
            let recalled = call::<Recall>(&server, arguments).await.unwrap();
            recalled["results"].as_array().unwrap().iter().map(|m| m["key"].clone()).collect()
        };
        assert_eq!(keys(json!({})).await, ["c", "b", "a"]);
        assert_eq!(keys(json!({"category": "x", "key": null})).await, ["c", "a"]);
        assert_eq!(keys(json!({"key": "b", "category": "x"})).await, ["b"]);
        assert!(keys(json!({"key": "none"})).await.is_empty());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        assert_eq!(refusal::<Recall>(&server, json!({"key": "k".repeat(513)})).await, Kind::TooLarge);
        assert_eq!(refusal::<Recall>(&server, json!({"category": "c".repeat(129)})).await, Kind::TooLarge);
        assert_eq!(refusal::<Recall>(&server, json!({"name": "k"})).await, Kind::Invalid);
    }
}
