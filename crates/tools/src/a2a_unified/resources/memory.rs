//! Resource `memory`.

use super::super::{A2aUnified, MAX_KEY, at_most};
use super::{MOST_LISTED, MOST_PROPOSED, keys, memory_uri};
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::offer::Listed;
use toolgate_core::{Ctx, Resource, Spec, Tool, ToolError};

const PLAIN: &str = "text/plain";

/// The text that is remembered under a key, as `recall` gives it. The newest 1000 are listed; subscribers hear when one
/// changes.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// Key of the memory.
    key: String,
}

impl Tool for Memory {
    type Server = A2aUnified;
    type Output = Reading;
    const SPEC: Spec = Spec::read("memory");

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Reading, ToolError> {
        at_most("key", &self.key, MAX_KEY)?;
        match server.library.recall(&self.key).await? {
            Some(memory) => Ok(Reading::of(Contents::text(memory_uri(&self.key), PLAIN, memory.value))),
            None => {
                Err(ToolError::not_found("nothing is remembered under this key; resources/list has some"))
            }
        }
    }
}

impl Resource for Memory {
    const URI: &'static str = "memory://{key}";
    const TITLE: &'static str = "Memory";
    const TELLS: bool = true;
    const MIME: Option<&'static str> = Some(PLAIN);

    async fn list(server: &A2aUnified) -> Vec<Listed> {
        let listed = |key: String| Listed {
            uri: memory_uri(&key),
            name: key,
            title: None,
            mime_type: Some(PLAIN.to_owned()),
        };
        keys(server, "", MOST_LISTED).await.into_iter().map(listed).collect()
    }

    async fn complete(server: &A2aUnified, variable: &str, typed: &str) -> Vec<String> {
        if variable == "key" { keys(server, typed, MOST_PROPOSED).await } else { Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::remember::Remember;
    use super::super::super::testing::{server, server_with};
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use std::sync::Arc;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let secret = format!("ghp_{}", "a1B2".repeat(9));
        for key in ["team/lead", "team/büro", "other", &secret] {
            call::<Remember>(&server, json!({"key": key, "value": format!("about {key}")})).await.unwrap();
        }
        let read = call::<Memory>(&server, json!({"key": "team/lead"})).await.unwrap();
        let uri = "memory://team%2Flead";
        let expected =
            json!({"contents": [{"uri": uri, "mimeType": "text/plain", "text": "about team/lead"}]});
        assert_eq!(read, expected);
        let listed = Memory::list(&server).await;
        let names: Vec<_> = listed.iter().map(|l| (l.name.as_str(), l.uri.as_str())).collect();
        let expected =
            [("other", "memory://other"), ("team/büro", "memory://team%2Fb%C3%BCro"), ("team/lead", uri)];
        assert_eq!(names, expected, "a key that looks like a secret is not listed");
        assert_eq!(Memory::complete(&server, "key", "team/").await, ["team/büro", "team/lead"]);
        assert!(Memory::complete(&server, "value", "").await.is_empty());
    }

    #[tokio::test]
    async fn refused() {
        let (broken, library, _dir) = server_with("http://127.0.0.1:1");
        let server = Arc::new(broken);
        assert_eq!(refusal::<Memory>(&server, json!({"key": "none"})).await, Kind::NotFound);
        assert_eq!(refusal::<Memory>(&server, json!({"key": "k".repeat(513)})).await, Kind::TooLarge);
        assert_eq!(refusal::<Memory>(&server, json!({"name": "k"})).await, Kind::Invalid);
        library.break_down();
        assert_eq!(refusal::<Memory>(&server, json!({"key": "none"})).await, Kind::Unavailable);
        assert!(Memory::list(&server).await.is_empty());
    }
}
