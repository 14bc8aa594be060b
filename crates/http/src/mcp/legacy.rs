//! The legacy era: `initialize` opens a session, everything else happens in one.
//!
//! A call that has said something goes on without its connection: the client can come back for the rest (`stream`).
//! One that has not ends with its connection, because nobody could ever ask for its answer.

use super::negotiate::{self, Accepts};
use super::session::{OWN_STREAM, Session, Use};
use super::stream::{self, Stream};
use super::{Refused, Visit, answer, answer::Run, key_gone, modern::OUTBOX};
use axum::http::{HeaderName, HeaderValue, StatusCode, header as http_header};
use axum::response::Response;
use futures_util::future::Abortable;
use serde_json::value::RawValue;
use std::sync::{Arc, Weak};
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc;
use toolgate_core::name::Door;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::mcp::{self, Out, Peer, Reply, Step, batch, notice};
use toolgate_engine::{Engine, Told};
use toolgate_wire::era::{self, Era, Version};
use toolgate_wire::message::Message;
use toolgate_wire::{Fault, Id, Incoming, Malformed, header};

const LAST_EVENT_ID: &str = "last-event-id";
const SESSION_ID: HeaderName = HeaderName::from_static(header::SESSION_ID);

fn refuse(status: StatusCode, id: Option<&Id>, why: &'static str) -> Response {
    answer::fault(status, id, &Fault::invalid_request(why))
}

// The gateway refuses; with a status of its own.
fn failed(id: Option<&Id>, error: &Error) -> Response {
    let status =
        StatusCode::from_u16(error.kind().http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer::fault(status, id, &Fault::from(error))
}

// The session that a request names, for as long as the request lasts.
async fn session(visit: &Visit, id: Option<&Id>) -> Result<Use, Refused> {
    let named = header::value(&visit.headers, header::SESSION_ID)
        .map_err(|fault| answer::fault(StatusCode::BAD_REQUEST, id, &fault))?;
    let Some(name) = named else {
        let why = "header Mcp-Session-Id is missing; send initialize first";
        return Err(refuse(StatusCode::BAD_REQUEST, id, why).into());
    };
    let (sessions, scope) = (&visit.shared.sessions, visit.scope.as_ref());
    let known = sessions.find_kept(name, &visit.caller, scope, || visit.connection()).await;
    let used = known.map_err(|error| failed(id, &error))?.ok_or_else(|| {
        refuse(StatusCode::NOT_FOUND, id, "there is no such session; send initialize to begin a new one")
    })?;
    // From here on the session is found and ended when the key ends; before, it may have been too early for that.
    if !visit.app.engine().is_known(&visit.caller) {
        sessions.close(name, &visit.caller, scope);
        return Err(failed(id, &key_gone()).into());
    }
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
        version: session.mcp.version,
        http: true,
        client: session.mcp.client.clone(),
        session: Some(session.mcp.clone()),
        trace: visit.trace(),
        forwarded: visit.forwarded(),
    }
}

