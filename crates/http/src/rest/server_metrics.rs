//! `GET /mcp/{server}/metrics`

use super::metrics::{TEXT, may_observe, render};
use super::route::{Answer, At, Route};
use super::view::visible_server;
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::response::Response;
use axum::{Extension, routing};
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/mcp/{server}/metrics",
        id: "serverMetrics",
        summary: "Metrics of one server in Prometheus text format",
        tag: "metrics",
        open: false,
        body: None,
        answer: Answer::Text(TEXT),
        refusals: &[404],
        handler: routing::get(metrics),
    }
}

async fn metrics(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(server): At<String>,
) -> Result<Response, Refusal> {
    visible_server(&state, &caller, &server)?;
    may_observe(&state, &caller)?;
    render(&state, Some(server)).await
}
