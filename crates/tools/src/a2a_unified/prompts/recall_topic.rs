//! Prompt `recall_topic`.

use super::super::resources::{MOST_PROPOSED, keys, memory_uri};
use super::super::{A2aUnified, MAX_CATEGORY, MAX_KEY, at_most, bounded, given};
use super::{Pile, beginning};
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::content::{Contents, Messages};
use toolgate_core::{Ctx, Prompt, Spec, Tool, ToolError};

// Memories that are looked at, and that are put into the prompt.
const SEARCHED: u32 = 100;
const MOST: usize = 20;

/// What is remembered about a topic, and the question what follows from it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecallTopic {
    /// Words to look for, or the key of a memory.
    topic: String,
    /// Only memories of this category.
    #[serde(default)]
    category: Option<String>,
}

impl Tool for RecallTopic {
    type Server = A2aUnified;
    type Output = Messages;
    const SPEC: Spec = Spec::read("recall_topic");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Messages, ToolError> {
        let Self { topic, category } = self;
        bounded("topic", &topic, MAX_KEY)?;
        let category = given(category);
        at_most("category", category.as_deref().unwrap_or(""), MAX_CATEGORY)?;
        let mut found: Vec<String> =
            server.library.recall(&topic).await?.into_iter().map(|m| m.key).collect();
        for hit in server.library.search(&topic, "memory", SEARCHED).await? {
            found.extend(hit.key.filter(|key| !found.contains(key)));
        }
        let (mut pile, mut count) = (Pile::default(), 0);
        for key in found {
            // One that was forgotten meanwhile is none.
            let Some(memory) = server.library.recall(&key).await? else { continue };
            if category.as_ref().is_some_and(|category| *category != memory.category) {
                continue;
            }
            pile.put(Contents::text(memory_uri(&key), "text/plain", memory.value));
            count += 1;
            if count == MOST {
                break;
            }
        }
        if count == 0 {
            let within = category.map(|c| format!(" in category {c:?}")).unwrap_or_default();
            return Err(ToolError::not_found(format!(
                "nothing is remembered about {topic:?}{within}: try fewer words, or list_memories"
            )));
        }
        let question = format!(
            "Above is what is remembered about {topic:?}. Say in a few sentences what it amounts to, naming the \
             memories you rely on, and say where they contradict each other or are out of date."
        );
        Ok(Messages::user(pile.asked(question, "recall")))
    }
}

impl Prompt for RecallTopic {
    const TITLE: &'static str = "What is remembered about a topic";

    async fn complete(server: &A2aUnified, argument: &str, typed: &str) -> Vec<String> {
        match argument {
            "topic" => keys(server, typed, MOST_PROPOSED).await,
            "category" => beginning(server.library.categories().await.unwrap_or_default(), typed),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::remember::Remember;
    use super::super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        for (key, value, category) in [
            ("lamp", "the lamp is red", "home"),
            ("lamp shop", "sells a lamp", "work"),
            ("huge", &*format!("lamp {}", "x".repeat(300 << 10)), "home"),
        ] {
            let memory = json!({"key": key, "value": value, "category": category});
            call::<Remember>(&server, memory).await.unwrap();
        }
        let uris = async |arguments| -> (Vec<Value>, String) {
            let got = call::<RecallTopic>(&server, arguments).await.unwrap();
            let messages = got["messages"].as_array().unwrap();
            let (last, before) = messages.split_last().unwrap();
            let uris = before.iter().map(|m| m["content"]["resource"]["uri"].clone()).collect();
            (uris, last["content"]["text"].as_str().unwrap().to_owned())
        };
        let (all, question) = uris(json!({"topic": "lamp"})).await;
        assert_eq!(all, ["memory://lamp", "memory://lamp%20shop"]);
        assert!(question.contains("\"lamp\"") && question.contains("1 more"), "{question}");
        assert_eq!(uris(json!({"topic": "lamp", "category": "work"})).await.0, ["memory://lamp%20shop"]);
        assert_eq!(RecallTopic::complete(&server, "category", "").await, ["home", "work"]);
        assert_eq!(RecallTopic::complete(&server, "category", "w").await, ["work"]);
        assert_eq!(RecallTopic::complete(&server, "topic", "lam").await, ["lamp shop", "lamp"]);
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<RecallTopic>(&server, arguments).await;
        assert_eq!(kind(json!({"topic": "lamp"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"topic": " "})).await, Kind::Invalid);
        assert_eq!(kind(json!({"topic": "t".repeat(513)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"topic": "t", "category": "c".repeat(129)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"subject": "lamp"})).await, Kind::Invalid);
    }
}
