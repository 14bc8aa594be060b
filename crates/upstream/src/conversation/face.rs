//! `Face`: what an upstream says of itself, of which only what is read here is kept: it lives as long as its session.
//!
//! Made of the answers to `initialize` and `server/discover`. What is larger than it has reason to be is refused before it
//! is parsed.

use super::task::EXTENSION;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;
use toolgate_wire::result::Pairs;

// Bytes of the whole answer, of what it can do, and of its instructions.
const MAX_ANSWER: usize = 1 << 20;
const MAX_CAPABILITIES: usize = 64 << 10;
const MAX_INSTRUCTIONS: usize = 64 << 10;
// Bytes of any other member, and characters of a name in it.
const MAX_MEMBER: usize = 4096;
const MAX_NAME: usize = 400;
const NAMES: [&str; 4] = ["name", "title", "version", "description"];

/// What an upstream says of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct Face {
    pub version: String,
    /// Of each list whether it is there and tells of changes; `logging`, `completions` and the extension of tasks.
    pub capabilities: Value,
    /// Its names and version.
    pub info: Value,
    pub instructions: Option<Arc<str>>,
    /// How long its lists hold, when it says so.
    pub ttl: Option<Duration>,
}

/// An answer in which an upstream says what it is.
pub(super) struct Answer<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Answer<'a> {
    /// The error is a sentence about the upstream.
    pub fn of(answer: &'a str) -> Result<Self, String> {
        let bytes = answer.len();
        if bytes > MAX_ANSWER {
            return Err(format!("what it says of itself is {bytes} bytes, at most {MAX_ANSWER}"));
        }
        Ok(Self(Pairs::of(answer).into_iter().collect()))
    }

    fn raw(&self, key: &str) -> Option<&'a RawValue> {
        self.0.iter().find_map(|(name, value)| (name == key).then_some(*value))
    }

    /// A small member; null when it is not there or large.
    pub fn small(&self, key: &str) -> Value {
        self.raw(key).and_then(|raw| value(raw, MAX_MEMBER)).unwrap_or_default()
    }

    /// What it says, with the version that is spoken.
    pub fn face(&self, version: &str) -> Result<Face, String> {
        let info = self.raw("_meta").into_iter().flat_map(|meta| Pairs::of(meta.get()));
        let info = info
            .into_iter()
            .find_map(|(key, raw)| (key == SERVER_INFO && raw.get() != "null").then_some(raw));
        let instructions = self.raw("instructions").and_then(|raw| value(raw, 2 * MAX_INSTRUCTIONS));
        Ok(Face {
            version: version.to_owned(),
            capabilities: self.capabilities()?,
            info: names(info.or_else(|| self.raw("serverInfo"))),
            instructions: instructions
                .as_ref()
                .and_then(Value::as_str)
                .filter(|text| text.len() <= MAX_INSTRUCTIONS)
                .map(Into::into),
            ttl: self.small("ttlMs").as_u64().map(Duration::from_millis),
        })
    }

    fn capabilities(&self) -> Result<Value, String> {
        let Some(raw) = self.raw("capabilities") else { return Ok(json!({})) };
        let bytes = raw.get().len();
        let said = value(raw, MAX_CAPABILITIES)
            .ok_or_else(|| format!("its capabilities are {bytes} bytes, at most {MAX_CAPABILITIES}"))?;
        let mut kept = Map::new();
        for list in ["tools", "prompts", "resources"] {
            if let Some(said) = said.get(list) {
                let flag = |key: &str| said[key] == true;
                let flags = json!({ "listChanged": flag("listChanged"), "subscribe": flag("subscribe") });
                kept.insert(list.to_owned(), flags);
            }
        }
        for name in ["logging", "completions"] {
            if said.get(name).is_some() {
                kept.insert(name.to_owned(), json!({}));
            }
        }
        if said["extensions"].get(EXTENSION).is_some() {
            kept.insert("extensions".to_owned(), json!({ EXTENSION: {} }));
        }
        Ok(Value::Object(kept))
    }
}

const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";

fn value(raw: &RawValue, most: usize) -> Option<Value> {
    (raw.get().len() <= most).then(|| serde_json::from_str(raw.get()).ok()).flatten()
}

// Icons and whatever else there is are left out.
fn names(info: Option<&RawValue>) -> Value {
    let mut kept = Map::new();
    for (key, raw) in info.map(|raw| Pairs::of(raw.get())).unwrap_or_default() {
        if let (true, Some(Value::String(text))) = (NAMES.contains(&&*key), value(raw, MAX_MEMBER)) {
            kept.insert(key.into_owned(), text.chars().take(MAX_NAME).collect::<String>().into());
        }
    }
    Value::Object(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn face(answer: &Value) -> Result<Face, String> {
        Answer::of(&answer.to_string())?.face("v")
    }

    #[test]
    fn only_what_is_read_is_kept() {
        let face = face(&json!({
            "capabilities": {
                "tools": {"listChanged": true, "x": [1]}, "resources": {"subscribe": true}, "logging": {"x": 1}, "x": [2],
                "extensions": {"io.modelcontextprotocol/tasks": {"x": 1}, "other": {}},
            },
            "serverInfo": {"name": "n", "version": "1", "icons": [{"src": "x".repeat(100_000)}], "title": "t".repeat(9000)},
            "instructions": "i",
        }))
        .unwrap();
        let capabilities = json!({
            "tools": {"listChanged": true, "subscribe": false}, "resources": {"listChanged": false, "subscribe": true},
            "logging": {}, "extensions": {"io.modelcontextprotocol/tasks": {}},
        });
        assert_eq!(face.capabilities, capabilities);
        assert_eq!(face.info, json!({"name": "n", "version": "1"}));
        assert_eq!(face.instructions.as_deref(), Some("i"));
    }

    #[test]
    fn what_is_too_large_is_refused_and_said() {
        let why = face(&json!({"capabilities": {"x": "y".repeat(MAX_CAPABILITIES)}})).unwrap_err();
        assert!(why.contains("its capabilities are 65544 bytes, at most 65536"), "{why}");
        let why = face(&json!({"x": "y".repeat(MAX_ANSWER)})).unwrap_err();
        assert!(why.contains("what it says of itself is"), "{why}");
        let long = face(&json!({"instructions": "y".repeat(MAX_INSTRUCTIONS + 1)})).unwrap();
        assert_eq!(long.instructions, None);
    }
}
