//! `GET /health`: liveness. Answers while the process serves and looks at nothing else.

use super::route::{Answer, Route, shape};
use crate::app::AppState;
use axum::extract::State;
use axum::{Json, routing};
use schemars::JsonSchema;
use serde::Serialize;

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/health",
        id: "health",
        summary: "Liveness: the process serves",
        tag: "health",
        open: true,
        body: None,
        answer: Answer::Json(shape::<Alive>),
        refusals: &[],
        handler: routing::get(health),
    }
}

/// The process serves.
#[derive(Serialize, JsonSchema)]
struct Alive {
    /// Always `healthy`.
    status: &'static str,
    version: &'static str,
    /// Whole seconds since the start.
    uptime_seconds: u64,
}

async fn health(State(state): State<AppState>) -> Json<Alive> {
    let uptime_seconds = state.uptime().as_secs();
    Json(Alive { status: "healthy", version: env!("CARGO_PKG_VERSION"), uptime_seconds })
}
