//! The edge: listener, MCP endpoint, REST, health, metrics. The only crate that knows axum.

pub mod mcp;
pub mod state;

pub use state::AppState;
