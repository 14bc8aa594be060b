//! `GET /api/v1/upstreams/{upstream}`

use super::super::route::{Answer, At, Route, shape};
use crate::app::AppState;
use crate::refusal::Refusal;
use crate::upstreams::Upstream;
use axum::extract::State;
use axum::{Extension, Json, routing};
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/api/v1/upstreams/{upstream}",
        id: "getUpstream",
        summary: "One upstream server; needs upstreams:read",
        tag: "upstreams",
        open: false,
        body: None,
        answer: Answer::Json(shape::<Upstream>),
        refusals: &[404, 503],
        handler: routing::get(get),
    }
}

async fn get(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(name): At<String>,
) -> Result<Json<Upstream>, Refusal> {
    let upstreams = super::readable(&state, &caller)?;
    Ok(Json(upstreams.get(super::name(name)?).await?))
}
