//! Questions of an upstream to its client: which there are, and who can be asked them.
//!
//! Used by both conversations. What the client did not declare is never asked.

use serde_json::{Map, Value};
use toolgate_core::link::{Ability, Ask, Link};

// The capabilities that an upstream may count on, and what it may know of each; everything else ends at the gateway. Sessions
// are told apart by it, so there must be few that differ.
const PASSED_ON: [(&str, &[&str]); 3] =
    [("elicitation", &["form", "url"]), ("sampling", &["tools", "context"]), ("roots", &[])];

/// What the client of a call can do, as far as an upstream may know.
pub(crate) fn capabilities(link: Option<&dyn Link>) -> Value {
    let said = link.map(Link::capabilities).unwrap_or_default();
    let mut passed = Map::new();
    for (name, parts) in PASSED_ON {
        let Some(value) = said.get(name).and_then(Value::as_object) else { continue };
        let known = parts.iter().filter(|part| value.get(**part).is_some_and(Value::is_object));
        let known: Map<_, _> = known.map(|part| ((*part).to_owned(), Value::Object(Map::new()))).collect();
        // An empty object means forms: one that is empty only here must not.
        if name != "elicitation" || value.is_empty() || !known.is_empty() {
            passed.insert(name.to_owned(), Value::Object(known));
        }
    }
    Value::Object(passed)
}

/// The question of a request; `None` when there is none of this method.
pub(crate) fn question(key: String, method: &str, params: Value) -> Option<Ask> {
    let params = if params.is_object() { params } else { Value::Object(Map::new()) };
    let (method, needs) = match method {
        "elicitation/create" if params["mode"] == "url" => ("elicitation/create", Ability::ElicitationUrl),
        "elicitation/create" => ("elicitation/create", Ability::Elicitation),
        "sampling/createMessage" => ("sampling/createMessage", Ability::Sampling),
        "roots/list" => ("roots/list", Ability::Roots),
        _ => return None,
    };
    Some(Ask { key, method, params, needs })
}

/// Why a client that declared less cannot be asked, as JSON-RPC code and text.
pub(crate) fn refusal(ask: &Ask, link: Option<&dyn Link>) -> Option<(i64, String)> {
    let Some(link) = link else { return Some((-32601, format!("{}: there is nobody to ask", ask.method))) };
    if link.can(ask.needs) {
        return None;
    }
    let other = match ask.needs {
        Ability::Elicitation => link.can(Ability::ElicitationUrl),
        Ability::ElicitationUrl => link.can(Ability::Elicitation),
        _ => false,
    };
    let mode = ask.params["mode"].as_str().unwrap_or("form");
    Some(match other {
        true => (-32602, format!("the client does not support elicitation of mode {mode:?}")),
        false => (-32601, format!("the client does not support {}", ask.method)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::Client;
    use serde_json::json;

    #[test]
    fn capabilities_are_reduced_to_what_matters() {
        for (said, passed) in [
            (json!({"elicitation": {}, "roots": {}}), json!({"elicitation": {}, "roots": {}})),
            (json!({"elicitation": {"form": {"x": 1}, "v": 2}}), json!({"elicitation": {"form": {}}})),
            (
                json!({"elicitation": {"url": {}, "form": {}}}),
                json!({"elicitation": {"form": {}, "url": {}}}),
            ),
            (json!({"elicitation": {"v": {}}}), json!({})),
            (json!({"sampling": {"v": 1, "tools": {}}, "tasks": {}}), json!({"sampling": {"tools": {}}})),
            (
                json!({"sampling": {"v": 2}, "roots": {"v": 7, "listChanged": true}}),
                json!({"sampling": {}, "roots": {}}),
            ),
            (json!({"roots": true}), json!({})),
            (Value::Null, json!({})),
        ] {
            let client = Client::modern(said.clone());
            assert_eq!(capabilities(Some(&*client)), passed, "{said}");
        }
        assert_eq!(capabilities(None), json!({}));
    }
}
