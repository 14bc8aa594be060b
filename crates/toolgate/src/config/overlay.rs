//! What the environment and the flags say, laid over the file, with the origin of each value.
//!
//! Pure: `config::load` passes the variables in. A value that cannot be placed is left for the schema check to refuse.

use super::problem::Problem;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use toolgate_core::Server;
use toolgate_tools::a2a_unified::A2aUnified;

/// Origin of a value by its dotted path; what is not listed comes from the file or is a default.
pub type Origins = BTreeMap<String, String>;

/// Flags that are configuration.
#[derive(Debug, Clone, Default)]
pub struct Flags {
    pub listen: Option<String>,
    pub data: Option<String>,
}

/// Lay environment and flags over `document`.
pub fn apply(
    document: &mut Value,
    env: &BTreeMap<String, String>,
    flags: &Flags,
    origins: &mut Origins,
    problems: &mut Vec<Problem>,
) {
    let get = |name: &str| env.get(name).map(|text| text.trim()).filter(|text| !text.is_empty());
    let mut set = |path: &str, value: Value, origin: String| {
        if place(document, path, value) {
            origins.insert(path.to_owned(), origin);
        }
    };
    let from = |name: &str| format!("environment {name}");

    if let Some(level) = get("LOG_LEVEL") {
        set("log.level", json!(rust_level(level)), from("LOG_LEVEL"));
    }
    if let Some(level) = get("TOOLGATE_LOG") {
        set("log.level", json!(level), from("TOOLGATE_LOG"));
    }
    if let Some(path) = get("DB_PATH") {
        set("a2a.db_path", json!(path), from("DB_PATH"));
    }
    if let Some(data) = get("TOOLGATE_DATA") {
        set("data", json!(data), from("TOOLGATE_DATA"));
    }
    if let Some(calls) = get("RATE_LIMIT_CALLS") {
        // The documented variables are of one server's process; here they mean every server, the one with a rate of
        // its own included.
        let period = get("RATE_LIMIT_PERIOD").unwrap_or("60");
        let rate = json!(format!("{calls}/{period}s"));
        set("limits.per_tool", rate.clone(), from("RATE_LIMIT_CALLS"));
        let own = format!("limits.servers.{}.per_tool", A2aUnified::NAME);
        set(&own, rate, from("RATE_LIMIT_CALLS"));
    } else if let Some(period) = get("RATE_LIMIT_PERIOD") {
        problems.push(Problem {
            origin: from("RATE_LIMIT_PERIOD"),
            path: String::new(),
            message: format!("{period:?} is set without RATE_LIMIT_CALLS; set both, or `limits.per_tool`"),
        });
    }
    if let Some(listen) = get("TOOLGATE_LISTEN") {
        set("listen", json!(listen), from("TOOLGATE_LISTEN"));
    } else if let Some(port) = get("PORT") {
        let host = document.get("listen").and_then(Value::as_str).unwrap_or("127.0.0.1:8000");
        let host = host.rsplit_once(':').map_or(host, |(host, _)| host).to_owned();
        if place(document, "listen", json!(format!("{host}:{port}"))) {
            origins.insert("listen".to_owned(), from("PORT"));
        }
    }
    for (path, value) in [("listen", &flags.listen), ("data", &flags.data)] {
        if let Some(value) = value {
            place(document, path, json!(value));
            origins.insert(path.to_owned(), "command line".to_owned());
        }
    }
}

// The names of Python's logging, which the documents use.
fn rust_level(level: &str) -> String {
    match level.to_ascii_uppercase().as_str() {
        "WARNING" => "warn".to_owned(),
        "CRITICAL" | "FATAL" => "error".to_owned(),
        "ERROR" | "WARN" | "INFO" | "DEBUG" | "TRACE" => level.to_ascii_lowercase(),
        _ => level.to_owned(),
    }
}

// False when something on the way is not a mapping: then the file is wrong there, and the schema check says so.
fn place(document: &mut Value, path: &str, value: Value) -> bool {
    let mut node = document;
    for part in path.split('.') {
        if node.is_null() {
            *node = Value::Object(Map::new());
        }
        let Some(object) = node.as_object_mut() else { return false };
        node = object.entry(part).or_insert(Value::Null);
    }
    *node = value;
    true
}
