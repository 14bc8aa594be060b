//! Effective values and where each comes from, for `toolgate config show`.
//!
//! Values that may be secret are those of `env` and `headers` of upstreams: references are shown, all else is `***`.

use super::Settings;
use crate::control::InEffect;
use crate::upstreams::secret;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// One effective value.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Shown {
    pub path: String,
    pub value: Value,
    /// `default`, the file, `environment NAME` or `command line`.
    pub origin: String,
    /// Values of running processes where they are others.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub running: BTreeMap<u32, Value>,
}

/// Every leaf of the effective configuration, in the order of the document.
pub fn effective(settings: &Settings) -> Vec<Shown> {
    let mut document = settings.document.clone();
    document.data = Some(settings.data.clone());
    document.a2a.db_path = Some(settings.a2a_db.clone());
    for upstream in document.upstreams.values_mut() {
        *upstream = secret::shown(upstream);
    }
    let mut rows = Vec::new();
    let whole = serde_json::to_value(&document).unwrap_or_default();
    leaves(&whole, "", &mut |path, value| {
        let origin = match (settings.origins.get(path), &settings.file) {
            (Some(origin), _) => origin.clone(),
            (None, Some(file)) if is_written(&settings.written, path) => file.display().to_string(),
            _ => "default".to_owned(),
        };
        rows.push(Shown { path: path.to_owned(), value: value.clone(), origin, running: BTreeMap::new() });
    });
    rows
}

/// The same as values by path: what a process says that it runs with.
pub fn by_path(settings: &Settings) -> InEffect {
    effective(settings).into_iter().map(|row| (row.path, row.value)).collect()
}

/// Paths whose values differ; `Null` and absence are the same.
pub fn differing(a: &InEffect, b: &InEffect) -> Vec<String> {
    let value = |of: &InEffect, path: &str| of.get(path).cloned().unwrap_or_default();
    let paths: BTreeSet<&String> = a.keys().chain(b.keys()).collect();
    paths.into_iter().filter(|path| value(a, path) != value(b, path)).cloned().collect()
}

/// What a running process takes over when it is told to read its configuration again: everything else waits for a restart.
pub fn taken_over(path: &str) -> bool {
    path == "log.level"
        || ["policy", "roles", "server_policies", "virtual_servers", "upstreams"]
            .contains(&path.split('.').next().unwrap_or_default())
}

/// Visit what is not a non-empty mapping, with its dotted path.
pub fn leaves(value: &Value, path: &str, visit: &mut dyn FnMut(&str, &Value)) {
    match value.as_object().filter(|object| !object.is_empty()) {
        Some(object) => {
            for (key, inner) in object {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                leaves(inner, &path, visit);
            }
        }
        None => visit(path, value),
    }
}

fn is_written(written: &Value, path: &str) -> bool {
    path.split('.').try_fold(written, |node, key| node.get(key)).is_some()
}
