//! The MCP endpoint (to come).

pub fn routes() -> axum::Router<crate::AppState> {
    axum::Router::new()
}
