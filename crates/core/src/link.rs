//! `Link`: the line from a running call to its client. What a tool says while it works, and what it asks.
//!
//! Implemented by the transports' side of the engine, for each era in its own way; seen by tools through `Ctx` only.
//! A tool asks before it acts: a modern client answers by calling again, and then the tool runs from its beginning with
//! the answers at hand.

use crate::tool::{BoxFuture, ToolError};
use serde_json::{Map, Value, json};
use std::any::Any;
use std::sync::Arc;

/// How loud a log message is (RFC 5424). Ordered from the quietest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loudness {
    Debug,
    Info,
    Notice,
    Warning,
    Error,
    Critical,
    Alert,
    Emergency,
}

/// Something that a client may be able to do for a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ability {
    /// Show its user a form.
    Elicitation,
    /// Show its user a web page.
    ElicitationUrl,
    /// Ask its model.
    Sampling,
    /// Name its root folders.
    Roots,
}

impl Ability {
    /// The ability as the member of a capabilities object that declares it.
    pub fn capability(self) -> Value {
        match self {
            Self::Elicitation => json!({"elicitation": {}}),
            Self::ElicitationUrl => json!({"elicitation": {"url": {}}}),
            Self::Sampling => json!({"sampling": {}}),
            Self::Roots => json!({"roots": {}}),
        }
    }

    /// Whether a capabilities object declares it.
    pub fn is_declared(self, capabilities: &Value) -> bool {
        match self {
            // An empty object means forms, as it did before there was anything else.
            Self::Elicitation => capabilities.get("elicitation").is_some_and(|e| {
                e.get("form").is_some() || e.as_object().is_some_and(serde_json::Map::is_empty)
            }),
            Self::ElicitationUrl => capabilities.pointer("/elicitation/url").is_some(),
            Self::Sampling => capabilities.get("sampling").is_some(),
            Self::Roots => capabilities.get("roots").is_some(),
        }
    }
}

/// A question to the client, under a key that is unique in its call.
#[derive(Debug, Clone, PartialEq)]
pub struct Ask {
    pub key: String,
    pub method: &'static str,
    pub params: Value,
    pub needs: Ability,
}

impl Ask {
    /// Show the user a form. `schema`: an object schema of flat members.
    pub fn form(key: impl Into<String>, message: &str, schema: Value) -> Self {
        let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
        Self { key: key.into(), method: "elicitation/create", params, needs: Ability::Elicitation }
    }

    /// Send the user to a web page.
    pub fn page(key: impl Into<String>, message: &str, url: &str) -> Self {
        let key = key.into();
        let params = json!({"mode": "url", "message": message, "url": url, "elicitationId": key.clone()});
        Self { key, method: "elicitation/create", params, needs: Ability::ElicitationUrl }
    }

    /// Ask the client's model; `params` are those of `sampling/createMessage`.
    pub fn model(key: impl Into<String>, params: Value) -> Self {
        Self { key: key.into(), method: "sampling/createMessage", params, needs: Ability::Sampling }
    }

    /// Ask for the client's root folders.
    pub fn roots(key: impl Into<String>) -> Self {
        Self { key: key.into(), method: "roots/list", params: json!({}), needs: Ability::Roots }
    }
}

/// What a call left when it asked, come back with the answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Resumed {
    /// As it was left; only the gateway could read or change it. Null when answers come with a call that left nothing.
    pub memo: Value,
    /// What the client answered since, by key.
    pub answers: Map<String, Value>,
}

/// Something that clients may want to hear of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// The list of tools is another.
    Tools,
    Prompts,
    Resources,
    /// What this resource holds is another.
    Resource(String),
}

/// The line to the client of one call.
pub trait Link: Send + Sync {
    /// Work done so far; never holds up the work.
    fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>);

    /// A log message, for a client that wants it.
    fn log(&self, loudness: Loudness, logger: &str, data: &Value);

    fn can(&self, ability: Ability) -> bool;

    /// What the client declared that it can do: its capabilities object.
    fn capabilities(&self) -> Value;

    /// The quietest log message that the client wants; none when it wants none.
    fn loudness(&self) -> Option<Loudness>;

    /// Ask, and wait for all answers, in the order asked. `Err` ends the call: with what is missing, or (modern era)
    /// with the questions themselves as its result. A call that leaves a `memo` is not asked the same again: it goes on
    /// from `resumed`, and what was answered in earlier rounds is its own to remember. It may leave one without asking.
    fn ask<'a>(
        &'a self,
        asks: &'a [Ask],
        memo: Option<&'a Value>,
    ) -> BoxFuture<'a, Result<Vec<Value>, ToolError>>;

    /// What this call left with `ask` when it ended with `input_required`, if the client has come back to it.
    fn resumed(&self) -> Option<Resumed>;

    /// Whether the call may become a task, which `defer` makes it.
    fn defers(&self) -> bool {
        false
    }

    /// The call takes its time: answer its client with a task now. Nothing where it cannot become one.
    fn defer(&self) {}

    /// The session that the call was made in; alive as long as the session is.
    fn session(&self) -> Option<Arc<dyn Any + Send + Sync>> {
        None
    }

    /// Let go of the connection for now; the client comes back for the rest. Nothing where that does not exist.
    fn pause(&self) {}
}
