//! Tool `list_memories`.

use super::library::{Memories, Memory};
use super::{A2aUnified, MAX_CATEGORY, at_most, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// List memories, of one category or of all, the newest first.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListMemories {
    #[serde(default)]
    category: Option<String>,
    /// Memories at most, 1 to 1000.
    #[serde(default)]
    limit: Within<1, 1000, 20>,
}

/// Memories, the newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Listed {
    memories: Vec<Memory>,
    count: usize,
    category: Option<String>,
    /// Whether there are more than the limit, or than fit an answer.
    truncated: bool,
}

impl Tool for ListMemories {
    type Server = A2aUnified;
    type Output = Listed;
    const SPEC: Spec = Spec::read("list_memories");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Listed, ToolError> {
        let category = given(self.category);
        at_most("category", category.as_deref().unwrap_or(""), MAX_CATEGORY)?;
        let Memories { items, truncated } =
            server.library.memories(category.as_deref(), self.limit.get()).await?;
        Ok(Listed { count: items.len(), memories: items, category, truncated })
    }
}

#[cfg(test)]
mod tests {
    use super::super::remember::Remember;
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        for key in ["a", "b", "c"] {
            call::<Remember>(&server, json!({"key": key, "value": "v", "category": "x"})).await.unwrap();
        }
        let two = call::<ListMemories>(&server, json!({"limit": "2", "category": "x"})).await.unwrap();
        assert_eq!(
            (&two["count"], &two["truncated"], &two["category"]),
            (&json!(2), &json!(true), &json!("x"))
        );
        assert_eq!(two["memories"][0]["key"], "c");
        let none = call::<ListMemories>(&server, json!({"category": "y"})).await.unwrap();
        assert_eq!(none, json!({"memories": [], "count": 0, "category": "y", "truncated": false}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        assert_eq!(
            refusal::<ListMemories>(&server, json!({"category": "c".repeat(129)})).await,
            Kind::TooLarge
        );
        for limit in [json!("many"), json!(0), json!(1001), json!(100_000)] {
            assert_eq!(refusal::<ListMemories>(&server, json!({"limit": limit})).await, Kind::Invalid);
        }
    }
}
