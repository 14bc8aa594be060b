//! The legacy era: `initialize` opens a session, everything else happens in one.
//!
//! A call ends when its connection does: there is no replay of what could not be delivered yet, so nobody would ever see
//! its answer.

use super::negotiate::{self, Accepts};
use super::session::{Session, Use};
use super::{Refused, Visit, answer, modern::OUTBOX};
use axum::http::{HeaderName, HeaderValue, StatusCode, header as http_header};
use axum::response::Response;
use futures_util::future::Abortable;
use serde_json::value::RawValue;
use tokio::sync::mpsc;
use toolgate_core::{Error, Kind};
use toolgate_engine::mcp::{self, Peer, Reply, Step, batch};
use toolgate_wire::era::{self, Era, Version};
use toolgate_wire::message::Message;
use toolgate_wire::{Fault, Id, Incoming, Malformed, header};

const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);

fn refuse(status: StatusCode, id: Option<&Id>, why: &'static str) -> Response {
    answer::fault(status, id, &Fault::invalid_request(why))
}

// The session that a request names, for as long as the request lasts.
fn session(visit: &Visit, id: Option<&Id>) -> Result<Use, Refused> {
    let Some(name) = visit.headers.get(SESSION_ID) else {
        let why = "header Mcp-Session-Id is missing; send initialize first";
        return Err(refuse(StatusCode::BAD_REQUEST, id, why).into());
    };
    let known = name
        .to_str()
        .ok()
        .and_then(|name| visit.shared.sessions.find(name, &visit.caller, visit.scope.as_ref()));
    let used = known.ok_or_else(|| {
        refuse(StatusCode::NOT_FOUND, id, "there is no such session; send initialize to begin a new one")
    })?;
    // The era is known, so the header is absent or names a legacy version.
    let spoken = header::value(&visit.headers, header::PROTOCOL_VERSION).ok().flatten();
    if spoken.and_then(Version::parse).is_some_and(|version| !version.on_http()) {
        let why = "MCP-Protocol-Version: this version does not exist over HTTP";
        return Err(refuse(StatusCode::BAD_REQUEST, id, why).into());
    }
    Ok(used)
}

fn peer(visit: &Visit, session: &Session) -> Peer {
    Peer {
        caller: visit.caller.clone(),
        scope: visit.scope.clone(),
        version: session.version,
        http: true,
        client: session.client.clone(),
        trace: visit.trace(),
    }
}

pub(super) async fn request(visit: &Visit, accepts: Accepts, request: &Incoming<'_>) -> Response {
    if request.method == "initialize" && !visit.headers.contains_key(SESSION_ID) {
        return open(visit, accepts, request);
    }
    let id = &request.id;
    let mut used = match session(visit, Some(id)) {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if request.method == "initialize" {
        return refuse(StatusCode::BAD_REQUEST, Some(id), "this session is initialized already");
    }
    let (engine, peer) = (visit.app.engine(), peer(visit, &used.session));
    let (outbox, notes) = match accepts.sse && request.meta.progress_token().is_some() {
        true => Some(mpsc::channel(OUTBOX)).unzip(),
        false => (None, None),
    };
    let pending = match mcp::start(engine, &peer, request, outbox.as_ref()) {
        Step::Done(reply) => return answer::whole(reply, accepts),
        Step::Call(pending) => pending,
    };
    drop(outbox);
    let registration = match used.call(id) {
        Ok(registration) => registration,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, Some(id), why),
    };
    let (engine, id) = (engine.clone(), id.clone());
    let run = async move {
        let _used = used;
        match Abortable::new(pending.run(&engine), registration).await {
            Ok(reply) => reply,
            Err(_) => Reply::error(Era::Legacy, &id, &Error::new(Kind::Cancelled, "cancelled")),
        }
    };
    match notes {
        Some(notes) => answer::progressing(run, notes, false, accepts).await,
        None => answer::whole(run.await, accepts),
    }
}

