//! `POST /api/v1/upstreams/{upstream}/test`: connect to an upstream for this alone, step by step.

use super::super::route::{Answer, At, Route, shape};
use super::super::running::Nothing;
use crate::app::AppState;
use crate::bounds;
use crate::refusal::Refusal;
use crate::upstreams::Trial;
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json, routing};
use http::HeaderMap;
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::POST,
        path: "/api/v1/upstreams/{upstream}/test",
        id: "testUpstream",
        summary: "Try an upstream server out, step by step; needs upstreams:admin",
        tag: "upstreams",
        open: false,
        body: Some(shape::<Nothing>),
        answer: Answer::Json(shape::<Trial>),
        refusals: &[404, 408, 413, 415, 503],
        handler: routing::post(test),
    }
}

async fn test(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(name): At<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Trial>, Refusal> {
    let upstreams = super::changeable(&state, &caller, "upstream_tested", &name).await?;
    let name = super::name(name)?;
    let Nothing {} = bounds::json(&headers, body, state.limits(), &caller).await?;
    Ok(Json(upstreams.test(name).await?))
}
