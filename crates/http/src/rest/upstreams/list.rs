//! `GET /api/v1/upstreams`

use super::super::route::{Answer, Route, shape};
use crate::app::AppState;
use crate::refusal::Refusal;
use crate::upstreams::Upstream;
use axum::extract::State;
use axum::{Extension, Json, routing};
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/api/v1/upstreams",
        id: "listUpstreams",
        summary: "Upstream servers, with how they are; needs upstreams:read",
        tag: "upstreams",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Upstreams>),
        refusals: &[503],
        handler: routing::get(list),
    }
}

/// Upstream servers, by name.
#[derive(Serialize, JsonSchema)]
struct Upstreams {
    upstreams: Vec<Upstream>,
}

async fn list(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
) -> Result<Json<Upstreams>, Refusal> {
    let upstreams = super::readable(&state, &caller)?.list().await?;
    Ok(Json(Upstreams { upstreams }))
}
