//! Questions of an upstream to its client: which there are, and who can be asked them.
//!
//! Used by both conversations. What the client did not declare is never asked. A form and a page say whose they are: the
//! client shows them as the gateway's, and its user would trust them as such.

use super::fault::Rpc;
use serde_json::{Map, Value};
use toolgate_core::link::{Ability, Ask, Link};
use url::Url;

// The capabilities that an upstream may count on, and what it may know of each; everything else ends at the gateway. Sessions
// are told apart by it, so there must be few that differ.
const PASSED_ON: [(&str, &[&str]); 3] =
    [("elicitation", &["form", "url"]), ("sampling", &["tools", "context"]), ("roots", &[])];
// Longest address of a page, in bytes.
const MAX_PAGE: usize = 8192;

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

/// The question of an upstream's request; `None` when there is none of this method.
pub(crate) fn question(upstream: &str, key: String, method: &str, params: Value) -> Option<Ask> {
    let mut params = if params.is_object() { params } else { Value::Object(Map::new()) };
    if method == "elicitation/create" {
        sign(upstream, &mut params);
    }
    let (method, needs) = match method {
        "elicitation/create" if params["mode"] == "url" => ("elicitation/create", Ability::ElicitationUrl),
        "elicitation/create" => ("elicitation/create", Ability::Elicitation),
        "sampling/createMessage" => ("sampling/createMessage", Ability::Sampling),
        "roots/list" => ("roots/list", Ability::Roots),
        _ => return None,
    };
    Some(Ask { key, method, params, needs })
}

// Whose message it is. Line breaks are text; other controls could only deceive who reads it.
fn sign(upstream: &str, params: &mut Value) {
    let message = params["message"].as_str().unwrap_or_default();
    let message: String = message.chars().filter(|c| !c.is_control() || matches!(c, '\n' | '\t')).collect();
    params["message"] = format!("[{upstream}] {message}").trim_end().into();
}

/// Why nobody is asked this, whoever the client is.
pub(crate) fn unfit(ask: &Ask) -> Option<String> {
    match (ask.method, ask.params.get("mode").map(Value::as_str)) {
        ("elicitation/create", Some(Some("url"))) => page(&ask.params["url"]).err(),
        ("elicitation/create", Some(mode)) if mode != Some("form") => {
            Some("mode is neither \"form\" nor \"url\"".to_owned())
        }
        _ => None,
    }
}

// Only what opens as a page, at the place that it seems to be.
fn page(url: &Value) -> Result<(), String> {
    let text = url.as_str().unwrap_or_default();
    let hidden = |c: char| {
        c.is_control()
            || c.is_whitespace()
            || matches!(c, '\\' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{2069}')
    };
    if text.is_empty() || text.len() > MAX_PAGE || text.contains(hidden) {
        return Err(format!("url is not an address of at most {MAX_PAGE} bytes without spaces and controls"));
    }
    let url = Url::parse(text).map_err(|problem| format!("url: {problem}"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err("url is not one of http or https".to_owned());
    }
    let seen = text.split_once("://").map_or("", |(_, rest)| rest);
    let authority = seen.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.is_empty() || authority.contains('@') {
        return Err("url has a user's name in front of its host, or no host".to_owned());
    }
    Ok(())
}

/// "Visit these pages first" of an upstream, as it goes on to a client that is told so; `Err` why it does not.
pub(crate) fn pages(upstream: &str, mut rpc: Rpc) -> Result<Rpc, String> {
    let pages = rpc.data.as_mut().and_then(|data| data.get_mut("elicitations")).and_then(Value::as_array_mut);
    for params in pages.into_iter().flatten() {
        let said = std::mem::take(params);
        *params = visit(upstream, String::new(), said)?.params;
    }
    Ok(rpc)
}

/// A page to visit first, as a question.
pub(crate) fn visit(upstream: &str, key: String, mut params: Value) -> Result<Ask, String> {
    if params.is_object() {
        params["mode"] = "url".into();
    }
    let ask = question(upstream, key, "elicitation/create", params);
    let ask = ask.ok_or_else(|| "it is no question".to_owned())?;
    page(&ask.params["url"]).map(|()| ask)
}

/// Why a client cannot be asked, as JSON-RPC code and text: nobody is asked such a thing, or it declared less.
pub(crate) fn refusal(ask: &Ask, link: Option<&dyn Link>) -> Option<(i64, String)> {
    if let Some(why) = unfit(ask) {
        return Some((-32602, why));
    }
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

    fn asked(params: Value) -> Ask {
        question("notes", "k".to_owned(), "elicitation/create", params).unwrap()
    }

    #[test]
    fn only_pages_that_are_what_they_seem_are_shown() {
        for (url, fit) in [
            ("https://example.org/a?b=https://c@d#e", true),
            ("http://127.0.0.1:8080/", true),
            ("HTTPS://example.org", true),
            ("javascript:alert(1)", false),
            ("file:///etc/passwd", false),
            ("data:text/html,x", false),
            ("https:example.org", false),
            ("https:///example.org", false),
            ("https://bank.example@evil.example/", false),
            ("https://@evil.example/", false),
            ("https://bank.example\\@evil.example/", false),
            ("http://169.254.169.254/\u{1b}[31m", false),
            ("https://a.example/\n", false),
            ("https://a.example/\u{202e}", false),
            ("https://", false),
            ("", false),
        ] {
            assert_eq!(unfit(&asked(json!({"mode": "url", "url": url}))).is_none(), fit, "{url:?}");
        }
        assert!(unfit(&asked(json!({"mode": "url"}))).is_some());
        assert!(unfit(&asked(json!({"mode": "URL", "url": "javascript:1"}))).is_some());
        assert!(unfit(&asked(json!({"mode": 1}))).is_some());
        assert!(unfit(&asked(json!({"mode": "form"}))).is_none());
        assert!(unfit(&asked(json!({}))).is_none());
        let long = format!("https://a/{}", "x".repeat(MAX_PAGE));
        assert!(unfit(&asked(json!({"mode": "url", "url": long}))).is_some());
    }

    #[test]
    fn a_question_says_whose_it_is() {
        for (message, expected) in [
            (json!("who?"), "[notes] who?"),
            (json!("Toolgate: \u{1b}[31msign in\nnow"), "[notes] Toolgate: [31msign in\nnow"),
            (json!(null), "[notes]"),
            (json!(["x"]), "[notes]"),
        ] {
            assert_eq!(asked(json!({"message": message})).params["message"], expected);
        }
        let sampling = question("notes", "k".to_owned(), "sampling/createMessage", json!({"messages": []}));
        assert_eq!(sampling.unwrap().params, json!({"messages": []}), "no word of a user's");
    }

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
