//! `GET /metrics`: Prometheus text exposition, for callers that may observe, or for all with `http.open_metrics`.

use super::route::{Answer, Route};
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, routing};
use http::header;
use std::sync::Arc;
use toolgate_core::{Caller, Error, Kind};

pub(crate) const PATH: &str = "/metrics";
pub(super) const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: PATH,
        id: "metrics",
        summary: "Metrics of the gateway in Prometheus text format; no key is needed where http.open_metrics is set",
        tag: "metrics",
        open: false,
        body: None,
        answer: Answer::Text(TEXT),
        refusals: &[],
        handler: routing::get(metrics),
    }
}

async fn metrics(
    State(state): State<AppState>,
    caller: Option<Extension<Arc<Caller>>>,
) -> Result<Response, Refusal> {
    match caller {
        Some(Extension(caller)) => may_observe(&state, &caller)?,
        None if state.settings().open_metrics => {}
        None => return Err(Refusal::unauthenticated("metrics need a key")),
    }
    render(&state, None).await
}

pub(super) fn may_observe(state: &AppState, caller: &Caller) -> Result<(), Refusal> {
    if state.engine().may_observe(caller) {
        return Ok(());
    }
    Err(Refusal::new(
        Kind::Forbidden,
        "metrics are for callers with the permission monitoring:read; ask an administrator for a key that has it",
    ))
}

/// The text, for the gateway or for one server.
pub(super) async fn render(state: &AppState, server: Option<String>) -> Result<Response, Refusal> {
    let (engine, memory) = (state.engine().clone(), state.edge().memory);
    let mut requests = String::new();
    if server.is_none() {
        requests = state.traffic().render();
        requests.extend(state.tls().map(|tls| tls.render()));
    }
    let text = tokio::task::spawn_blocking(move || engine.metrics(server.as_deref(), memory()) + &requests)
        .await
        .map_err(Error::internal)?;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}
