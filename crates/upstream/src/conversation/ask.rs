//! Questions of an upstream to its client: which there are, and who can be asked them.
//!
//! Used by both conversations. What the client did not declare is never asked.

use serde_json::{Map, Value};
use toolgate_core::link::{Ability, Ask, Link};

// The capabilities that an upstream may count on; everything else ends at the gateway.
const PASSED_ON: [&str; 3] = ["elicitation", "sampling", "roots"];
// Longest text of them.
const MAX_CAPABILITIES: usize = 4096;

/// What the client of a call can do, as far as an upstream may know, as it wrote it.
pub(crate) fn capabilities(link: Option<&dyn Link>) -> Value {
    let mut said = link.map(Link::capabilities).unwrap_or_default();
    let mut passed = Map::new();
    for name in PASSED_ON {
        if let Some(value) = said.get_mut(name).filter(|value| value.is_object()) {
            passed.insert(name.to_owned(), value.take());
        }
    }
    if Value::Object(passed.clone()).to_string().len() > MAX_CAPABILITIES {
        passed.values_mut().for_each(|value| *value = Value::Object(Map::new()));
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
