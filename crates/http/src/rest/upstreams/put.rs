//! `PUT /api/v1/upstreams/{upstream}`: add an upstream, or replace it. Literal secrets are put into files.

use super::super::route::{Answer, At, Route, shape};
use crate::app::AppState;
use crate::bounds;
use crate::refusal::Refusal;
use crate::upstreams::Put;
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json, routing};
use http::HeaderMap;
use serde_json::{Map, Value};
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::PUT,
        path: "/api/v1/upstreams/{upstream}",
        id: "putUpstream",
        summary: "Add an upstream server or replace its settings (as upstreams.NAME of toolgate.yaml); a value \"***\" keeps \
                  what is there; needs upstreams:admin",
        tag: "upstreams",
        open: false,
        body: Some(shape::<Map<String, Value>>),
        answer: Answer::Json(shape::<Put>),
        refusals: &[408, 409, 413, 415, 503],
        handler: routing::put(put),
    }
}

async fn put(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At(name): At<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Put>, Refusal> {
    let upstreams = super::changeable(&state, &caller, "upstream_changed", &name).await?;
    let name = super::name(name)?;
    let settings: Map<String, Value> = bounds::json(&headers, body, state.limits(), &caller).await?;
    Ok(Json(upstreams.put(caller, name, settings).await?))
}
