//! `GET /v0.1/servers/{registry_name}/versions` and `/versions/{version}`: there is one version of each server, the one that
//! is offered.

use super::entry::Entry;
use super::servers::{self, Metadata, Page};
use crate::app::AppState;
use crate::listen::Ends;
use crate::refusal::Refusal;
use crate::rest::{Answer, At, Route, shape};
use axum::extract::State;
use axum::{Extension, Json, routing};
use http::{HeaderMap, Uri};
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn all() -> Route {
    Route {
        method: http::Method::GET,
        path: "/v0.1/servers/{registry_name}/versions",
        id: "registryVersions",
        summary: "Versions of one server of the registry; its name is percent-encoded",
        tag: "registry",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Page>),
        refusals: &[404],
        handler: routing::get(versions),
    }
}

pub(super) fn one() -> Route {
    Route {
        method: http::Method::GET,
        path: "/v0.1/servers/{registry_name}/versions/{version}",
        id: "registryVersion",
        summary: "One version of a server of the registry, or \"latest\"",
        tag: "registry",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Entry>),
        refusals: &[404],
        handler: routing::get(version),
    }
}

async fn versions(
    State(state): State<AppState>,
    caller: Option<Extension<Arc<Caller>>>,
    Extension(ends): Extension<Ends>,
    At(name): At<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Page>, Refusal> {
    let servers = vec![find(&state, caller.as_deref().map(|caller| &**caller), ends, &name, &uri, &headers)?];
    Ok(Json(Page { servers, metadata: Metadata { next_cursor: None, count: 1 } }))
}

async fn version(
    State(state): State<AppState>,
    caller: Option<Extension<Arc<Caller>>>,
    Extension(ends): Extension<Ends>,
    At((name, version)): At<(String, String)>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Json<Entry>, Refusal> {
    let found = find(&state, caller.as_deref().map(|caller| &**caller), ends, &name, &uri, &headers)?;
    if version != "latest" && version != found.version() {
        return Err(Refusal::not_found(
            "the server is not here in this version; \"latest\" is the one that is",
        ));
    }
    Ok(Json(found))
}

fn find(
    state: &AppState,
    caller: Option<&Caller>,
    ends: Ends,
    name: &str,
    uri: &Uri,
    headers: &HeaderMap,
) -> Result<Entry, Refusal> {
    let all = servers::all(state, caller, ends, uri, headers)?;
    let none = || Refusal::not_found("there is no such server here; GET /v0.1/servers lists those there are");
    all.into_iter().find(|entry| entry.name() == name).ok_or_else(none)
}
