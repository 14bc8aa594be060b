//! `GET /mcp/servers/{server_id}`

use super::route::{Answer, At, Route, shape};
use super::view::{Server, visible_server};
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::{Extension, Json, routing};
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/mcp/servers/{server_id}",
        id: "getServer",
        summary: "One tool server",
        tag: "servers",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Server>),
        refusals: &[404],
        handler: routing::get(get),
    }
}

async fn get(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(server): At<String>,
) -> Result<Json<Server>, Refusal> {
    visible_server(&state, &caller, &server).map(|view| Json(view.into()))
}
