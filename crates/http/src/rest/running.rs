//! Starting and stopping a server: what both endpoints do.

use super::view::Server;
use crate::app::AppState;
use crate::bounds;
use crate::refusal::Refusal;
use axum::body::Body;
use http::HeaderMap;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::Caller;

/// No body, or `{}`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Start or stop. The engine decides whether the caller may, and records it either way.
pub(super) async fn set(
    state: &AppState,
    caller: &Caller,
    server: &str,
    running: bool,
    headers: &HeaderMap,
    body: Body,
) -> Result<Server, Refusal> {
    let Nothing {} = bounds::json(headers, body, state.limits(), caller).await?;
    let engine = state.engine();
    let before = engine.servers(caller).into_iter().find(|view| view.id == server).map(|view| view.running);
    let view = engine.set_running(caller, server, running).await?;
    if let Err(problem) = (state.edge().keep)(view.id.clone(), running).await {
        // Whoever is told that it failed must find the server as it was.
        if let Some(before) = before.filter(|before| *before != running) {
            engine.set_running(caller, server, before).await?;
        }
        return Err(problem.into());
    }
    Ok(view.into())
}
