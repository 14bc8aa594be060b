//! `GET /mcp/{server}/health`

use super::route::{Answer, At, Route, shape};
use super::view::{Report, visible_server};
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
        path: "/mcp/{server}/health",
        id: "serverHealth",
        summary: "Health of one server",
        tag: "health",
        open: false,
        body: None,
        answer: Answer::Report(shape::<Report>),
        refusals: &[404],
        handler: routing::get(health),
    }
}

async fn health(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(server): At<String>,
) -> Result<Response, Refusal> {
    visible_server(&state, &caller, &server)?;
    Ok(super::ready::answer(&state, Some(&server)).await)
}
