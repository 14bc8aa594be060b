//! The MCP endpoints: Streamable HTTP of both eras at `/mcp` (all servers), `/mcp/{server}` (one) and `/mcp/v/{name}` (a
//! virtual one), WebSocket at `/ws`, and HTTP+SSE at `/sse` where it is switched on.
//!
//! Mounted by the edge behind the Host and Origin guard and behind identification, so that a wrong origin is refused
//! first, an unknown caller next, and only then a protocol error. Handlers here find the era of a message and speak it;
//! what a method does is `engine::mcp`'s. Sessions and streams end with the key that
//! opened them; sessions outlive the process when there is a store for them (`keep`).

mod answer;
mod arriving;
mod keep;
mod legacy;
mod modern;
mod negotiate;
mod places;
mod post;
mod room;
mod session;
mod sse_door;
mod stream;
#[cfg(test)]
mod tests;
mod ws;

pub use keep::{Kept, Leave, MAX_STATE, SessionHash, SessionStore};
pub use session::Limits;

use crate::{AppState, forward, trace};
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use axum::routing::MethodRouter;
use axum::{Extension, Router};
use session::Sessions;
use std::convert::Infallible;
use std::sync::Arc;
use toolgate_core::name::Door;
use toolgate_core::trace::TraceContext;
use toolgate_core::{Caller, Error, Forwarded, Kind};
use toolgate_engine::mcp::is_door;
use toolgate_engine::{ConnectionGuard, Engine};
use toolgate_wire::Fault;

/// The MCP routes. They need an `Extension<Arc<Caller>>`, which identification sets.
pub(crate) fn routes(shared: Arc<Shared>, sse_door: bool) -> Router<AppState> {
    let door = || MethodRouter::new().post(post::post).get(get).delete(delete);
    let mut routes = Router::new().route("/mcp", door()).route("/mcp/{server}", door());
    routes = routes.route("/mcp/v/{name}", door());
    routes = routes.route("/ws", MethodRouter::new().get(ws::open));
    if sse_door {
        routes = routes.route("/sse", MethodRouter::new().get(sse_door::open));
        routes = routes.route("/message", MethodRouter::new().post(sse_door::message_in));
    }
    routes.layer(Extension(shared))
}

// What the handlers share beyond the engine.
pub(crate) struct Shared {
    sessions: Arc<Sessions>,
    places: places::Places,
    doors: sse_door::Doors,
    beat: ws::Beat,
}

impl Shared {
    pub fn new(limits: Limits, store: Option<Arc<dyn SessionStore>>) -> Self {
        let sessions = match store {
            Some(store) => Sessions::kept(limits, store),
            None => Sessions::new(limits),
        };
        Self {
            sessions: Arc::new(sessions),
            places: places::Places::new(limits),
            doors: sse_door::Doors::default(),
            beat: ws::Beat::default(),
        }
    }

    /// To be polled for as long as the gateway serves.
    pub async fn run(&self, engine: &Engine) {
        self.sessions.run(engine).await;
    }

    /// To be called when it serves no more.
    pub async fn flush(&self) {
        self.sessions.flush().await;
    }
}

// An answer that ends a request early; boxed, because it is large and rare.
type Refused = Box<Response>;

// What the path says of the door: nothing, `{server}` or `v/{name}`.
struct Named(Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let name = Path::<String>::from_request_parts(parts, state).await.ok().map(|Path(name)| name);
        let made = parts.uri.path().starts_with("/mcp/v/");
        Ok(Self(name.map(|name| if made { format!("v/{name}") } else { name })))
    }
}

// Everything that is known of an HTTP request before its body.
struct Visit {
    app: AppState,
    shared: Arc<Shared>,
    caller: Arc<Caller>,
    scope: Option<Door>,
    headers: HeaderMap,
}

impl Visit {
    // A path that cannot name a server is answered like one that names none.
    fn new(
        app: AppState,
        shared: Arc<Shared>,
        caller: Arc<Caller>,
        door: Named,
        headers: HeaderMap,
    ) -> Result<Self, Refused> {
        let scope = match door.0.map(|name| Door::parse(&name)) {
            None => None,
            Some(Ok(door)) => Some(door),
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

    fn forwarded(&self) -> Option<Arc<Forwarded>> {
        forward::of(&self.headers, &self.app)
    }

    // Counts a connection to one server. The listener counts those to the gateway; a name that is no server's is not
    // counted, because each would be a series of its own.
    fn connection(&self) -> Option<ConnectionGuard> {
        let scope = self.scope.as_ref().filter(|door| is_door(self.app.engine(), door))?;
        Some(self.app.engine().connection(Some(scope.as_str())))
    }
}

fn key_gone() -> Error {
    Error::new(Kind::Unauthenticated, "the key of this request was revoked or has expired")
}

async fn get(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    door: Named,
    headers: HeaderMap,
) -> Response {
    match Visit::new(app, shared, caller, door, headers) {
        Ok(visit) => legacy::listen(&visit).await.unwrap_or_else(|refused| *refused),
        Err(refused) => *refused,
    }
}

async fn delete(
    State(app): State<AppState>,
    Extension(shared): Extension<Arc<Shared>>,
    Extension(caller): Extension<Arc<Caller>>,
    door: Named,
    headers: HeaderMap,
) -> Response {
    match Visit::new(app, shared, caller, door, headers) {
        Ok(visit) => legacy::end(&visit).await.unwrap_or_else(|refused| *refused),
        Err(refused) => *refused,
    }
}
