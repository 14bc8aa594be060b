//! An upstream as people and the admin API see it: settings without secrets, where it comes from, how it is.

use super::{Known, secret};
use serde_json::{Map, Value};
use toolgate_http::upstreams::Upstream;
use toolgate_upstream::{Status, Upstream as Settings};

/// As it may be shown.
pub fn of(known: &Known, status: Option<&Status>) -> Upstream {
    let row = known.row.as_ref();
    Upstream {
        name: known.name.clone(),
        enabled: known.settings.enabled && row.is_none_or(|row| row.enabled),
        source: known.source().to_owned(),
        transport: if known.settings.command.is_some() { "stdio" } else { "http" }.to_owned(),
        settings: lean(&secret::shown(&known.settings)),
        origin: row.and_then(|row| row.origin.as_deref()).and_then(|text| serde_json::from_str(text).ok()),
        updated_at: row.map(|row| row.updated_at.to_string()),
        broken: known.broken.clone(),
        status: status.and_then(|status| serde_json::to_value(status).ok()),
    }
}

/// What is not the default.
pub fn lean(settings: &Settings) -> Map<String, Value> {
    let members = |settings: &Settings| match serde_json::to_value(settings) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    };
    let defaults = members(&Settings::default());
    members(settings).into_iter().filter(|(key, value)| defaults.get(key) != Some(value)).collect()
}

/// Where it is, in a few words.
pub fn place(settings: &Settings) -> String {
    match (&settings.url, &settings.command) {
        (Some(url), _) => url.clone(),
        (None, Some(command)) => {
            let words = std::iter::once(command.clone()).chain(secret::arguments(&settings.args));
            words.collect::<Vec<_>>().join(" ")
        }
        (None, None) => String::new(),
    }
}
