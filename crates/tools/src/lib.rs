//! Built-in tool servers with light dependencies: one folder each, one file a tool.
//!
//! Mounted by the binary's one list. A server reaches the outside only through `Host` and the traits it declares itself;
//! it names no engine, no store and no edge.

pub mod a2a_unified;
pub mod batch;
pub mod desktop_commander;
mod ended;
mod given;
mod glob;
pub mod insight;
pub mod omnipotent;
#[cfg(test)]
mod testing;
pub mod text;
pub mod web;
