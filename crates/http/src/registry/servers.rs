//! `GET /v0.1/servers`

use super::entry::{self, Entry};
use super::seen;
use crate::app::AppState;
use crate::guard;
use crate::listen::Ends;
use crate::refusal::Refusal;
use crate::rest::{Answer, Route, shape};
use axum::extract::{Query, State};
use axum::{Extension, Json, routing};
use http::{HeaderMap, Uri};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use toolgate_core::Caller;

const LIMIT: usize = 30;
const MAX_LIMIT: usize = 100;
// Longest text that is looked for, in bytes.
const MAX_SEARCH: usize = 200;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: super::ROOT,
        id: "registryServers",
        summary: "Servers as entries of an MCP registry (query: cursor, limit, search, updated_since, version); needs no key \
                  where http.registry.open is set",
        tag: "registry",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Page>),
        refusals: &[],
        handler: routing::get(servers),
    }
}

/// A page of servers.
#[derive(Serialize, JsonSchema)]
pub(super) struct Page {
    pub servers: Vec<Entry>,
    pub metadata: Metadata,
}

/// Where the page is in the whole.
#[derive(Default, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(super) struct Metadata {
    /// Asks for the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next_cursor: Option<String>,
    /// Servers on this page.
    pub count: usize,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Asked {
    cursor: Option<String>,
    limit: Option<usize>,
    search: Option<String>,
    updated_since: Option<String>,
    version: Option<String>,
}

async fn servers(
    State(state): State<AppState>,
    caller: Option<Extension<Arc<Caller>>>,
    Extension(ends): Extension<Ends>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Page>, Refusal> {
    let Query(asked) = Query::<Asked>::try_from_uri(&uri)
        .map_err(|_| Refusal::invalid("the query is malformed: limit is a number, the others are texts"))?;
    let limit = asked.limit.unwrap_or(LIMIT);
    if !(1..=MAX_LIMIT).contains(&limit) {
        return Err(Refusal::invalid(format!("limit must be from 1 to {MAX_LIMIT}")));
    }
    let search = asked.search.unwrap_or_default().to_lowercase();
    if search.len() > MAX_SEARCH {
        return Err(Refusal::invalid(format!("search is longer than {MAX_SEARCH} bytes")));
    }
    let since = asked.updated_since.as_deref().map(moment).transpose()?;
    // All began to be offered, as far as this process knows, when it began.
    let recent = since.is_none_or(|since| state.since() >= since);
    let mut found: Vec<Entry> = all(&state, caller.as_deref().map(|caller| &**caller), ends, &uri, &headers)?
        .into_iter()
        .filter(|_| recent)
        .filter(|entry| asked.version.as_deref().is_none_or(|v| v == "latest" || v == entry.version()))
        .filter(|entry| {
            entry.name().to_lowercase().contains(&search)
                || entry.description().to_lowercase().contains(&search)
        })
        .collect();
    found.sort_by(|a, b| a.name().cmp(b.name()));
    if let Some(cursor) = &asked.cursor {
        found.retain(|entry| entry.name() > cursor.as_str());
    }
    let more = found.len() > limit;
    found.truncate(limit);
    let next_cursor = found.last().filter(|_| more).map(|entry| entry.name().to_owned());
    let metadata = Metadata { next_cursor, count: found.len() };
    Ok(Json(Page { servers: found, metadata }))
}

/// Every server that may be seen.
pub(super) fn all(
    state: &AppState,
    caller: Option<&Caller>,
    ends: Ends,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Vec<Entry>, Refusal> {
    let settings = &state.settings().registry;
    if caller.is_none() && !settings.open {
        return Err(Refusal::unauthenticated("the registry needs a key"));
    }
    let base = match &settings.public_url {
        Some(url) => url.trim_end_matches('/').to_owned(),
        None => format!("{}://{}", if ends.tls { "https" } else { "http" }, guard::asked_host(uri, headers)?),
    };
    Ok(seen(state, caller)
        .into_iter()
        .map(|view| entry::entry(view, settings, &base, state.since()))
        .collect())
}

fn moment(text: &str) -> Result<Timestamp, Refusal> {
    text.parse()
        .map_err(|_| Refusal::invalid("updated_since must be an RFC 3339 time, such as 2026-11-21T16:00:00Z"))
}
