//! `GET /openapi.json`

use super::route::{Answer, Route, shape};
use crate::app::AppState;
use axum::extract::State;
use axum::response::IntoResponse;
use axum::routing;
use http::header;
use serde_json::{Map, Value};

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/openapi.json",
        id: "openapi",
        summary: "This document",
        tag: "document",
        open: true,
        body: None,
        answer: Answer::Json(shape::<Map<String, Value>>),
        refusals: &[],
        handler: routing::get(openapi),
    }
}

async fn openapi(State(state): State<AppState>) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], state.openapi())
}
