//! Upstream MCP servers: connected, spoken to in their own era, watched, and offered to the engine as mounted servers.
//!
//! The binary makes it from the configuration and the store, and hands what it offers to the engine; a call comes back
//! through the same `AnyTool` that a built-in tool has, so that nothing here decides who may do what. Knows neither the
//! engine nor the edge: which era the client speaks is hidden behind `Link`.

pub mod settings;
pub mod transport;

pub use settings::Upstream;
