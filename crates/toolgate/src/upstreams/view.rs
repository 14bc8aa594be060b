//! An upstream as people and the admin API see it: settings without secrets, where it comes from, how it is.

use super::{Known, secret};
use serde::Serialize;
use serde_json::{Map, Value};
use toolgate_upstream::{Status, Upstream};

/// One upstream.
#[derive(Debug, Serialize)]
pub struct View {
    pub name: String,
    pub enabled: bool,
    /// `file`, `cli`, `api` or `import`.
    pub source: String,
    /// `http` or `stdio`.
    pub transport: &'static str,
    /// What is not the default; values of `env` and `headers` as references, and `***` where they are none.
    pub settings: Map<String, Value>,
    /// Where an imported one comes from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<Value>,
    /// RFC 3339; absent for one of the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated_at: Option<String>,
    /// Why it cannot be used as it is stored.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken: Option<String>,
    /// How it is, where a gateway runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Value>,
}

/// As it may be shown.
pub fn of(known: &Known, status: Option<&Status>) -> View {
    let row = known.row.as_ref();
    View {
        name: known.name.clone(),
        enabled: known.settings.enabled && row.is_none_or(|row| row.enabled),
        source: known.source().to_owned(),
        transport: if known.settings.command.is_some() { "stdio" } else { "http" },
        settings: lean(&secret::shown(&known.settings)),
        origin: row.and_then(|row| row.origin.as_deref()).and_then(|text| serde_json::from_str(text).ok()),
        updated_at: row.map(|row| row.updated_at.to_string()),
        broken: known.broken.clone(),
        status: status.and_then(|status| serde_json::to_value(status).ok()),
    }
}

/// What is not the default.
pub fn lean(settings: &Upstream) -> Map<String, Value> {
    let members = |settings: &Upstream| match serde_json::to_value(settings) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let defaults = members(&Upstream::default());
    members(settings).into_iter().filter(|(key, value)| defaults.get(key) != Some(value)).collect()
}

/// Where it is, in a few words.
pub fn place(settings: &Upstream) -> String {
    match (&settings.url, &settings.command) {
        (Some(url), _) => url.clone(),
        (None, Some(command)) => {
            let words = std::iter::once(command.clone()).chain(secret::arguments(&settings.args));
            words.collect::<Vec<_>>().join(" ")
        }
        (None, None) => String::new(),
    }
}
