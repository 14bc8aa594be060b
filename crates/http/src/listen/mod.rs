//! Hop 1: accept connections, bound their number, size and time, and end them in order.
//!
//! Called by `serve`. HTTP/1.1 and HTTP/2 on one port, with TLS (HTTP/2 by ALPN) or without (by prior knowledge). Every connection is a task of its own, on
//! one of the `Fronts`; a defect in one ends that one. The own accept loop is there for what ready-made servers do not offer together: a cap on
//! connections with an answer, separate limits for a slow head and an idle connection, a limit for peers that do not
//! read, and a shutdown that lets requests in flight finish. A connection that HTTP was upgraded on keeps its place as long
//! as it keeps its `Slot`.

mod bind;
mod fronts;
mod io;
mod pulse;
#[cfg(test)]
mod tests;
mod tls;
#[cfg(test)]
mod tls_tests;

pub use bind::{BindError, bind};
pub use fronts::Fronts;
pub(crate) use tls::Tls;
pub use tls::TlsFiles;

use crate::settings::Settings;
use axum::Router;
use axum::body::Body;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use pulse::{Pulse, Verdict};
use std::any::Any;
use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt;

/// The two ends of a connection, for handlers (a request extension).
#[derive(Debug, Clone, Copy)]
pub struct Ends {
    pub local: SocketAddr,
    pub peer: SocketAddr,
    /// Whether TLS is between them.
    pub tls: bool,
}

impl Ends {
    /// The port of an address that names none.
    pub(crate) fn default_port(&self) -> u16 {
        if self.tls { 443 } else { 80 }
    }
}

/// The place of a connection among those that may be open, and its count (a request extension). Whoever takes the
/// connection over from HTTP keeps it as long.
#[derive(Clone)]
pub(crate) struct Slot(#[expect(dead_code, reason = "given back when dropped")] Arc<dyn Any + Send + Sync>);

/// How many bytes have arrived on a connection (a request extension).
#[derive(Clone)]
pub(crate) struct Received(Arc<Pulse>);

impl Received {
    pub fn bytes(&self) -> u64 {
        self.0.received()
    }
}

// Refused connections that are still being told so; more are closed at once.
const REFUSALS: usize = 64;
const REFUSAL: &str = "{\"success\":false,\"data\":null,\"error\":{\"kind\":\"unavailable\",\"message\":\"too many \
    connections; try again, or raise http.max_connections\",\"retry_after_ms\":1000},\"metadata\":{}}";

/// Where connections come in, and where they are served.
pub(crate) struct Door<'a> {
    pub listener: TcpListener,
    pub tls: Option<Arc<Tls>>,
    pub fronts: &'a Fronts,
}

/// Accept until `shutdown`, then let what is in flight finish for at most `shutdown_timeout`.
///
/// `closing` turns true when the shutdown begins; long-lived streams watch it and end themselves. `counted` is called
/// once for each connection and what it returns lives as long.
pub(crate) async fn accept<G: Send + Sync + 'static>(
    door: Door<'_>,
    router: Router,
    settings: &Settings,
    closing: &watch::Sender<bool>,
    counted: impl Fn() -> G,
    shutdown: impl Future<Output = ()>,
) {
    let Door { listener, tls, fronts } = door;
    let limits = Arc::new(Limits::of(settings));
    let refusals = Arc::new(Semaphore::new(REFUSALS));
    let max = u32::try_from(settings.max_connections.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX);
    let slots = Arc::new(Semaphore::new(max as usize));
    let mut connections = JoinSet::new();
    let mut fresh = JoinSet::new();
    if let Some(tls) = &tls {
        fresh.spawn(tls.clone().keep_fresh());
    }
    let mut shutdown = pin!(shutdown);
    let mut pause = Duration::ZERO;
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            Some(_) = connections.join_next() => {}
            accepted = accept_after(&listener, pause) => match accepted {
                Ok((stream, peer)) => {
                    pause = Duration::ZERO;
                    let Ok(place) = slots.clone().try_acquire_owned() else {
                        tokio::spawn(refuse(stream, tls.clone(), refusals.clone()));
                        continue;
                    };
                    // This runtime's reactor lets go of it; that of the front takes it.
                    let stream = match stream.into_std() {
                        Ok(stream) => stream,
                        Err(error) => {
                            tracing::error!(%peer, %error, "a connection cannot be served");
                            continue;
                        }
                    };
                    let (front, share) = fronts.next();
                    let closing = closing.subscribe();
                    let slot = Slot(Arc::new((place, counted(), share)));
                    let (tls, router, limits) = (tls.clone(), router.clone(), limits.clone());
                    connections.spawn_on(greet(stream, peer, tls, router, limits, slot, closing), &front);
                }
                Err(error) => pause = after_failure(&error, pause),
            },
        }
    }
    drop(listener);
    closing.send_replace(true);
    // All places free: also those of connections that are HTTP no more.
    let all = slots.acquire_many(max);
    if tokio::time::timeout(settings.shutdown_timeout.0, all).await.is_err() {
        tracing::warn!(
            connections = max as usize - slots.available_permits(),
            "shutdown time is up; open connections are cut"
        );
        connections.shutdown().await;
    }
}

