//! Tool `remember`.

use super::{A2aUnified, MAX_CATEGORY, MAX_KEY, at_most, bounded, changes, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_VALUE: usize = 1 << 20;
const GENERAL: &str = "general";

/// Remember a text under a key, replacing what was there. Memories are shared by all who may use this server and are
/// stored as they are: keep secrets out of them.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remember {
    /// Name to recall it by, at most 512 bytes.
    key: String,
    /// The text, at most 1 MiB.
    value: String,
    /// Group of memories, at most 128 bytes.
    #[serde(default = "general")]
    category: Option<String>,
}

fn general() -> Option<String> {
    Some(GENERAL.to_owned())
}

/// What was stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Remembered {
    key: String,
    value: String,
    category: String,
    success: bool,
}

impl Tool for Remember {
    type Server = A2aUnified;
    type Output = Remembered;
    const SPEC: Spec = Spec::write("remember").idempotent();

    async fn call(self, server: &A2aUnified, ctx: &Ctx) -> Result<Remembered, ToolError> {
        let category = given(self.category).unwrap_or_else(|| GENERAL.to_owned());
        bounded("key", &self.key, MAX_KEY)?;
        at_most("value", &self.value, MAX_VALUE)?;
        at_most("category", &category, MAX_CATEGORY)?;
        let new = server.library.remember(&self.key, &self.value, &category).await?;
        changes::remembered(ctx, &self.key, new);
        Ok(Remembered { key: self.key, value: self.value, category, success: true })
    }
}

#[cfg(test)]
mod tests {
    use super::super::recall::Recall;
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let done = call::<Remember>(&server, json!({"key": "k", "value": "v"})).await.unwrap();
        assert_eq!(done, json!({"key": "k", "value": "v", "category": "general", "success": true}));
        for nothing in [json!(null), json!("")] {
            let arguments = json!({"key": "k", "value": "v", "category": nothing});
            assert_eq!(call::<Remember>(&server, arguments).await.unwrap()["category"], "general");
        }
        call::<Remember>(&server, json!({"key": "k", "value": "w", "category": "work"})).await.unwrap();
        let recalled = call::<Recall>(&server, json!({"key": "k"})).await.unwrap();
        assert_eq!((&recalled["results"][0]["value"], &recalled["count"]), (&json!("w"), &json!(1)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<Remember>(&server, arguments).await;
        assert_eq!(kind(json!({"key": "", "value": "v"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"key": "k"})).await, Kind::Invalid);
        assert_eq!(kind(json!({"key": "k".repeat(513), "value": "v"})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"key": "k", "value": "v".repeat((1 << 20) + 1)})).await, Kind::TooLarge);
        assert_eq!(
            kind(json!({"key": "k", "value": "v", "category": "c".repeat(129)})).await,
            Kind::TooLarge
        );
    }
}
