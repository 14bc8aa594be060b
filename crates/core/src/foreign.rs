//! `Foreign`: what only an upstream server has, as the engine needs it.
//!
//! Made by `upstream` anew whenever the upstream's catalogue changes; the engine mounts the new one in place of the old.

use crate::caller::Caller;
use crate::pattern::Choice;
use crate::server::AnyTool;
use crate::tool::{BoxFuture, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;

/// How tools and prompts are named at the endpoint of all servers. Every one answers to `{server}__{tool}` too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prefix {
    /// `{server}__{tool}`.
    #[default]
    Always,
    /// By its own name, unless another server has one of that name.
    OnConflict,
    /// By its own name; one whose name is taken is set aside.
    Never,
}

/// What only an upstream has.
#[derive(Clone)]
pub struct Foreign {
    pub prefix: Prefix,
    /// Calls at the same time.
    pub concurrency: usize,
    pub instructions: Option<Arc<str>>,
    pub resources: Option<Resources>,
    pub relay: Arc<dyn Relay>,
    /// What it offers and is not offered here, with the reason: broken schemas, names that are taken.
    pub set_aside: Arc<[SetAside]>,
}

/// Something of an upstream that is not offered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SetAside {
    pub name: String,
    pub reason: String,
}

/// The resources of an upstream: one thing to policy and limits, whatever their number.
#[derive(Clone)]
pub struct Resources {
    /// Reads one; takes `{"uri": …}`. Named `resources/read`.
    pub read: Arc<dyn AnyTool>,
    pub fixed: Arc<[Listing]>,
    pub templates: Arc<[Listing]>,
    /// Which URIs may be read: lists have only those, and others are not there.
    pub choice: Choice,
    /// Whether it tells of changes to one.
    pub subscribe: bool,
}

/// A resource or template as its upstream describes it.
#[derive(Debug, Clone)]
pub struct Listing {
    /// Its URI or URI template.
    pub uri: String,
    /// The MCP object (`Resource`, `ResourceTemplate`).
    pub json: Box<RawValue>,
}

/// What is asked of an upstream beside calls.
pub trait Relay: Send + Sync {
    /// `completion/complete`, with the upstream's own names in the params; the `completion` object.
    fn complete<'a>(
        &'a self,
        caller: &'a Arc<Caller>,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, ToolError>>;

    /// Hear of changes to a resource (its own URI) for this caller until what is returned is dropped. Several may hold the
    /// same one.
    fn watch(&self, uri: &str, caller: &Caller) -> Box<dyn Send + Sync>;
}
