//! `Nameless`: an MCP object of a list without its name, so that one text serves under every name that a thing has.
//!
//! Made by `upstream` of what an upstream wrote and by the engine of what is built in; written by the engine.

use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// The members of a `Tool`, `Prompt` or `Resource` of MCP but for `name`, as compact JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Nameless(Arc<str>);

impl Nameless {
    /// What is left of an object when its name is taken out.
    pub fn of(mut object: Map<String, Value>) -> Self {
        object.shift_remove("name");
        Self(Value::Object(object).to_string().into())
    }

    /// The same with another description.
    pub fn described(&self, description: &str) -> Self {
        let mut object: Map<String, Value> = serde_json::from_str(&self.0).unwrap_or_default();
        object.insert("description".to_owned(), description.into());
        Self::of(object)
    }

    /// What follows the name in the object: the other members, and the brace that closes it.
    pub fn rest(&self) -> &str {
        &self.0[1..]
    }

    /// Whether there is anything beside the name.
    pub fn is_empty(&self) -> bool {
        self.0.len() == 2
    }

    /// One member, as it is written. Looked for each time: for what is seldom asked for.
    pub fn member(&self, key: &str) -> Option<&RawValue> {
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(&self.0).ok()?;
        members.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_kept_is_everything_but_the_name() {
        let of = |value: Value| Nameless::of(value.as_object().unwrap().clone());
        let kept = of(json!({"x": [1], "name": "a", "description": "d", "y": {"name": "b"}}));
        assert_eq!(kept.rest(), r#""x":[1],"description":"d","y":{"name":"b"}}"#);
        assert_eq!(kept.member("y").unwrap().get(), r#"{"name":"b"}"#);
        assert!(kept.member("name").is_none() && !kept.is_empty());
        assert_eq!(kept.described("e").member("description").unwrap().get(), "\"e\"");
        let nothing = of(json!({"name": "a"}));
        assert_eq!((nothing.rest(), nothing.is_empty()), ("}", true));
    }
}
