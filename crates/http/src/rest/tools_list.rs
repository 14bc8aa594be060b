//! `GET /mcp/{server}/tools`

use super::route::{Answer, At, Route, shape};
use super::view::Tool;
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::{Extension, Json, routing};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/mcp/{server}/tools",
        id: "listTools",
        summary: "Tools of a server that you may call; none while it is stopped",
        tag: "tools",
        open: false,
        body: None,
        answer: Answer::Json(shape::<ToolList>),
        refusals: &[404],
        handler: routing::get(list),
    }
}

/// Tools of one server.
#[derive(Serialize, JsonSchema)]
struct ToolList {
    server: String,
    tools: Vec<Tool>,
}

async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(server): At<String>,
) -> Result<Json<ToolList>, Refusal> {
    let entries = state.engine().tools(&caller, Some(&server))?;
    Ok(Json(ToolList { server, tools: entries.iter().map(|entry| Tool::from(&**entry)).collect() }))
}
