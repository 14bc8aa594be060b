//! Tool `search_knowledge`.

use super::library::Hit;
use super::{A2aUnified, at_most, bounded, given};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::param::Within;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_QUERY: usize = 4096;
const MAX_SOURCE: usize = 128;
const ALL: &str = "all";

/// Search imported documents and memories. Finds what holds all words, the last one also as a beginning; if nothing has
/// them all, what holds any. Upper case, accents and punctuation do not matter.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchKnowledge {
    /// Words to look for.
    query: String,
    /// Results at most, 1 to 100.
    #[serde(default)]
    limit: Within<1, 100, 10>,
    /// `all`, `memory`, `knowledge` (all documents), or the source of documents, e.g. `handbook`.
    #[serde(default = "all")]
    source: Option<String>,
}

fn all() -> Option<String> {
    Some(ALL.to_owned())
}

/// What was found, the best first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    query: String,
    source: String,
    results: Vec<Shown>,
    count: usize,
    success: bool,
    /// What to do when nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// One result.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Shown {
    #[serde(flatten)]
    hit: Hit,
    /// Always false: every search looks at what is stored now.
    cached: bool,
}

impl Tool for SearchKnowledge {
    type Server = A2aUnified;
    type Output = Found;
    // No cache, although the catalogue names 3600 s: the engine's is keyed by arguments and rights only, and would hide
    // for an hour what was just remembered or imported. The search itself takes milliseconds.
    const SPEC: Spec = Spec::read("search_knowledge");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Found, ToolError> {
        bounded("query", &self.query, MAX_QUERY)?;
        let source = given(self.source).unwrap_or_else(|| ALL.to_owned());
        at_most("source", &source, MAX_SOURCE)?;
        let hits = server.library.search(&self.query, &source, self.limit.get()).await?;
        let hint = if hits.is_empty() { Some(hint(server, &source).await?) } else { None };
        let results: Vec<_> = hits.into_iter().map(|hit| Shown { hit, cached: false }).collect();
        Ok(Found { query: self.query, source, count: results.len(), results, success: true, hint })
    }
}

async fn hint(server: &A2aUnified, source: &str) -> Result<String, ToolError> {
    let sources = server.library.sources().await?;
    let named = sources.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
    Ok(match source {
        "memory" => "no memory matches: try fewer words, or list_memories".to_owned(),
        _ if sources.is_empty() && source == "all" => {
            "no memory matches, and no documents were imported yet: import_knowledge stores some".to_owned()
        }
        _ if sources.is_empty() => "no documents were imported yet: import_knowledge stores some".to_owned(),
        "all" | "knowledge" => format!("nothing matches: try fewer words. There are documents from: {named}"),
        _ if sources.iter().any(|s| s == source) => {
            format!("nothing from {source:?} matches: try fewer words, or source \"all\"")
        }
        _ => format!("there are no documents from {source:?}, only from: {named}"),
    })
}

#[cfg(test)]
mod tests {
    use super::super::import_knowledge::ImportKnowledge;
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let empty = call::<SearchKnowledge>(&server, json!({"query": "breaker"})).await.unwrap();
        assert_eq!((&empty["results"], &empty["count"]), (&json!([]), &json!(0)), "nothing is made up");
        assert!(empty["hint"].as_str().unwrap().contains("import_knowledge"));
        let document = json!({"title": "T", "body": "the breaker opens", "source": "handbook"});
        call::<ImportKnowledge>(&server, json!({"documents": [document]})).await.unwrap();
        let found =
            call::<SearchKnowledge>(&server, json!({"query": "breaker", "limit": "5"})).await.unwrap();
        let hit = json!({
            "title": "T", "relevance": 1.0, "source": "handbook", "snippet": "the breaker opens", "id": 1,
            "updated_at": "2026-01-02T03:04:05Z", "cached": false,
        });
        let expected =
            json!({"query": "breaker", "source": "all", "results": [hit], "count": 1, "success": true});
        assert_eq!(found, expected);
        let hint =
            async |arguments| call::<SearchKnowledge>(&server, arguments).await.unwrap()["hint"].clone();
        let elsewhere = hint(json!({"query": "breaker", "source": "blog"})).await;
        assert_eq!(elsewhere, "there are no documents from \"blog\", only from: handbook");
        assert!(
            hint(json!({"query": "lamp", "source": "handbook"}))
                .await
                .as_str()
                .unwrap()
                .contains("fewer words")
        );
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<SearchKnowledge>(&server, arguments).await;
        assert_eq!(kind(json!({"query": " "})).await, Kind::Invalid);
        assert_eq!(kind(json!({"query": "x".repeat(4097)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"query": "x", "source": "y".repeat(129)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"query": "x", "top": 3})).await, Kind::Invalid);
    }
}
