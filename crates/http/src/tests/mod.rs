//! The edge as a client sees it: a real listener, a real engine and journal, servers made for the purpose.

mod calls;
mod codings;
mod document;
mod door;
mod pages;
mod reuse;
mod sockets;
mod unread;

use crate::{AppState, Edge, Settings, bind, serve};
use http::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::sync::{Notify, oneshot};
use toolgate_core::policy::{Policy, PolicyFile};
use toolgate_core::server::Health;
use toolgate_core::{Ctx, Kind, Mount, Server, Spec, Tool, ToolDef, ToolError, canon};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts};

const ADMIN: &str = "tg_admin_secret";
const READER: &str = "tg_reader_secret";

/// Server `lab`: a tool of each temper.
struct Lab {
    arrived: Arc<Notify>,
    go: Arc<Notify>,
}

impl Server for Lab {
    const NAME: &'static str = "lab";
    const ABOUT: &'static str = "Tools for tests.";
    const VERSION: &'static str = "2.0.0";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<Echo>(),
            ToolDef::of::<Refuse>(),
            ToolDef::of::<Wait>(),
            ToolDef::of::<Boom>(),
            ToolDef::of::<Erase>(),
        ]
    }
    async fn health(&self) -> Vec<Health> {
        vec![Health::healthy("bench")]
    }
}

/// Server `vault`: nothing in it is for readers.
struct Vault;

impl Server for Vault {
    const NAME: &'static str = "vault";
    const ABOUT: &'static str = "Not for everyone.";
    fn tools() -> Vec<ToolDef<Self>> {
        vec![ToolDef::of::<Open>()]
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

/// Refuse with a kind.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Refuse {
    #[schemars(with = "String")]
    kind: Kind,
}

/// Wait until told.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Wait {}

/// Panic.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Boom {}

/// Erase, or rather not.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Erase {}

/// Open the vault.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Open {}

fn said(text: &str) -> Result<Said, ToolError> {
    Ok(Said { said: text.to_owned() })
}

impl Tool for Echo {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("echo").aliases(&["say"]);
    async fn call(self, _: &Lab, ctx: &Ctx) -> Result<Said, ToolError> {
        said(&format!("{}{}", self.text, ctx.trace.as_ref().map_or("", |t| t.parent())))
    }
}
impl Tool for Refuse {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("refuse");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        Err(ToolError::new(self.kind, "no"))
    }
}
impl Tool for Wait {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("wait");
    async fn call(self, lab: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        lab.arrived.notify_one();
        lab.go.notified().await;
        said("waited")
    }
}
impl Tool for Boom {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::read("boom");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        panic!("boom")
    }
}
impl Tool for Erase {
    type Server = Lab;
    type Output = Said;
    const SPEC: Spec = Spec::destroy("erase");
    async fn call(self, _: &Lab, _: &Ctx) -> Result<Said, ToolError> {
        said("erased")
    }
}
impl Tool for Open {
    type Server = Vault;
    type Output = Said;
    const SPEC: Spec = Spec::destroy("open");
    async fn call(self, _: &Vault, _: &Ctx) -> Result<Said, ToolError> {
        said("open")
    }
}

/// A running gateway.
struct Gate {
    address: SocketAddr,
    engine: Engine,
    arrived: Arc<Notify>,
    go: Arc<Notify>,
    stop: Option<oneshot::Sender<()>>,
    client: reqwest::Client,
    _dir: tempfile::TempDir,
}

fn key(text: &str, roles: &[&str]) -> ApiKey {
    let id = text.split('_').nth(1).unwrap();
    ApiKey {
        id: id.into(),
        name: id.into(),
        hash: canon::sha256(text.as_bytes()),
        roles: roles.iter().map(|&r| r.into()).collect(),
        expires_at: None,
    }
}

pub(crate) fn engine(dir: &std::path::Path, servers: Vec<Mount>) -> Engine {
    Engine::new(Parts::new(
        toolgate_engine::Settings::default(),
        servers,
        Policy::compile(&PolicyFile::default()).unwrap(),
        vec![key(ADMIN, &["admin"]), key(READER, &["read_only"])],
        Journal::open(dir, "test").unwrap(),
    ))
    .unwrap()
}

async fn gate(settings: Settings) -> Gate {
    gate_of(settings, |_| {}).await
}

/// The same with another edge.
async fn gate_of(settings: Settings, change: impl FnOnce(&mut Edge)) -> Gate {
    let dir = tempfile::tempdir().unwrap();
    let (arrived, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let lab = Lab { arrived: arrived.clone(), go: go.clone() };
    let engine = engine(dir.path(), vec![Mount::of(lab), Mount::of(Vault)]);
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let mut edge = Edge::new(engine.clone(), settings);
    change(&mut edge);
    let state = AppState::new(edge).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, state, async { drop(stopped.await) }));
    let client = reqwest::Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    Gate { address, engine, arrived, go, stop: Some(stop), client, _dir: dir }
}

/// What came back.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("{e}: {}", self.text))
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Gate {
    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address))
    }

    async fn get(&self, key: &str, path: &str) -> Answer {
        answer(self.request(Method::GET, path).bearer_auth(key)).await
    }

    async fn post(&self, key: &str, path: &str, body: impl Into<String>) -> Answer {
        let request =
            self.request(Method::POST, path).bearer_auth(key).header("content-type", "application/json");
        answer(request.body(body.into())).await
    }
}

async fn answer(request: reqwest::RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Answer { status, headers, text: response.text().await.unwrap() }
}
