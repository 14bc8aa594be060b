//! `POST /api/v1/upstreams/import`: take servers over from a client's configuration or a registry's entries.

use super::super::route::{Answer, Route, shape};
use crate::app::AppState;
use crate::bounds;
use crate::refusal::Refusal;
use crate::upstreams::{Import, Imported};
use axum::body::Body;
use axum::extract::State;
use axum::{Extension, Json, routing};
use http::HeaderMap;
use std::sync::Arc;
use toolgate_core::Caller;

pub(in crate::rest) fn route() -> Route {
    Route {
        method: http::Method::POST,
        path: "/api/v1/upstreams/import",
        id: "importUpstreams",
        summary: "Import upstream servers; without \"apply\" the answer says what would be imported; needs upstreams:admin",
        tag: "upstreams",
        open: false,
        body: Some(shape::<Import>),
        answer: Answer::Json(shape::<Imported>),
        refusals: &[408, 409, 413, 415, 503],
        handler: routing::post(import),
    }
}

async fn import(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Imported>, Refusal> {
    let upstreams = super::changeable(&state, &caller, "upstream_imported", "import").await?;
    let asked: Import = bounds::json(&headers, body, state.limits(), &caller).await?;
    Ok(Json(upstreams.import(caller, asked).await?))
}
