//! The MCP endpoint over real sockets, with a real engine and a small server made for the purpose.

mod edge;
mod legacy;
mod modern;
mod streams;

use super::{Limits, Sessions, Shared, mount};
use crate::{AppState, Edge, Settings};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use reqwest::{RequestBuilder, Response, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use toolgate_core::policy::Policy;
use toolgate_core::{BuiltIn, Caller, Ctx, Server, Spec, Tool, ToolDef, ToolError};
use toolgate_engine::journal::Journal;
use toolgate_engine::{Engine, Parts};
use toolgate_wire::sse::{Decoder, Event};

/// What tests see of the running tools.
#[derive(Default)]
struct Signs {
    arrived: Notify,
    go: Notify,
    dropped: Notify,
}

struct Lab(Arc<Signs>);

impl Server for Lab {
    const NAME: &'static str = "lab";
    const ABOUT: &'static str = "Tools for tests.";
    fn tools() -> Vec<ToolDef<Self>> {
        let mut mirrored = ToolDef::of::<Mirrored>();
        mirrored.input_schema["properties"]["region"]["x-mcp-header"] = json!("Region");
        vec![ToolDef::of::<Echo>(), ToolDef::of::<Wait>(), mirrored]
    }
}

#[derive(Serialize, JsonSchema)]
struct Said {
    said: String,
}

/// Say the same.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Echo {
    text: String,
}

/// Say where.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Mirrored {
    region: Option<String>,
}

/// Report a step, then wait until told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wait {}

impl Tool for Echo {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("echo");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        Ok(Said { said: self.text })
    }
}

impl Tool for Mirrored {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("mirrored");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        Ok(Said { said: self.region.unwrap_or_default() })
    }
}

impl Tool for Wait {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::write("wait");
    async fn call(self, lab: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        struct Sign<'a>(&'a Notify);
        impl Drop for Sign<'_> {
            fn drop(&mut self) {
                self.0.notify_one();
            }
        }
        let _sign = Sign(&lab.0.dropped);
        ctx.progress(1.0, Some(2.0), None);
        lab.0.arrived.notify_one();
        lab.0.go.notified().await;
        Ok(Said { said: "waited".to_owned() })
    }
}

/// A running endpoint. The caller is whom the header `who` names; identification itself is tested with the edge.
struct Gate {
    url: String,
    engine: Engine,
    shared: Arc<Shared>,
    signs: Arc<Signs>,
    http: reqwest::Client,
    _dir: tempfile::TempDir,
}

async fn gate() -> Gate {
    gate_with(Limits::default()).await
}

async fn gate_with(limits: Limits) -> Gate {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "test").unwrap();
    let signs = Arc::new(Signs::default());
    let servers = vec![BuiltIn::mount(Lab(signs.clone()))];
    let parts =
        Parts::new(toolgate_engine::Settings::default(), servers, Policy::default(), Vec::new(), journal);
    let engine = Engine::new(parts).unwrap();
    let shared = Arc::new(Shared { sessions: Arc::new(Sessions::new(limits)), mirrored: OnceLock::new() });
    let settings = Settings { max_body: "64KiB".parse().unwrap(), ..Settings::default() };
    let state = AppState::new(Edge::new(engine.clone(), settings)).unwrap();
    let app = mount(shared.clone())
        .layer(from_fn(|mut request: Request, next: Next| async {
            let who = request.headers().get("who").map_or("key:a", |v| v.to_str().unwrap()).to_owned();
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
        if let Some(name) = message["params"]["name"].as_str() {
            request = request.header("Mcp-Name", name);
        }
        request
    }

    /// Open a legacy session and give its id.
    async fn session(&self, path: &str, version: &str) -> String {
        let message = request(0, "initialize", json!({"protocolVersion": version, "capabilities": {}}));
        let answer = self.post(path, message.to_string()).send().await.unwrap();
        assert_eq!(answer.status(), 200);
        answer.headers()["mcp-session-id"].to_str().unwrap().to_owned()
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
}

impl Events {
    fn of(response: Response) -> Self {
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        Self { response, decoder: Decoder::new(1 << 20) }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(Event { data, .. }) = self.decoder.next_event() {
                return Some(serde_json::from_str(&data).unwrap());
            }
            let chunk = self.response.chunk().await.unwrap()?;
            self.decoder.feed(&chunk).unwrap();
        }
    }
}
