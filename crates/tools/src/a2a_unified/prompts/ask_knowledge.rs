//! Prompt `ask_knowledge`.

use super::super::resources::knowledge;
use super::super::{A2aUnified, at_most, bounded, given};
use super::{Pile, beginning};
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::content::Messages;
use toolgate_core::{Ctx, Prompt, Spec, Tool, ToolError};

const MAX_QUESTION: usize = 4096;
const MAX_SOURCE: usize = 128;
const MOST: u32 = 8;

/// A question, below the imported documents that come nearest to it.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AskKnowledge {
    /// The question.
    question: String,
    /// Only documents of this source, e.g. `handbook`.
    #[serde(default)]
    source: Option<String>,
}

impl Tool for AskKnowledge {
    type Server = A2aUnified;
    type Output = Messages;
    const SPEC: Spec = Spec::read("ask_knowledge");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Messages, ToolError> {
        bounded("question", &self.question, MAX_QUESTION)?;
        let source = given(self.source).unwrap_or_else(|| "knowledge".to_owned());
        at_most("source", &source, MAX_SOURCE)?;
        if matches!(source.as_str(), "all" | "memory") {
            return Err(ToolError::invalid("source must be that of documents; leave it out for all of them"));
        }
        let (mut pile, mut found) = (Pile::default(), false);
        for hit in server.library.search(&self.question, &source, MOST).await? {
            let Some(id) = hit.id else { continue };
            if let Some(document) = server.library.document(id).await? {
                found = true;
                pile.put(knowledge::contents(id, document));
            }
        }
        if !found {
            return Err(ToolError::not_found(
                "no document comes near to this question: try fewer words or another source, or import_knowledge",
            ));
        }
        let question = format!(
            "Answer from the documents above, naming those you rely on; say so if they do not hold the answer.\n\n{}",
            self.question
        );
        Ok(Messages::user(pile.asked(question, "search_knowledge")))
    }
}

impl Prompt for AskKnowledge {
    const TITLE: &'static str = "Ask the imported documents";

    async fn complete(server: &A2aUnified, argument: &str, typed: &str) -> Vec<String> {
        match argument {
            "source" => beginning(server.library.sources().await.unwrap_or_default(), typed),
            _ => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::import_knowledge::ImportKnowledge;
    use super::super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let document =
            json!({"title": "T", "body": "the breaker opens", "source": "handbook", "url": "https://e.org/"});
        call::<ImportKnowledge>(&server, json!({"documents": [document]})).await.unwrap();
        let got = call::<AskKnowledge>(&server, json!({"question": "breaker", "source": ""})).await.unwrap();
        let resource = &got["messages"][0]["content"]["resource"];
        assert_eq!(resource["uri"], "knowledge://1");
        assert_eq!(resource["text"], "T\nSource: handbook\nhttps://e.org/\n\nthe breaker opens");
        assert!(got["messages"][1]["content"]["text"].as_str().unwrap().ends_with("\n\nbreaker"));
        assert_eq!(AskKnowledge::complete(&server, "source", "hand").await, ["handbook"]);
        assert!(AskKnowledge::complete(&server, "question", "hand").await.is_empty());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<AskKnowledge>(&server, arguments).await;
        assert_eq!(kind(json!({"question": "breaker"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"question": ""})).await, Kind::Invalid);
        assert_eq!(kind(json!({"question": "q".repeat(4097)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"question": "q", "source": "s".repeat(129)})).await, Kind::TooLarge);
        assert_eq!(kind(json!({"question": "q", "source": "memory"})).await, Kind::Invalid);
    }
}
