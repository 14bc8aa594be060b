//! The MCP endpoint: Streamable HTTP of both eras at `/mcp` (all servers) and `/mcp/{server}` (one).
//!
//! Mounted by the edge behind the Host and Origin guard and behind identification, so that a wrong origin is refused
//! first, an unknown caller next, and only then a protocol error. Handlers here find the era of a message and speak it;
//! what a method does is `engine::mcp`'s. Absent as yet: sessions that survive a restart.

mod answer;
mod legacy;
mod modern;
mod negotiate;
mod post;
mod session;
mod stream;
#[cfg(test)]
mod tests;

pub use session::Limits;

use crate::{AppState, trace};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use session::Sessions;
use std::sync::{Arc, OnceLock};
use toolgate_core::Caller;
use toolgate_core::name::ServerName;
use toolgate_core::trace::TraceContext;
use toolgate_engine::ConnectionGuard;
use toolgate_engine::mcp::{Mirrored, is_server};
use toolgate_wire::Fault;

/// The MCP routes. They need an `Extension<Arc<Caller>>`, which identification sets.
pub fn routes() -> Router<AppState> {
    routes_with(Limits::default())
}

/// The MCP routes with other limits on sessions.
pub fn routes_with(limits: Limits) -> Router<AppState> {
    mount(Arc::new(Shared { sessions: Arc::new(Sessions::new(limits)), mirrored: OnceLock::new() }))
}

fn mount(shared: Arc<Shared>) -> Router<AppState> {
    let door = || MethodRouter::new().post(post::post).get(get).delete(delete);
    Router::new().route("/mcp", door()).route("/mcp/{server}", door()).layer(Extension(shared))
}

// What the handlers share beyond the engine.
struct Shared {
    sessions: Arc<Sessions>,
    /// The catalogue never changes, so its annotations are read once.
    mirrored: OnceLock<Mirrored>,
}

// An answer that ends a request early; boxed, because it is large and rare.
type Refused = Box<Response>;

// Everything that is known of an HTTP request before its body.
struct Visit {
    app: AppState,
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    scope: Option<ServerName>,
    headers: HeaderMap,
}

impl Visit {
    // A path that cannot name a server is answered like one that names none.
    fn new(
        app: AppState,
        shared: Arc<Shared>,
        caller: Arc<Caller>,
        door: Option<Path<String>>,
        headers: HeaderMap,
    ) -> Result<Self, Refused> {
        let scope = match door.map(|Path(name)| ServerName::new(&name)) {
            None => None,
            Some(Ok(name)) => Some(name),
            Some(Err(_)) => {
                let fault = Fault::invalid_request("there is no such server here");
                return Err(answer::fault(StatusCode::NOT_FOUND, None, &fault).into());
            }
        };
        Ok(Self { app, shared, caller, scope, headers })
    }

    fn trace(&self) -> Option<TraceContext> {
        trace::of(&self.headers)
    }

    // Counts a connection to one server. The listener counts those to the gateway; a name that is no server's is not
    // counted, because each would be a series of its own.
    fn connection(&self) -> Option<ConnectionGuard> {
        let scope = self.scope.as_ref().filter(|name| is_server(self.app.engine(), name))?;
        Some(self.app.engine().connection(Some(scope.as_str())))
    }
}

async fn get(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    door: Option<Path<String>>,
    headers: HeaderMap,
) -> Response {
    match Visit::new(app, shared, caller, door, headers) {
        Ok(visit) => legacy::listen(&visit).unwrap_or_else(|refused| *refused),
        Err(refused) => *refused,
    }
}

async fn delete(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    door: Option<Path<String>>,
    headers: HeaderMap,
) -> Response {
    match Visit::new(app, shared, caller, door, headers) {
        Ok(visit) => legacy::end(&visit).unwrap_or_else(|refused| *refused),
        Err(refused) => *refused,
    }
}
