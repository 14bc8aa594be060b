//! HTTP+SSE of 2024-11-05 with a real client.

use super::super::Limits;
use super::{Events, Gate, gate, gate_with, request};
use serde_json::{Value, json};
use std::time::Duration;

struct Client {
    events: Events,
    /// Where messages go.
    to: String,
}

async fn open(gate: &Gate) -> Client {
    open_as(gate, "a").await
}

async fn open_as(gate: &Gate, who: &str) -> Client {
    let get = gate.http.get(format!("{}/sse", gate.url)).header("accept", "text/event-stream");
    let get = get.header("who", who);
    let mut events = Events::of(get.send().await.unwrap());
    let first = events.event().await.unwrap();
    assert_eq!(first.name.as_deref(), Some("endpoint"));
    let id = first.data.strip_prefix("/message?sessionId=").unwrap();
    assert!(id.len() >= 32);
    Client { events, to: first.data }
}

impl Client {
    async fn post(&self, gate: &Gate, who: &str, message: &Value) -> u16 {
        let post = gate.post(&self.to, message.to_string()).header("who", who);
        post.send().await.unwrap().status().as_u16()
    }

    async fn ask(&mut self, gate: &Gate, message: &Value) -> Value {
        assert_eq!(self.post(gate, "a", message).await, 202);
        self.events.next().await.unwrap()
    }
}

#[tokio::test]
async fn a_conversation_of_2024_11_05() {
    let gate = gate().await;
    let mut client = open(&gate).await;
    let opened = client.ask(&gate, &request(0, "initialize", json!({"protocolVersion": "2024-11-05"}))).await;
    assert_eq!(opened["result"]["protocolVersion"], "2024-11-05");
    let ready = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    assert_eq!(client.post(&gate, "a", &ready).await, 202);
    let params = json!({"name": "echo", "arguments": {"text": "x"}});
    let said = client.ask(&gate, &request(1, "tools/call", params)).await;
    assert_eq!(said["result"]["structuredContent"]["said"], "x");
    assert_eq!(client.ask(&gate, &json!({"id": 2})).await["error"]["code"], -32600);
    assert_eq!(client.post(&gate, "a", &json!("a".repeat(65 << 10))).await, 413);
}

#[tokio::test]
async fn a_session_is_its_callers_and_ends_with_its_stream() {
    let gate = gate_with(Limits { per_caller: 1, ..Limits::default() }).await;
    let client = open(&gate).await;
    let ping = request(1, "ping", json!({}));
    assert_eq!(client.post(&gate, "b", &ping).await, 404);
    for path in ["/message?sessionId=x", "/message"] {
        let status = gate.post(path, ping.to_string()).send().await.unwrap().status();
        assert!([400, 404].contains(&status.as_u16()), "{path}");
    }
    let more = gate.http.get(format!("{}/sse", gate.url)).send().await.unwrap();
    assert_eq!(more.status(), 429);
    assert_eq!(client.post(&gate, "a", &request(2, "lab/wait", json!({}))).await, 202);
    gate.signs.arrived.notified().await;
    let Client { events, to } = client;
    drop(events);
    gate.signs.dropped.notified().await;
    for _ in 0..100 {
        if gate.post(&to, ping.to_string()).send().await.unwrap().status() == 404 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the session stays");
}

#[tokio::test]
async fn a_stream_does_not_outlive_its_key() {
    let gate = gate().await;
    let mut client = open_as(&gate, "key:known").await;
    assert_eq!(client.post(&gate, "key:known", &request(1, "lab/wait", json!({}))).await, 202);
    gate.signs.arrived.notified().await;
    gate.engine.replace_keys(Vec::new());
    assert!(client.events.event().await.is_none(), "it ends at once");
    gate.signs.dropped.notified().await;
}
