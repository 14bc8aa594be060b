//! `GET /ready`: readiness, with the gateway's whole health report. 503 when unhealthy or shutting down.

use super::route::{Answer, Route, shape};
use super::view::Report;
use crate::app::AppState;
use crate::refusal::Refusal;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, routing};
use http::{HeaderValue, StatusCode, header};
use toolgate_core::Kind;
use toolgate_core::server::{Health, Status};

pub(super) fn route() -> Route {
    Route {
        method: http::Method::GET,
        path: "/ready",
        id: "ready",
        summary: "Readiness: whether to send requests here, and why not",
        tag: "health",
        open: true,
        body: None,
        answer: Answer::Report(shape::<Report>),
        refusals: &[],
        handler: routing::get(ready),
    }
}

async fn ready(State(state): State<AppState>) -> Response {
    answer(&state, None).await
}

/// The report of the gateway or of one server, at most a second old.
pub(super) async fn answer(state: &AppState, server: Option<&str>) -> Response {
    let Some(made) = state.reports().of(state.engine(), server).await else {
        return Refusal::new(Kind::Unavailable, "the health checks did not finish within a second")
            .into_response();
    };
    let mut report = Report::from(&*made);
    if server.is_none() && *state.closing().borrow() {
        report.status = Status::Unhealthy;
        report.checks.push(Health::of("edge", Status::Unhealthy, "shutting down"));
    }
    if report.status == Status::Unhealthy {
        let wait = [(header::RETRY_AFTER, HeaderValue::from_static("5"))];
        return (StatusCode::SERVICE_UNAVAILABLE, wait, Json(report)).into_response();
    }
    Json(report).into_response()
}
