//! Content that is more than data: what a tool shows, what a resource holds, what a prompt says.
//!
//! The shapes are MCP's (`ContentBlock`, `ResourceContents`, `PromptMessage`), so that they go out as they are. A tool that
//! returns data needs none of this: its struct is sent as structured content.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One piece of content.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case", rename_all_fields = "camelCase")]
pub enum Block {
    Text {
        text: String,
    },
    /// `data`: Base64.
    Image {
        data: String,
        mime_type: String,
    },
    /// `data`: Base64.
    Audio {
        data: String,
        mime_type: String,
    },
    ResourceLink {
        uri: String,
        name: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        mime_type: Option<String>,
    },
    /// What a resource holds, in place.
    Resource {
        resource: Contents,
    },
}

impl Block {
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into() }
    }

    pub fn image(bytes: &[u8], mime_type: impl Into<String>) -> Self {
        Self::Image { data: STANDARD.encode(bytes), mime_type: mime_type.into() }
    }

    pub fn audio(bytes: &[u8], mime_type: impl Into<String>) -> Self {
        Self::Audio { data: STANDARD.encode(bytes), mime_type: mime_type.into() }
    }
}

/// What a resource holds: text, or bytes as Base64.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Contents {
    pub uri: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mime_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
}

impl Contents {
    pub fn text(uri: impl Into<String>, mime_type: &str, text: impl Into<String>) -> Self {
        Self { uri: uri.into(), mime_type: Some(mime_type.to_owned()), text: Some(text.into()), blob: None }
    }

    /// A value as JSON text.
    pub fn json(uri: impl Into<String>, value: &impl Serialize) -> Result<Self, serde_json::Error> {
        Ok(Self::text(uri, "application/json", serde_json::to_string_pretty(value)?))
    }

    pub fn bytes(uri: impl Into<String>, mime_type: &str, bytes: &[u8]) -> Self {
        let blob = Some(STANDARD.encode(bytes));
        Self { uri: uri.into(), mime_type: Some(mime_type.to_owned()), text: None, blob }
    }
}

/// The result of a tool that shows something (`Spec::shows`): a whole `CallToolResult`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    pub content: Vec<Block>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub structured_content: Option<Value>,
    pub is_error: bool,
}

impl Shown {
    pub fn of(content: impl IntoIterator<Item = Block>) -> Self {
        Self { content: content.into_iter().collect(), structured_content: None, is_error: false }
    }

    pub fn text(text: impl Into<String>) -> Self {
        Self::of([Block::text(text)])
    }
}

/// The result of reading a resource.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Reading {
    pub contents: Vec<Contents>,
}

impl Reading {
    pub fn of(contents: Contents) -> Self {
        Self { contents: vec![contents] }
    }
}

/// Who says a message of a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    User,
    Assistant,
}

/// One message of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Message {
    pub role: Speaker,
    pub content: Block,
}

/// The result of getting a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Messages {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub messages: Vec<Message>,
}

impl Messages {
    /// What the user says, block by block.
    pub fn user(blocks: impl IntoIterator<Item = Block>) -> Self {
        let messages = blocks.into_iter().map(|content| Message { role: Speaker::User, content });
        Self { description: None, messages: messages.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn blocks_have_the_shapes_of_mcp() {
        let resource = Contents::bytes("x:y", "image/png", b"ab");
        for (block, expected) in [
            (Block::text("a"), json!({"type": "text", "text": "a"})),
            (
                Block::image(b"ab", "image/png"),
                json!({"type": "image", "data": "YWI=", "mimeType": "image/png"}),
            ),
            (
                Block::Resource { resource },
                json!({"type": "resource", "resource": {"uri": "x:y", "mimeType": "image/png", "blob": "YWI="}}),
            ),
            (
                Block::ResourceLink { uri: "x:y".into(), name: "y".into(), mime_type: None },
                json!({"type": "resource_link", "uri": "x:y", "name": "y"}),
            ),
        ] {
            assert_eq!(serde_json::to_value(&block).unwrap(), expected);
        }
        assert_eq!(
            serde_json::to_value(Shown::text("a")).unwrap(),
            json!({"content": [{"type": "text", "text": "a"}], "isError": false})
        );
    }
}
