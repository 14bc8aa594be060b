//! A request of the modern era: stands alone, is checked against its headers, and is cancelled by closing its connection.

use super::negotiate::Accepts;
use super::{Visit, answer};
use axum::response::Response;
use std::sync::Arc;
use tokio::sync::mpsc;
use toolgate_engine::mcp::{self, Peer, Reply, Step};
use toolgate_wire::era::Era;
use toolgate_wire::{Fault, Incoming, header};

/// Messages of one request that wait to be sent.
pub(super) const OUTBOX: usize = 64;

pub(super) async fn request(visit: &Visit, accepts: Accepts, request: &Incoming<'_>) -> Response {
    let peer = match check(visit, request) {
        Ok(peer) => peer,
        Err(fault) => {
            return answer::whole(Reply::fault(Era::Modern, Some(&request.id), &fault), accepts);
        }
    };
    let engine = visit.app.engine();
    let connection = visit.connection();
    if accepts.sse {
        let (outbox, notes) = mpsc::channel(OUTBOX);
        return match mcp::start(engine, &peer, request, Some(&outbox)) {
            Step::Done(reply) => answer::whole(reply, accepts),
            Step::Call(pending) => {
                drop(outbox);
                let engine = engine.clone();
                let run = async move {
                    let _connection = connection;
                    pending.run(&engine).await
                };
                answer::progressing(run, notes, accepts).await
            }
        };
    }
    let reply = match mcp::start(engine, &peer, request, None) {
        Step::Done(reply) => reply,
        Step::Call(pending) => pending.run(engine).await,
    };
    drop(connection);
    answer::whole(reply, accepts)
}

fn check(visit: &Visit, request: &Incoming<'_>) -> Result<Peer, Fault> {
    let version = header::check(&visit.headers, &request.method, &request.params, &request.meta)?;
    let peer = Peer {
        caller: visit.caller.clone(),
        scope: visit.scope.clone(),
        version,
        http: true,
        client: request.meta.client().map(Arc::new),
        session: None,
        trace: visit.trace(),
        forwarded: visit.forwarded(),
    };
    let engine = visit.app.engine();
    mcp::check_mirrored(engine, &peer, request, &visit.headers)?;
    Ok(peer)
}
