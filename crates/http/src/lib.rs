//! The edge: listener, MCP endpoint, REST, health, metrics. The only crate that knows axum.
//!
//! Called by the binary: `bind`, then `AppState::new`, then `serve_on`. A request passes `listen` (size and time), then the
//! one function `app::edge` (Host and Origin, credential, panic barrier, headers), then one endpoint of `rest` or `mcp`,
//! which asks the engine. Nothing is decided here about who may call what. Absent on purpose: sessions of people, the
//! dashboard (to come).

mod app;
mod bounds;
mod coding;
mod cors;
mod forward;
mod guard;
mod holdings;
mod identify;
mod lent;
mod listen;
pub mod mcp;
mod openapi;
mod refusal;
mod registry;
mod reports;
mod rest;
mod sending;
mod settings;
mod strict;
mod trace;
mod traffic;
pub mod upstreams;

#[cfg(test)]
mod tests;

pub use app::{AppState, Edge, Keep, Limits};
pub use listen::{BindError, Ends, Fronts, TlsFiles, bind};
pub use mcp::{Kept, Leave, SessionHash, SessionStore};
pub use openapi::document as openapi;
pub use refusal::Refusal;
pub use registry::Registry;
pub use settings::{Sessions, Settings};

use std::future::Future;
use tokio::net::TcpListener;

/// Serve until `shutdown`, on the runtime that this is called on.
pub async fn serve(listener: TcpListener, state: AppState, shutdown: impl Future<Output = ()>) {
    serve_on(&Fronts::default(), listener, state, shutdown).await;
}

/// Serve on `fronts` until `shutdown`, then let requests in flight finish for at most `http.shutdown_timeout`.
///
/// Readiness turns 503 and `AppState::closing` turns true as soon as the shutdown begins. Call `Engine::drain` after it,
/// and drop the fronts last.
pub async fn serve_on(
    fronts: &Fronts,
    listener: TcpListener,
    state: AppState,
    shutdown: impl Future<Output = ()>,
) {
    let engine = state.engine().clone();
    let router = app::router(state.clone());
    // Their connections would be waited for.
    let subscribed = state.engine().clone();
    let shutdown = async move {
        shutdown.await;
        subscribed.end_subscriptions();
    };
    let door = listen::Door { listener, tls: state.tls(), fronts };
    let (settings, counted) = (state.settings(), || engine.connection(None));
    tokio::select! {
        () = listen::accept(door, router, settings, state.closer(), counted, shutdown) => {}
        () = state.mcp().run(&engine) => {}
    }
    state.mcp().flush().await;
}
