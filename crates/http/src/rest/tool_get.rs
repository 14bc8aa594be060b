//! `GET /mcp/{server}/tools/{tool}`

use super::route::{Answer, At, Route, shape};
use super::view::Tool;
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::{Extension, Json, routing};
use std::sync::Arc;
use toolgate_core::Caller;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/mcp/{server}/tools/{tool}",
        id: "getTool",
        summary: "One tool: what it does and the schemas of its parameters and result",
        tag: "tools",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Tool>),
        refusals: &[404],
        handler: routing::get(get),
    }
}

async fn get(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At((server, tool)): At<(String, String)>,
) -> Result<Json<Tool>, Refusal> {
    let entries = state.engine().tools(&caller, Some(&server))?;
    let named = |name: &str| entries.iter().find(|e| *e.tool == *name || e.spec.aliases.contains(&name));
    named(&tool).map(|entry| Json(Tool::from(&**entry))).ok_or_else(|| {
        let shown: String = tool.chars().take(64).collect();
        Refusal::not_found(format!(
            "there is no tool {shown:?} on server {server:?}; GET /mcp/{server}/tools names those there are"
        ))
    })
}
