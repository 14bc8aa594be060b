//! `GET /mcp/servers`

use super::route::{Answer, Route, shape};
use super::view::Server;
use crate::app::AppState;
use axum::extract::State;
use axum::{Extension, Json, routing};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/mcp/servers",
        id: "listServers",
        summary: "Tool servers of which you may use something",
        tag: "servers",
        open: false,
        body: None,
        answer: Answer::Json(shape::<ServerList>),
        refusals: &[],
        handler: routing::get(list),
    }
}

/// Tool servers.
#[derive(Serialize, JsonSchema)]
struct ServerList {
    servers: Vec<Server>,
}

async fn list(State(state): State<AppState>, Extension(caller): Extension<Arc<Caller>>) -> Json<ServerList> {
    Json(ServerList { servers: state.engine().servers(&caller).into_iter().map(Server::from).collect() })
}
