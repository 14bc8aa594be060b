//! MCP on the wire: the JSON-RPC envelope, both eras, HTTP header rules, results, SSE frames and stdio lines.
//!
//! Used by `engine::mcp` (methods) and by `http::mcp` (transport). Bodies stay raw JSON text: what is only passed on is
//! neither parsed nor rebuilt, so nothing unknown is lost. Pure functions over bytes; the only I/O is the line reader.
//! Absent on purpose: typed models of whole messages, and any decision about who may do what.

pub mod era;
pub mod fault;
pub mod header;
pub mod id;
pub mod incoming;
pub mod line;
pub mod members;
pub mod message;
pub mod mirror;
pub mod notify;
pub mod params;
pub mod rest;
pub mod result;
pub mod scan;
pub mod sse;

pub use era::{Era, Version};
pub use fault::Fault;
pub use http::HeaderMap;
pub use id::Id;
pub use incoming::Incoming;
pub use message::{Body, Malformed, Message, Request};
pub use params::{Meta, Params};
