//! The endpoint behind the whole edge: what comes before it, and what a shutdown does to it.

use super::lab::{Lab, Signs};
use super::{Events, call, modern, request, with_token};
use crate::{AppState, Edge, Settings, bind, serve};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use toolgate_core::Mount;

const KEY: &str = "tg_admin_secret";

struct Whole {
    url: String,
    client: Client,
    signs: Arc<Signs>,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

async fn whole() -> Whole {
    let dir = tempfile::tempdir().unwrap();
    let signs = Arc::new(Signs::default());
    let engine = crate::tests::engine(dir.path(), vec![Mount::of(Lab(signs.clone()))]);
    let listener = bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let state = AppState::new(Edge::new(engine, Settings::default())).unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let served = tokio::spawn(serve(listener, state, async { drop(stopped.await) }));
    let client = Client::builder().tls_certs_only([]).no_proxy().build().unwrap();
    Whole { url, client, signs, stop, served, _dir: dir }
}

impl Whole {
    fn post(&self, body: &str) -> RequestBuilder {
        let request =
            self.client.post(format!("{}/mcp", self.url)).header("content-type", "application/json");
        request.header("accept", "application/json, text/event-stream").body(body.to_owned())
    }

    async fn session(&self) -> String {
        let message = request(0, "initialize", json!({"protocolVersion": "2025-11-25", "capabilities": {}}));
        let response = self.post(&message.to_string()).bearer_auth(KEY).send().await.unwrap();
        assert_eq!(response.status(), 200);
        response.headers()["mcp-session-id"].to_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn host_then_key_then_protocol() {
    let whole = whole().await;
    for body in ["{", &modern(1, "tools/list", json!({})).to_string()] {
        let status = |request: RequestBuilder| async { request.send().await.unwrap().status().as_u16() };
        assert_eq!(status(whole.post(body).header("host", "evil.example.com")).await, 403);
        assert_eq!(
            status(whole.post(body).bearer_auth(KEY).header("origin", "http://evil.example.com")).await,
            403
        );
        assert_eq!(status(whole.post(body)).await, 401);
        assert_eq!(status(whole.post(body).bearer_auth("tg_admin_wrong")).await, 401);
        assert_eq!(status(whole.post(body).bearer_auth(KEY)).await, 400);
    }
    let id = whole.session().await;
    let ping = whole.post(&request(1, "ping", json!({})).to_string()).header("Mcp-Session-Id", &id);
    assert_eq!(ping.try_clone().unwrap().send().await.unwrap().status(), 401, "a session is no credential");
    let answer = ping.bearer_auth(KEY).send().await.unwrap().text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&answer).unwrap()["result"], json!({}));
}

#[tokio::test]
async fn a_shutdown_ends_standalone_streams() {
    let whole = whole().await;
    let id = whole.session().await;
    let request = whole.client.get(format!("{}/mcp", whole.url)).bearer_auth(KEY);
    let request = request.header("Mcp-Session-Id", id).header("accept", "text/event-stream");
    let mut events = Events::of(request.send().await.unwrap());
    whole.stop.send(()).unwrap();
    assert!(events.next().await.is_none());
    whole.served.await.unwrap();
}

#[tokio::test]
async fn a_shutdown_answers_subscriptions_and_waits_for_calls() {
    let whole = whole().await;
    let filter = json!({"notifications": {"toolsListChanged": true}});
    let listen = whole.post(&modern(1, "subscriptions/listen", filter).to_string()).bearer_auth(KEY);
    let listen =
        listen.header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "subscriptions/listen");
    let mut heard = Events::of(listen.send().await.unwrap());
    heard.next().await.unwrap();
    let id = whole.session().await;
    let message = request(2, "tools/call", with_token(call("wait", json!({}))));
    let running = whole.post(&message.to_string()).bearer_auth(KEY).header("Mcp-Session-Id", id);
    let mut running = Events::of(running.send().await.unwrap());
    running.next().await.unwrap();
    whole.stop.send(()).unwrap();
    assert_eq!(heard.next().await.unwrap()["id"], 1);
    assert!(heard.next().await.is_none());
    whole.signs.go.notify_one();
    assert_eq!(running.next().await.unwrap()["result"]["structuredContent"]["said"], "waited");
    whole.served.await.unwrap();
}
