//! Toolgate's vocabulary and pure rules: the nouns that every other crate speaks in.
//!
//! Used by all crates; uses none of them. No I/O, no clock, no global state: whoever needs the time passes it in.

pub mod call;
pub mod caller;
pub mod canon;
pub mod content;
pub mod ctx;
pub mod error;
pub mod foreign;
pub mod id;
pub mod json;
pub mod json_text;
pub mod kind;
pub mod link;
pub mod listing;
pub mod name;
pub mod offer;
pub mod outcome;
pub mod param;
pub mod pattern;
pub mod policy;
pub mod quota;
pub mod record;
pub mod redact;
pub mod server;
pub mod spec;
pub mod tool;
pub mod trace;
pub mod unit;
pub mod uri;

pub use call::{Call, Face, Forwarded};
pub use caller::{Caller, ClientInfo};
pub use ctx::Ctx;
pub use error::Error;
pub use json_text::JsonText;
pub use kind::Kind;
pub use offer::{Completer, Prompt, PromptDef, Resource, ResourceDef};
pub use outcome::{Outcome, ToolOutput};
pub use record::Record;
pub use server::{Health, Mount, Server, State};
pub use spec::{Effect, Spec};
pub use tool::{Tool, ToolDef, ToolError};