async fn accept_after(listener: &TcpListener, pause: Duration) -> std::io::Result<(TcpStream, SocketAddr)> {
    if !pause.is_zero() {
        tokio::time::sleep(pause).await;
    }
    listener.accept().await
}

// A connection that died before it was accepted is the peer's affair. Anything else (no file descriptors left, no
// memory) concerns this process, and trying again at once would only burn a core.
fn after_failure(error: &std::io::Error, pause: Duration) -> Duration {
    use std::io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        return Duration::ZERO;
    }
    let pause = (pause * 2).clamp(Duration::from_millis(50), Duration::from_secs(1));
    tracing::error!(%error, pause_ms = pause.as_millis(), "cannot accept a connection");
    pause
}

// What the peer still sends is read (at most for a second) before the socket is closed: closing with unread bytes would
// reset the connection and could take the answer with it.
async fn refuse(stream: TcpStream, tls: Option<Arc<Tls>>, refusals: Arc<Semaphore>) {
    let Ok(_permit) = refusals.try_acquire() else { return };
    match tls {
        None => tell(stream).await,
        Some(tls) => {
            if let Some(stream) = tls.greet(stream, Duration::from_secs(1)).await {
                tell(stream).await;
            }
        }
    }
}

async fn tell(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let head = format!(
        "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\
         retry-after: 1\r\nconnection: close\r\n\r\n{REFUSAL}",
        REFUSAL.len()
    );
    let told = async {
        stream.write_all(head.as_bytes()).await?;
        stream.shutdown().await?;
        let mut scratch = [0; 4096];
        while stream.read(&mut scratch).await? > 0 {}
        Ok::<(), std::io::Error>(())
    };
    let _ = tokio::time::timeout(Duration::from_secs(1), told).await;
}

struct Limits {
    builder: auto::Builder<TokioExecutor>,
    header: Duration,
    idle: Duration,
    write: Duration,
}

impl Limits {
    fn of(settings: &Settings) -> Self {
        let max_header = usize::try_from(settings.max_header.0).unwrap_or(64 << 10);
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(TokioTimer::new())
            // `Pulse` keeps the time of heads: hyper's own timer cannot tell a slow head from an idle connection.
            .header_read_timeout(None)
            .max_buf_size(max_header)
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(u32::try_from(max_header).unwrap_or(64 << 10))
            .max_concurrent_streams(settings.max_streams)
            .max_send_buf_size(256 << 10)
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(20));
        Self {
            builder,
            header: settings.header_timeout.0,
            idle: settings.idle_timeout.0,
            write: settings.write_timeout.0,
        }
    }
}

// The handshake first, if there is TLS; a shutdown does not wait for one.
async fn greet(
    stream: std::net::TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    router: Router,
    limits: Arc<Limits>,
    slot: Slot,
    mut closing: watch::Receiver<bool>,
) {
    let stream = match TcpStream::from_std(stream) {
        Ok(stream) => stream,
        Err(error) => return tracing::error!(%peer, %error, "a connection cannot be served"),
    };
    let _ = stream.set_nodelay(true);
    let Ok(local) = stream.local_addr() else { return };
    let ends = Ends { local, peer, tls: tls.is_some() };
    let Some(tls) = tls else { return serve_one(stream, ends, router, limits, slot, closing).await };
    let greeted = tokio::select! {
        greeted = tls.greet(stream, limits.header) => greeted,
        _ = closing.wait_for(|closing| *closing) => None,
    };
    if let Some(stream) = greeted {
        Box::pin(serve_one(stream, ends, router, limits, slot, closing)).await;
    }
}

async fn serve_one(
    stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
    ends: Ends,
    router: Router,
    limits: Arc<Limits>,
    slot: Slot,
    mut closing: watch::Receiver<bool>,
) {
    let peer = ends.peer;
    let pulse = Arc::new(Pulse::new(limits.header, limits.idle));
    let io = TokioIo::new(io::Watched::new(stream, pulse.clone(), limits.write));
    let counted = pulse.clone();
    let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
        let ticket = Pulse::begin(&counted, request.version());
        request.extensions_mut().insert(ends);
        request.extensions_mut().insert(slot.clone());
        request.extensions_mut().insert(Received(counted.clone()));
        let answer = router.clone().oneshot(request);
        async move { Ok::<_, Infallible>(answer.await?.map(|body| Body::new(pulse::Held::new(body, ticket)))) }
    });
    let mut connection = pin!(limits.builder.serve_connection_with_upgrades(io, service));
    let mut leaving = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%peer, %error, "connection ended");
                }
                return;
            }
            Ok(()) = closing.changed(), if !leaving => {
                leaving = true;
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(pulse.wake_at(Instant::now())) => match pulse.verdict(Instant::now()) {
                Verdict::Fine => {}
                Verdict::SlowHead => return tracing::debug!(%peer, "request head took too long"),
                // Asked once to leave; an HTTP/2 peer that stays although it has nothing in flight is cut.
                Verdict::Idle if leaving => return,
                Verdict::Idle => {
                    leaving = true;
                    pulse.grant_farewell();
                    connection.as_mut().graceful_shutdown();
                }
            },
        }
    }
}
