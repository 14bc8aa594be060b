//! The upstream over Streamable HTTP: one thread, answers in one piece, no streams (`GET` is 405, as both eras allow).

use super::{Eras, Kind, Reply, reply};
use anyhow::{Context, Result};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::rc::Rc;
use tokio::net::TcpListener;

const SESSION: &str = "mcp-session-id";
// More are refused, so that a client that forgets them cannot fill the memory.
const MOST_SESSIONS: usize = 100_000;

#[derive(Default)]
struct Sessions {
    open: HashSet<u64>,
    last: u64,
}

pub fn serve(address: &str, eras: Eras) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, accept(address, eras))
}

async fn accept(address: &str, eras: Eras) -> Result<()> {
    let listener = TcpListener::bind(address).await.with_context(|| format!("cannot listen on {address}"))?;
    println!("{}", listener.local_addr()?);
    let sessions = Rc::new(RefCell::new(Sessions::default()));
    loop {
        // A connection that ended before it was accepted is not the end of the others.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let _ = stream.set_nodelay(true);
        let sessions = sessions.clone();
        tokio::task::spawn_local(async move {
            let service = service_fn(|request| answer(request, eras, &sessions));
            // A client that vanishes is its own affair.
            let _ = hyper::server::conn::http1::Builder::new()
                .max_buf_size(2 << 20)
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    eras: Eras,
    sessions: &RefCell<Sessions>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let session = request
        .headers()
        .get(SESSION)
        .map(|id| id.to_str().ok().and_then(|id| u64::from_str_radix(id, 16).ok()).unwrap_or(0));
    let known = session.is_some_and(|id| sessions.borrow().open.contains(&id));
    if request.method() == Method::DELETE {
        let ended = session.is_some_and(|id| sessions.borrow_mut().open.remove(&id));
        return Ok(empty(if ended { 200 } else { 404 }));
    }
    if request.method() != Method::POST {
        return Ok(empty(405));
    }
    let Ok(body) = request.into_body().collect().await else {
        return Ok(empty(400));
    };
    let Reply { status, body, kind } = reply(&body.to_bytes(), eras);
    if kind == Kind::Legacy && !known {
        return Ok(empty(if session.is_some() { 404 } else { 400 }));
    }
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if kind == Kind::Initialize && status == 200 {
        let mut sessions = sessions.borrow_mut();
        if sessions.open.len() >= MOST_SESSIONS {
            return Ok(empty(503));
        }
        sessions.last += 1;
        let id = sessions.last;
        sessions.open.insert(id);
        if let Ok(id) = HeaderValue::from_str(&format!("{id:016x}")) {
            response.headers_mut().insert(SESSION, id);
        }
    }
    Ok(response)
}

fn empty(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::OK);
    response
}
