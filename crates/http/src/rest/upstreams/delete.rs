//! `DELETE /api/v1/upstreams/{upstream}`

use super::super::route::{Answer, At, Route, shape};
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::{Extension, Json, routing};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::DELETE,
        path: "/api/v1/upstreams/{upstream}",
        id: "deleteUpstream",
        summary: "Remove an upstream server, with its secrets; calls that run go on; needs upstreams:admin",
        tag: "upstreams",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Removed>),
        refusals: &[404, 409, 503],
        handler: routing::delete(delete),
    }
}

/// An upstream server that was removed.
#[derive(Serialize, JsonSchema)]
struct Removed {
    name: String,
    /// Always true.
    removed: bool,
}

async fn delete(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(name): At<String>,
) -> Result<Json<Removed>, Refusal> {
    let upstreams = super::changeable(&state, &caller, "upstream_removed", &name).await?;
    let name = super::name(name)?;
    upstreams.remove(caller, name.clone()).await?;
    Ok(Json(Removed { name, removed: true }))
}
