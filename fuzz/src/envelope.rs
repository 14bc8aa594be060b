//! Target `envelope`: what `wire::message::parse` makes of a body, against a plain model of JSON-RPC 2.0 with the
//! house's bounds. Any bytes are an input.
//!
//! Both sides tell what they found in the same words; the texts are compared.

use crate::json::{Kind, Value, read, unquote};
use toolgate_wire::{Body, Malformed, Message, fault, message};

pub const WORDS: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"jsonrpc\":\"2.0\"",
    "\"jsonrpc\"",
    "\"2.0\"",
    "\"1.0\"",
    "\"id\"",
    "\"id\":1",
    "\"id\":null",
    "\"id\":\"a\"",
    "-0",
    "1.5",
    "1e3",
    "00",
    "\"method\"",
    "\"tools/call\"",
    "\"method\":\"ping\"",
    "\"params\"",
    "\"params\":{}",
    "\"params\":[]",
    "\"params\":null",
    "\"result\"",
    "\"result\":{}",
    "\"error\"",
    "\"error\":{}",
    "null",
    "true",
    "\"\\u0069d\"",
    "\"\\ud800\"",
    "\"\\ud83d\\ude00\"",
    "\\",
    "\u{feff}",
    "{\"jsonrpc\":\"2.0\",\"method\":\"a\"}",
    "[[[[[[[[",
    "]]]]]]]]",
    " \n\t",
    "\u{c}",
    "\"x\":{}",
];

// Small, so that inputs reach it.
const MAX_DEPTH: usize = 12;

pub fn check(input: &[u8]) -> Result<(), String> {
    let (got, wanted) = (seen(&message::parse(input, MAX_DEPTH)), model(input));
    if got == wanted { Ok(()) } else { Err(format!("parsed: {got}\nwanted: {wanted}")) }
}

fn seen(parsed: &Result<Body<'_>, Malformed>) -> String {
    match parsed {
        Ok(Body::One(message)) => one(message),
        Ok(Body::Batch(messages)) => {
            let all: Vec<String> = messages.iter().map(|m| m.as_ref().map_or_else(malformed, one)).collect();
            format!("batch {}", all.join(" | "))
        }
        Err(bad) => malformed(bad),
    }
}

fn one(message: &Message<'_>) -> String {
    let shown =
        |raw: &Option<&serde_json::value::RawValue>| raw.map_or("-".to_owned(), |r| r.get().to_owned());
    match message {
        Message::Request(r) => format!("request {} {:?} {}", r.id.json(), r.method, shown(&r.params)),
        Message::Notification { method, params } => format!("notification {method:?} {}", shown(params)),
        Message::Response { id, result, error } => {
            let id = id.as_ref().map_or("-", |id| id.json());
            format!("response {id} {} {}", shown(result), shown(error))
        }
    }
}

fn malformed(bad: &Malformed) -> String {
    refused(bad.fault.code, bad.id.as_ref().map(toolgate_wire::Id::json))
}

fn refused(code: i64, id: Option<&str>) -> String {
    format!("refused {code} {}", id.unwrap_or("-"))
}

fn model(input: &[u8]) -> String {
    let Ok(text) = std::str::from_utf8(input) else { return refused(fault::PARSE, None) };
    let Some(value) = read(text) else { return refused(fault::PARSE, None) };
    match &value.kind {
        Kind::Object(members) => {
            let told = object(members);
            let unreadable = told == refused(fault::PARSE, None);
            if value.depth > MAX_DEPTH && !unreadable {
                return refused(fault::INVALID_REQUEST, readable_id(members));
            }
            told
        }
        Kind::Array(items) if value.depth <= MAX_DEPTH && (1..=100).contains(&items.len()) => {
            let item = |item: &Value<'_>| match &item.kind {
                Kind::Object(members) => object(members),
                _ => refused(fault::INVALID_REQUEST, None),
            };
            format!("batch {}", items.iter().map(item).collect::<Vec<_>>().join(" | "))
        }
        _ => refused(fault::INVALID_REQUEST, None),
    }
}

fn named<'a>(members: &'a [(&str, Value<'a>)], name: &str) -> Vec<&'a str> {
    members
        .iter()
        .filter(|(key, _)| unquote(key).as_deref() == Some(name))
        .map(|(_, value)| value.text)
        .collect()
}

fn is_id(text: &str) -> bool {
    text.len() <= 1024
        && (text.starts_with('"')
            || text.bytes().enumerate().all(|(i, b)| b.is_ascii_digit() || (i == 0 && b == b'-')))
}

fn readable_id<'a>(members: &'a [(&str, Value<'a>)]) -> Option<&'a str> {
    named(members, "id").last().copied().filter(|text| is_id(text))
}

fn object(members: &[(&str, Value<'_>)]) -> String {
    // A name that stands for no text cannot be compared with any name.
    if members.iter().any(|(key, _)| unquote(key).is_none()) {
        return refused(fault::PARSE, None);
    }
    let id = readable_id(members);
    let invalid = || refused(fault::INVALID_REQUEST, id);
    let known = ["jsonrpc", "id", "method", "params", "result", "error"];
    if known.iter().any(|name| named(members, name).len() > 1) {
        return invalid();
    }
    let get = |name: &str| named(members, name).first().copied();
    let (result, error) = (get("result"), get("error"));
    if get("jsonrpc") != Some("\"2.0\"") {
        return invalid();
    }
    let Some(method) = get("method") else {
        if result.is_some() == error.is_some() {
            return invalid();
        }
        let unread = error.is_some() && get("id").is_none_or(|id| id == "null");
        if id.is_none() && !unread {
            return invalid();
        }
        return format!("response {} {} {}", id.unwrap_or("-"), result.unwrap_or("-"), error.unwrap_or("-"));
    };
    let Some(method) = unquote(method) else { return invalid() };
    if result.is_some() || error.is_some() {
        return invalid();
    }
    let params = get("params").filter(|p| *p != "null");
    if params.is_some_and(|p| !p.starts_with('{')) {
        return refused(fault::INVALID_PARAMS, id);
    }
    let params = params.unwrap_or("-");
    match (get("id"), id) {
        (None, _) => format!("notification {method:?} {params}"),
        (Some(_), Some(id)) => format!("request {id} {method:?} {params}"),
        (Some(_), None) => invalid(),
    }
}