pub(super) async fn request(visit: &Visit, accepts: Accepts, request: &Incoming<'_>) -> Response {
    if request.method == "initialize" && !visit.headers.contains_key(SESSION_ID) {
        return open(visit, accepts, request);
    }
    let id = &request.id;
    let mut used = match session(visit, Some(id)).await {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if request.method == "initialize" {
        return refuse(StatusCode::BAD_REQUEST, Some(id), "this session is initialized already");
    }
    let (engine, peer) = (visit.app.engine(), peer(visit, &used.session));
    let (outbox, notes) = match accepts.sse {
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
        match Abortable::new(pending.run(&engine), registration).await {
            Ok(reply) => reply,
            Err(_) => Reply::error(Era::Legacy, &id, &Error::new(Kind::Cancelled, "cancelled")),
        }
    };
    match notes {
        Some(notes) => resumable(run, notes, used, visit, accepts).await,
        None => answer::whole(run.await, accepts),
    }
}

// A call whose first message begins a stream that can be left and come back to: from then on the call does not need the
// connection. One that ends before is answered plainly, and ends with its connection.
async fn resumable(
    run: impl Future<Output = Reply> + Send + 'static,
    mut notes: mpsc::Receiver<Out>,
    used: Use,
    visit: &Visit,
    accepts: Accepts,
) -> Response {
    let mut run: Run = Box::pin(run);
    let first = tokio::select! {
        biased;
        Some(first) = notes.recv() => first,
        reply = &mut run => return answer::whole(reply, accepts),
    };
    let Some(stream) = used.session.open_stream() else {
        return refuse(StatusCode::NOT_FOUND, None, "the session has ended");
    };
    let reader = stream.read(0);
    let opening = stream.opening(0);
    let put = |stream: &Stream, out| match out {
        Out::Message(message) => stream.push(&message),
        Out::Answer(message) => stream.push(&message),
        Out::Pause => stream.pause(),
    };
    put(&stream, first);
    let connection = visit.connection();
    tokio::spawn(async move {
        // The session is in use until the answer is there.
        let (_used, _connection) = (used, connection);
        let reply = loop {
            tokio::select! {
                biased;
                Some(out) = notes.recv() => put(&stream, out),
                reply = &mut run => break reply,
            }
        };
        while let Ok(out) = notes.try_recv() {
            put(&stream, out);
        }
        stream.push(&reply.body.into_vec());
        stream.end();
    });
    answer::stream(Some(opening), reader, None, ())
}

fn open(visit: &Visit, accepts: Accepts, request: &Incoming<'_>) -> Response {
    let engine = visit.app.engine();
    let peer = Peer {
        caller: visit.caller.clone(),
        scope: visit.scope.clone(),
        version: Version::LATEST_LEGACY,
        http: true,
        client: None,
        session: None,
        trace: None,
        forwarded: None,
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
    let mut used = match session(visit, None).await {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if !used.session.mcp.version.has_batches() {
        let why = "Invalid request: batches exist only in protocol version 2025-03-26";
        return refuse(StatusCode::BAD_REQUEST, None, why);
    }
    let engine = visit.app.engine();
    let entered = match used.batch(&batch::ids(&messages)) {
        Ok(entered) => entered,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, None, why),
    };
    let batch = batch::begin(engine, &peer(visit, &used.session), messages, entered);
    for id in &batch.cancelled {
        used.session.cancel(id);
    }
    if batch.is_empty() {
        return answer::empty(StatusCode::ACCEPTED);
    }
    answer::whole(Reply::whole(batch.run(engine).await), accepts)
}

pub(super) async fn notification(visit: &Visit, method: &str, params: Option<&RawValue>) -> Response {
    let used = match session(visit, None).await {
        Ok(used) => used,
        Err(refused) => return *refused,
    };
    if let Some(id) = mcp::cancelled(method, params) {
        used.session.cancel(&id);
    }
    answer::empty(StatusCode::ACCEPTED)
}

pub(super) async fn response(
    visit: &Visit,
    id: Option<&Id>,
    result: Option<&RawValue>,
    error: Option<&RawValue>,
) -> Response {
    match session(visit, None).await {
        Ok(used) => {
            used.session.mcp.answer(id, result, error);
            answer::empty(StatusCode::ACCEPTED)
        }
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
pub(super) async fn listen(visit: &Visit) -> Result<Response, Refused> {
    legacy_only(visit)?;
    if !negotiate::accepts(&visit.headers).is_some_and(|accepts| accepts.sse) {
        return Err(refuse(StatusCode::NOT_ACCEPTABLE, None, "Accept must allow text/event-stream").into());
    }
    let used = session(visit, None).await?;
    let last = header::value(&visit.headers, LAST_EVENT_ID).ok().flatten().and_then(stream::parse_id);
    // A client that comes back for an answer; what is not there any more is answered with the session's own stream.
    if let Some((number, event)) = last
        && let Some(stream) = used.session.stream(number)
    {
        let reader = stream.read(event);
        // An answer that is under way is waited for at a shutdown, as every call is.
        let closing = (number == OWN_STREAM).then(|| visit.app.closing());
        return Ok(answer::stream(None, reader, closing, used));
    }
    let Some((stream, is_new)) = used.session.own_stream() else {
        return Err(refuse(StatusCode::NOT_FOUND, None, "the session has ended").into());
    };
    if is_new {
        notice::watch_again(visit.app.engine(), &used.session.mcp, &visit.caller, visit.scope.as_ref());
        tokio::spawn(tell(
            visit.app.engine().clone(),
            // Listening begins before the stream does, so that nothing is missed in between.
            visit.app.engine().changes(),
            Arc::downgrade(&used.session),
            visit.caller.clone(),
            visit.scope.clone(),
            stream.clone(),
        ));
    }
    let newest = stream.newest();
    let reader = stream.read(newest);
    Ok(answer::stream(Some(stream.opening(newest)), reader, Some(visit.app.closing()), used))
}

// What changes, onto the session's own stream, for as long as there is the session: its end ends the stream. Not a moment
// longer, because clients that vanish may be many.
async fn tell(
    engine: Engine,
    mut changes: Receiver<Arc<Told>>,
    session: Weak<Session>,
    caller: Arc<Caller>,
    scope: Option<Door>,
    stream: Arc<Stream>,
) {
    loop {
        let told = tokio::select! {
            biased;
            () = stream.ended() => return,
            told = changes.recv() => told,
        };
        let Some(session) = session.upgrade() else { return };
        match told {
            Ok(told) => {
                if let Some(body) = notice::for_session(&engine, &session.mcp, &caller, scope.as_ref(), &told)
                {
                    stream.push(&body);
                }
            }
            Err(RecvError::Lagged(_)) => {
                changes = changes.resubscribe();
                for body in notice::after_a_gap(&engine, &session.mcp, &caller, scope.as_ref()) {
                    stream.push(&body);
                }
            }
            Err(RecvError::Closed) => return,
        }
    }
}

/// DELETE: the end of a session.
pub(super) async fn end(visit: &Visit) -> Result<Response, Refused> {
    legacy_only(visit)?;
    let used = session(visit, None).await?;
    let ended = visit.shared.sessions.end(&used.session.id, &visit.caller, visit.scope.as_ref()).await;
    ended.map_err(|error| failed(None, &error))?;
    Ok(answer::empty(StatusCode::NO_CONTENT))
}