fn open(visit: &Visit, accepts: Accepts, request: &Incoming<'_>) -> Response {
    let engine = visit.app.engine();
    let peer = Peer {
        caller: visit.caller.clone(),
        scope: visit.scope.clone(),
        version: Version::LATEST_LEGACY,
        http: true,
        client: None,
        trace: None,
    };
    let mut reply = match mcp::start(engine, &peer, request, None) {
        Step::Done(reply) => reply,
        Step::Call(_) => return refuse(StatusCode::BAD_REQUEST, Some(&request.id), "not an initialize"),
    };
    let Some(opened) = reply.opened.take() else { return answer::whole(reply, accepts) };
    let connection = visit.connection();
    match visit.shared.sessions.open(&visit.caller, visit.scope.as_ref(), opened, connection) {
        Ok(session) => {
            let mut response = answer::whole(reply, accepts);
            if let Ok(id) = HeaderValue::from_str(&session.id) {
                response.headers_mut().insert(SESSION_ID, id);
            }
            response
        }
        Err(error) => {
            let mut reply = Reply::error(Era::Legacy, &request.id, &error);
            reply.status = error.kind().http_status();
            answer::whole(reply, accepts)
        }
    }
}

pub(super) async fn batch(
    visit: &Visit,
    accepts: Accepts,
    messages: Vec<Result<Message<'_>, Malformed>>,
) -> Response {
    let used = match session(visit, None) {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if !used.session.version.has_batches() {
        let why = "Invalid request: batches exist only in protocol version 2025-03-26";
        return refuse(StatusCode::BAD_REQUEST, None, why);
    }
    let engine = visit.app.engine();
    let batch = batch::begin(engine, &peer(visit, &used.session), messages);
    for id in &batch.cancelled {
        used.session.cancel(id);
    }
    if batch.is_empty() {
        return answer::empty(StatusCode::ACCEPTED);
    }
    answer::whole(Reply::whole(batch.run(engine).await), accepts)
}

pub(super) fn notification(visit: &Visit, method: &str, params: Option<&RawValue>) -> Response {
    let used = match session(visit, None) {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if let Some(id) = mcp::cancelled(method, params) {
        used.session.cancel(&id);
    }
    answer::empty(StatusCode::ACCEPTED)
}

// We ask nothing of clients, so a response answers nothing.
pub(super) fn response(visit: &Visit) -> Response {
    match session(visit, None) {
        Ok(_) => answer::empty(StatusCode::ACCEPTED),
        Err(refused) => *refused,
    }
}

// GET and DELETE exist only for legacy sessions.
fn legacy_only(visit: &Visit) -> Result<(), Refused> {
    let said = header::value(&visit.headers, header::PROTOCOL_VERSION)
        .map_err(|fault| answer::fault(StatusCode::BAD_REQUEST, None, &fault))?;
    if era::of(said, false) == Era::Legacy {
        return Ok(());
    }
    let mut response = refuse(StatusCode::METHOD_NOT_ALLOWED, None, "this protocol version has only POST");
    response.headers_mut().insert(http_header::ALLOW, HeaderValue::from_static("POST"));
    Err(response.into())
}

/// GET: the session's standalone stream.
pub(super) fn listen(visit: &Visit) -> Result<Response, Refused> {
    legacy_only(visit)?;
    if !negotiate::accepts(&visit.headers).is_some_and(|accepts| accepts.sse) {
        return Err(refuse(StatusCode::NOT_ACCEPTABLE, None, "Accept must allow text/event-stream").into());
    }
    let mut used = session(visit, None)?;
    let Some(notes) = used.stream() else {
        return Err(refuse(StatusCode::CONFLICT, None, "this session has a stream already").into());
    };
    Ok(answer::messages(notes, visit.app.closing(), used))
}

/// DELETE: the end of a session.
pub(super) fn end(visit: &Visit) -> Result<Response, Refused> {
    legacy_only(visit)?;
    let used = session(visit, None)?;
    visit.shared.sessions.close(&used.session.id, &visit.caller, visit.scope.as_ref());
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
