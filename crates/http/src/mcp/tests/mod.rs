//! The MCP endpoint over real sockets, with a real engine and a small server made for the purpose.

mod edge;
mod lab;
mod legacy;
mod modern;
mod resume;
mod sse_door;
mod streams;
mod ws;

use super::{Limits, Shared, routes};
use crate::{AppState, Edge, Settings};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use lab::{Lab, Signs};
use reqwest::{RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use toolgate_core::policy::Policy;
use toolgate_core::{Caller, Mount};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts};
use toolgate_wire::sse::{Decoder, Event};

/// A running endpoint. The caller is whom the header `who` names; identification itself is tested with the edge.
struct Gate {
    url: String,
    engine: Engine,
    shared: Arc<Shared>,
    signs: Arc<Signs>,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

// The one key that the engine knows, and so can lose; its holder is `key:known`.
fn known() -> ApiKey {
    let roles = vec!["admin".into()];
    ApiKey { id: "known".into(), name: "known".into(), hash: [0; 32], roles, expires_at: None }
}

async fn gate() -> Gate {
    gate_with(Limits::default()).await
}

async fn gate_with(limits: Limits) -> Gate {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let signs = Arc::new(Signs::default());
    let servers = vec![Mount::of(Lab(signs.clone()))];
    let parts =
        Parts::new(toolgate_engine::Settings::default(), servers, Policy::default(), vec![known()], journal);
    let engine = Engine::new(parts).unwrap();
    let mut shared = Shared::new(limits, None);
    shared.beat = ws::BEAT;
    let shared = Arc::new(shared);
    let settings = Settings {
        max_body: "64KiB".parse().unwrap(),
        max_bodies: "1MiB".parse().unwrap(),
        ..Settings::default()
    };
    let state = AppState::new(Edge::new(engine.clone(), settings)).unwrap();
    let app = routes(shared.clone(), true)
        .layer(from_fn(|mut request: Request, next: Next| async {
            let who = request.headers().get("who").map_or("a", |v| v.to_str().unwrap()).to_owned();
            request.extensions_mut().insert(Arc::new(Caller::new(who, "tester", ["admin"])));
            next.run(request).await
        }))
        .with_state(state);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    let http = reqwest::Client::builder().timeout(Duration::from_secs(20)).no_proxy().build().unwrap();
    Gate { url, engine, shared, signs, http, _dir: dir }
}

impl Gate {
    fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> RequestBuilder {
        self.http
            .post(format!("{}{path}", self.url))
            .header("content-type", "application/json")
            .header("accept", "application/json, text/event-stream")
            .body(body)
    }

    /// A modern request with the headers that belong to it.
    fn modern(&self, path: &str, message: &Value) -> RequestBuilder {
        let mut request = self
            .post(path, message.to_string())
            .header("MCP-Protocol-Version", "2026-07-28")
            .header("Mcp-Method", message["method"].as_str().unwrap());
        let params = &message["params"];
        if let Some(name) = params["name"].as_str().or(params["uri"].as_str()) {
            request = request.header("Mcp-Name", name);
        }
        request
    }

    /// Open a legacy session and give its id.
    async fn session(&self, path: &str, version: &str) -> String {
        self.session_able(path, version, json!({})).await
    }

    async fn session_able(&self, path: &str, version: &str, able: Value) -> String {
        let message = request(0, "initialize", json!({"protocolVersion": version, "capabilities": able}));
        let answer = self.post(path, message.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["mcp-session-id"].to_str().unwrap().to_owned()
    }

    /// The session's own stream, or the rest of another.
    fn listen(&self, id: &str, last: Option<&str>) -> RequestBuilder {
        let request = self.http.get(format!("{}/mcp", self.url)).header("Mcp-Session-Id", id);
        let request = request.header("accept", "text/event-stream");
        match last {
            Some(last) => request.header("Last-Event-ID", last),
            None => request,
        }
    }

    fn in_session(&self, id: &str, message: &Value) -> RequestBuilder {
        self.post("/mcp", message.to_string()).header("Mcp-Session-Id", id)
    }
}

fn request(id: i64, method: &str, params: Value) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
}

/// A request with what a modern one carries in `_meta`.
fn modern(id: i64, method: &str, mut params: Value) -> Value {
    params["_meta"]["io.modelcontextprotocol/protocolVersion"] = json!("2026-07-28");
    params["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({});
    request(id, method, params)
}

fn call(tool: &str, arguments: Value) -> Value {
    json!({"name": tool, "arguments": arguments})
}

fn with_token(mut params: Value) -> Value {
    params["_meta"]["progressToken"] = json!("tok");
    params
}

async fn answer(request: RequestBuilder) -> (StatusCode, Value) {
    let response = request.send().await.unwrap();
    let status = response.status();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

/// Status and error code.
async fn code(request: RequestBuilder) -> (u16, i64) {
    let (status, body) = answer(request).await;
    (status.as_u16(), body["error"]["code"].as_i64().unwrap_or(0))
}

/// Events of a stream as they come.
struct Events {
    response: Response,
    decoder: Decoder,
    /// Ids of the first and of the newest event, to come back with.
    first: Option<String>,
    last: Option<String>,
    retry: Option<u64>,
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { response, decoder: Decoder::new(1 << 20), first: None, last: None, retry: None }
    }

    fn last(&self) -> &str {
        self.last.as_deref().expect("an event with an id")
    }

    /// The next event, whatever it is.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.decoder.next_event() {
                return Some(event);
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.decoder.feed(&chunk).unwrap();
        }
    }

    /// The next message; an event that only opens the stream is none.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(Event { data, id, retry, .. }) = self.decoder.next_event() {
                self.first = self.first.take().or_else(|| id.clone());
                self.last = id.or(self.last.take());
                self.retry = retry.or(self.retry);
                if data.is_empty() {
                    continue;
                }
                return Some(serde_json::from_str(&data).unwrap());
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.decoder.feed(&chunk).unwrap();
        }
    }
}
