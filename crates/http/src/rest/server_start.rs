//! `POST /mcp/servers/{server_id}/start`

use super::route::{Answer, At, Route, shape};
use super::running::{Nothing, set};
use super::view::Server;
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json, routing};
use http::HeaderMap;
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::POST,
        path: "/mcp/servers/{server_id}/start",
        id: "startServer",
        summary: "Let a stopped server list and run its tools again; for administrators",
        tag: "servers",
        open: false,
        body: Some(shape::<Nothing>),
        answer: Answer::Json(shape::<Server>),
        refusals: &[404, 408, 413, 415, 503],
        handler: routing::post(start),
    }
}

async fn start(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(server): At<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Server>, Refusal> {
    set(&state, &caller, &server, true, &headers, body).await.map(Json)
}
