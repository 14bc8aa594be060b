//! A server whose every byte and pause a test decides, and what it was asked.

use http::HeaderMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use toolgate_core::unit::{Size, Span};
use toolgate_host::egress::{EgressRules, Http};
use toolgate_upstream::settings::Upstream;
use toolgate_upstream::transport::http::StreamableHttp;
use toolgate_upstream::transport::sse_http::SseHttp;
use toolgate_upstream::transport::{Credentials, Failure, Outgoing};

/// What a request is answered with, step by step. Without `Close` the connection stays.
pub enum Step {
    Send(Vec<u8>),
    Wait(Duration),
    /// Until the test says so.
    Await(Arc<Notify>),
    /// The same bytes again and again, until the peer is gone or so many times.
    Flood(Vec<u8>, usize),
    Close,
    Hang,
}

#[derive(Debug, Clone)]
pub struct Asked {
    pub at: Instant,
    /// `POST /mcp`
    pub line: String,
    pub headers: HeaderMap,
    pub body: String,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|v| v.to_str().unwrap())
    }
}

type Script = dyn Fn(&Asked, usize) -> Vec<Step> + Send + Sync;

#[derive(Default)]
struct State {
    asked: Mutex<Vec<Asked>>,
    connections: AtomicUsize,
    flooded: AtomicUsize,
    ended: AtomicUsize,
}

pub struct Server {
    pub at: SocketAddr,
    state: Arc<State>,
}

impl Server {
    /// `script` is given each request and its number, counted from 0.
    pub async fn start(script: impl Fn(&Asked, usize) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let at = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (inner, script) = (Arc::clone(&state), Arc::new(script));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                inner.connections.fetch_add(1, Ordering::SeqCst);
                let (state, script) = (Arc::clone(&inner), Arc::clone(&script));
                tokio::spawn(async move {
                    serve(socket, &state, &*script).await;
                    state.ended.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { at, state }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.state.asked.lock().unwrap().clone()
    }

    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::SeqCst)
    }

    pub fn flooded(&self) -> usize {
        self.state.flooded.load(Ordering::SeqCst)
    }

    /// Connections that were served to their end.
    pub async fn ended(&self, count: usize) {
        eventually(|| self.state.ended.load(Ordering::SeqCst) >= count).await;
    }

    pub fn settings(&self) -> Upstream {
        Upstream {
            url: Some(format!("http://{}/mcp", self.at)),
            deadline: Span(Duration::from_secs(5)),
            start: Span(Duration::from_secs(2)),
            max_message: Size(64 << 10),
            ..Upstream::default()
        }
    }

    pub async fn client(&self) -> StreamableHttp {
        client(&self.settings()).await
    }

    pub async fn patient(&self, deadline: Duration) -> StreamableHttp {
        client(&Upstream { deadline: Span(deadline), ..self.settings() }).await
    }
}

/// Waits for what another task does; the test's own time-out is the bound.
pub async fn eventually(mut done: impl FnMut() -> bool) {
    let waited = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), waited).await.expect("it did not happen in 20 s");
}

pub fn nobody() -> Credentials {
    Arc::new(|| Ok(HeaderMap::new()))
}

pub async fn client(settings: &Upstream) -> StreamableHttp {
    let http = Http::new(EgressRules::default()).unwrap();
    StreamableHttp::open(&http, settings, nobody()).await.unwrap()
}

pub async fn old(settings: &Upstream) -> Result<SseHttp, Failure> {
    let http = Http::new(EgressRules::default()).unwrap();
    SseHttp::open(&http, settings, nobody()).await
}

async fn serve(mut socket: TcpStream, state: &State, script: &Script) {
    let mut read = Vec::new();
    while let Some(asked) = request(&mut socket, &mut read).await {
        let number = {
            let mut all = state.asked.lock().unwrap();
            all.push(asked.clone());
            all.len() - 1
        };
        for step in script(&asked, number) {
            match step {
                Step::Send(bytes) => {
                    if socket.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                Step::Wait(time) => tokio::time::sleep(time).await,
                Step::Await(notify) => notify.notified().await,
                Step::Flood(bytes, times) => {
                    for _ in 0..times {
                        if socket.write_all(&bytes).await.is_err() {
                            return;
                        }
                        state.flooded.fetch_add(bytes.len(), Ordering::SeqCst);
                    }
                }
                Step::Close => return,
                Step::Hang => {
                    // Until the peer is gone.
                    while socket.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
                    return;
                }
            }
        }
    }
}

async fn request(socket: &mut TcpStream, read: &mut Vec<u8>) -> Option<Asked> {
    let mut part = [0; 4096];
    loop {
        if let Some(end) = read.windows(4).position(|w| w == b"\r\n\r\n") {
            let head = String::from_utf8(read[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let line = lines.next().unwrap().trim_end_matches(" HTTP/1.1").to_owned();
            let mut headers = HeaderMap::new();
            for (name, value) in lines.map(|l| l.split_once(": ").unwrap()) {
                headers.append(http::HeaderName::try_from(name).unwrap(), value.parse().unwrap());
            }
            let length = headers.get("content-length").map_or(0, |v| v.to_str().unwrap().parse().unwrap());
            if read.len() >= end + 4 + length {
                let body = String::from_utf8(read[end + 4..end + 4 + length].to_vec()).unwrap();
                read.drain(..end + 4 + length);
                return Some(Asked { at: Instant::now(), line, headers, body });
            }
        }
        let n = socket.read(&mut part).await.ok()?;
        if n == 0 {
            return None;
        }
        read.extend_from_slice(&part[..n]);
    }
}

pub fn answer(status: &str, headers: &str, body: &str) -> Vec<Step> {
    let text = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len());
    vec![Step::Send(text.into_bytes())]
}

pub fn json(body: &str) -> Vec<Step> {
    answer("200 OK", "content-type: application/json\r\n", body)
}

/// The head of a stream of events that is told to end by its connection.
pub fn events() -> Step {
    send("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
}

pub fn send(text: &str) -> Step {
    Step::Send(text.as_bytes().to_vec())
}

/// A piece of a chunked body; the empty one ends it.
pub fn chunk(text: &str) -> Step {
    send(&format!("{:x}\r\n{text}\r\n", text.len()))
}

pub const RESULT: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"ok":true}}"#;

pub fn request_of(headers: &[(&'static str, &str)]) -> Outgoing {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.insert(*name, value.parse().unwrap());
    }
    Outgoing {
        body: br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#.to_vec().into(),
        id: Some("1".into()),
        headers: map,
        ..Outgoing::default()
    }
}

pub fn legacy() -> Outgoing {
    request_of(&[("mcp-protocol-version", "2025-11-25"), ("mcp-session-id", "s1")])
}

pub fn modern() -> Outgoing {
    request_of(&[("mcp-protocol-version", "2026-07-28"), ("mcp-method", "tools/list")])
}
