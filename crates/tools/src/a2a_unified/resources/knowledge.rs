//! Resource `knowledge`.

use super::super::A2aUnified;
use super::super::library::Document;
use super::{MOST_LISTED, knowledge_uri, shows_no_secret};
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::offer::Listed;
use toolgate_core::{Ctx, Resource, Spec, Tool, ToolError};

const PLAIN: &str = "text/plain";

/// An imported document, whole, by the number that `search_knowledge` gives. The newest 1000 are listed.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Knowledge {
    /// Number of the document.
    id: String,
}

/// A document as a resource holds it: title, source and address above the text.
pub(in super::super) fn contents(id: i64, document: Document) -> Contents {
    let Document { title, body, source, url } = document;
    let url = url.map(|url| format!("\n{url}")).unwrap_or_default();
    Contents::text(knowledge_uri(id), PLAIN, format!("{title}\nSource: {source}{url}\n\n{body}"))
}

impl Tool for Knowledge {
    type Server = A2aUnified;
    type Output = Reading;
    const SPEC: Spec = Spec::read("knowledge");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Reading, ToolError> {
        let none =
            || ToolError::not_found("there is no document of this number; search_knowledge finds some");
        let id = self.id.parse().map_err(|_| none())?;
        Ok(Reading::of(contents(id, server.library.document(id).await?.ok_or_else(none)?)))
    }
}

impl Resource for Knowledge {
    const URI: &'static str = "knowledge://{id}";
    const TITLE: &'static str = "Document";
    const TELLS: bool = true;
    const MIME: Option<&'static str> = Some(PLAIN);

    async fn list(server: &A2aUnified) -> Vec<Listed> {
        let titles = server.library.titles(MOST_LISTED).await.unwrap_or_default();
        let listed = |(id, title): (i64, String)| Listed {
            uri: knowledge_uri(id),
            name: format!("document {id}"),
            title: Some(title).filter(|title| shows_no_secret(title)),
            mime_type: Some(PLAIN.to_owned()),
        };
        titles.into_iter().map(listed).collect()
    }

    async fn complete(server: &A2aUnified, variable: &str, typed: &str) -> Vec<String> {
        if variable != "id" {
            return Vec::new();
        }
        let titles = server.library.titles(MOST_LISTED).await.unwrap_or_default();
        titles.into_iter().map(|(id, _)| id.to_string()).filter(|id| id.starts_with(typed)).collect()
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
        let document = json!({"title": "T", "body": "the breaker opens", "source": "handbook"});
        call::<ImportKnowledge>(&server, json!({"documents": [document]})).await.unwrap();
        let read = call::<Knowledge>(&server, json!({"id": "1"})).await.unwrap();
        assert_eq!(read["contents"][0]["uri"], "knowledge://1");
        assert_eq!(read["contents"][0]["text"], "T\nSource: handbook\n\nthe breaker opens");
        let listed = Knowledge::list(&server).await;
        assert_eq!((listed[0].uri.as_str(), listed[0].title.as_deref()), ("knowledge://1", Some("T")));
        assert_eq!(Knowledge::complete(&server, "id", "").await, ["1"]);
        assert!(Knowledge::complete(&server, "id", "2").await.is_empty());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        for id in ["1", "0", "-1", "x", "1 or 1", "99999999999999999999"] {
            assert_eq!(refusal::<Knowledge>(&server, json!({"id": id})).await, Kind::NotFound, "{id}");
        }
        assert_eq!(refusal::<Knowledge>(&server, json!({})).await, Kind::Invalid);
    }
}
