//! Tool `import_knowledge`.

use super::library::Document;
use super::{A2aUnified, at_most, bounded, changes};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use url::Url;

const MAX_DOCUMENTS: usize = 100;
const MAX_TITLE: usize = 512;
const MAX_SOURCE: usize = 128;
const MAX_URL: usize = 2048;
const MAX_BODY: usize = 1 << 20;

/// Store documents for `search_knowledge`, all or none. One of the same source and title is replaced.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ImportKnowledge {
    /// 1 to 100 documents.
    #[schemars(length(min = 1, max = 100))]
    documents: Vec<Document>,
}

/// What was stored.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Imported {
    /// Documents stored, new and replaced.
    imported: usize,
    success: bool,
}

impl Tool for ImportKnowledge {
    type Server = A2aUnified;
    type Output = Imported;
    const SPEC: Spec = Spec::write("import_knowledge").timeout(secs(60)).idempotent();

    async fn call(self, server: &A2aUnified, ctx: &Ctx) -> Result<Imported, ToolError> {
        match self.documents.len() {
            0 => return Err(ToolError::invalid("documents must not be empty")),
            n if n > MAX_DOCUMENTS => {
                return Err(ToolError::too_large(format!(
                    "{n} documents; at most {MAX_DOCUMENTS} are taken at once: split the import"
                )));
            }
            _ => {}
        }
        for (index, document) in self.documents.iter().enumerate() {
            check(document).map_err(|e| ToolError::new(e.kind, format!("document {index}: {e}")))?;
        }
        let ids = server.library.import(self.documents).await?;
        changes::imported(ctx, &ids);
        Ok(Imported { imported: ids.len(), success: true })
    }
}

fn check(document: &Document) -> Result<(), ToolError> {
    bounded("title", &document.title, MAX_TITLE)?;
    bounded("source", &document.source, MAX_SOURCE)?;
    at_most("body", &document.body, MAX_BODY)?;
    if matches!(document.source.as_str(), "all" | "memory" | "knowledge") {
        let source = &document.source;
        return Err(ToolError::invalid(format!(
            "source {source:?} is a scope of the search: choose another name"
        )));
    }
    let Some(url) = &document.url else { return Ok(()) };
    at_most("url", url, MAX_URL)?;
    match Url::parse(url) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(()),
        _ => Err(ToolError::invalid("url must be an absolute http or https address")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let one = json!({"title": "T", "body": "", "source": "s", "url": "https://example.org/t"});
        let two = json!({"title": "U", "body": "b", "source": "s"});
        let done = call::<ImportKnowledge>(&server, json!({"documents": [one, two]})).await.unwrap();
        assert_eq!(done, json!({"imported": 2, "success": true}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind =
            async |documents| refusal::<ImportKnowledge>(&server, json!({"documents": documents})).await;
        let good = json!({"title": "T", "body": "b", "source": "s"});
        assert_eq!(kind(json!([])).await, Kind::Invalid);
        assert_eq!(kind(json!([{"title": "T", "source": "s"}])).await, Kind::Invalid);
        for (field, value, expected) in [
            ("title", "".to_owned(), Kind::Invalid),
            ("title", "t".repeat(513), Kind::TooLarge),
            ("source", "all".to_owned(), Kind::Invalid),
            ("source", "s".repeat(129), Kind::TooLarge),
            ("url", "javascript:x".to_owned(), Kind::Invalid),
            ("url", "/relative".to_owned(), Kind::Invalid),
            ("body", "b".repeat((1 << 20) + 1), Kind::TooLarge),
            ("text", "b".to_owned(), Kind::Invalid),
        ] {
            let mut bad = good.clone();
            bad[field] = json!(value);
            assert_eq!(kind(json!([good, bad])).await, expected, "{field}");
        }
        assert_eq!(kind(json!(vec![good; 101])).await, Kind::TooLarge);
        assert!(server.library.sources().await.unwrap().is_empty(), "all or none");
    }
}
