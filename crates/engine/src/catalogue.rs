//! The catalogue: every tool by every name it answers to. (signatures)

use serde::Serialize;
use serde_json::value::RawValue;
use toolgate_core::Spec;
use toolgate_core::name::ServerName;
use toolgate_core::server::State;

/// A tool in the catalogue.
pub struct Entry {
    pub server: ServerName,
    pub tool: &'static str,
    /// `{server}__{tool}`, at most 64 characters.
    pub exposed: String,
    pub spec: Spec,
    pub description: String,
    pub input_schema: Box<RawValue>,
    pub output_schema: Box<RawValue>,
    /// The MCP `Tool` object under the exposed name, ready to send (name, title, description, inputSchema,
    /// outputSchema, annotations).
    pub listing: Box<RawValue>,
    /// The same under the bare name, for `/mcp/{server}`.
    pub listing_bare: Box<RawValue>,
}

/// A server as a caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct ServerView {
    pub id: String,
    pub name: String,
    pub description: String,
    pub version: String,
    pub running: bool,
    #[serde(flatten)]
    pub state: State,
    /// Tools this caller may call.
    pub tools: usize,
}
