//! WebSocket with a real client.

use super::super::{Limits, ws::Beat};
use super::{Gate, call, gate, gate_with, modern, request};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Quicker than in life.
pub const BEAT: Beat = Beat { every: Duration::from_millis(200), patience: Duration::from_millis(1500) };

struct Client(WebSocketStream<MaybeTlsStream<TcpStream>>);

async fn open(gate: &Gate) -> Result<Client, Error> {
    open_as(gate, "a").await
}

async fn open_as(gate: &Gate, who: &'static str) -> Result<Client, Error> {
    let mut request = format!("{}/ws", gate.url.replace("http", "ws")).into_client_request()?;
    request.headers_mut().insert("who", http::HeaderValue::from_static(who));
    Ok(Client(connect_async(request).await?.0))
}

impl Client {
    async fn send(&mut self, message: &Value) {
        self.0.send(Message::text(message.to_string())).await.unwrap();
    }

    async fn next(&mut self) -> Message {
        loop {
            let message = tokio::time::timeout(Duration::from_secs(10), self.0.next()).await;
            match message.expect("a message in time").expect("open").unwrap() {
                Message::Ping(_) | Message::Pong(_) => {}
                message => return message,
            }
        }
    }

    async fn read(&mut self) -> Value {
        serde_json::from_str(self.next().await.to_text().unwrap()).unwrap()
    }

    async fn ask(&mut self, message: &Value) -> Value {
        self.send(message).await;
        self.read().await
    }

    async fn closed(&mut self) -> (u16, String) {
        match self.next().await {
            Message::Close(Some(frame)) => (frame.code.into(), frame.reason.to_string()),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn both_eras_on_one_channel() {
    let gate = gate().await;
    let mut client = open(&gate).await.unwrap();
    let able = json!({"protocolVersion": "2025-11-25", "capabilities": {"elicitation": {}}});
    let opened = client.ask(&request(0, "initialize", able)).await;
    assert_eq!(opened["result"]["protocolVersion"], "2025-11-25");
    let said = client.ask(&request(1, "tools/call", call("echo", json!({"text": "x"})))).await;
    assert_eq!(said["result"]["structuredContent"]["said"], "x");
    let found = client.ask(&modern(2, "server/discover", json!({}))).await;
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let params = json!({"text": "y", "context": {"user_id": "u", "workspace": "w", "preferences": {}}});
    let said =
        client.ask(&json!({"jsonrpc": "2.0", "id": "3", "method": "lab/echo", "params": params})).await;
    assert_eq!((&said["id"], &said["result"]["success"]), (&json!("3"), &json!(true)));
    assert_eq!(
        (&said["result"]["said"], &said["result"]["metadata"]["server"]),
        (&json!("y"), &json!("lab"))
    );
    // A question to the client, and its answer.
    let question = client.ask(&request(4, "lab/sure", json!({}))).await;
    assert_eq!(question["method"], "elicitation/create");
    let yes = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"action": "accept", "content": {}}});
    assert_eq!(client.ask(&yes).await["result"]["said"], "\"accept\"");
    // What is no message is answered, and the channel goes on.
    client.0.send(Message::text("{")).await.unwrap();
    assert_eq!(client.read().await["error"]["code"], -32700);
    // Calls run at the same time; one is cancelled.
    client.send(&request(5, "lab/wait", json!({}))).await;
    gate.signs.arrived.notified().await;
    assert_eq!(client.ask(&request(6, "ping", json!({}))).await["id"], 6);
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
    client.send(&cancel).await;
    gate.signs.dropped.notified().await;
}

#[tokio::test]
async fn refusals_have_a_code_and_a_reason() {
    let gate = gate().await;
    let whole = modern(1, "lab/echo", json!({"text": "a".repeat(60 << 10)}));
    assert!(open(&gate).await.unwrap().ask(&whole).await["result"].is_object(), "just fits");
    let large = "a".repeat((64 << 10) + 1);
    for (message, code, word) in [
        (Message::text(large), 1009, "http.max_body"),
        (Message::text("a".repeat(4 << 20)), 1009, "65536"),
        (Message::binary(b"{}".to_vec()), 1003, "text"),
    ] {
        let mut client = open(&gate).await.unwrap();
        // The server may refuse before all of it is sent.
        let _ = client.0.send(message).await;
        let (said, reason) = client.closed().await;
        assert_eq!(said, code);
        assert!(reason.contains(word), "{reason}");
    }
}

#[tokio::test]
async fn who_answers_pings_stays_and_who_does_not_is_closed() {
    let gate = gate().await;
    let (mut here, mut away) = (open(&gate).await.unwrap(), open(&gate).await.unwrap());
    // Reading answers pings; the other one does not look.
    let until = tokio::time::Instant::now() + 2 * BEAT.patience;
    let mut pings = 0;
    while let Ok(Some(message)) = tokio::time::timeout_at(until, here.0.next()).await {
        pings += usize::from(message.unwrap().is_ping());
    }
    assert!(pings >= 2, "{pings}");
    assert_eq!(here.ask(&modern(1, "server/discover", json!({}))).await["id"], 1);
    let (code, reason) = away.closed().await;
    assert_eq!((code, reason.as_str()), (1011, "no pong in time"));
}

#[tokio::test]
async fn a_channel_does_not_outlive_its_key() {
    let gate = gate().await;
    let mut silent = open_as(&gate, "key:known").await.unwrap();
    let mut other = open(&gate).await.unwrap();
    assert!(silent.ask(&modern(1, "lab/echo", json!({"text": "x"}))).await["result"].is_object());
    gate.engine.replace_keys(Vec::new());
    assert_eq!(silent.closed().await.0, 1008, "at once, though it only listens");
    let mut late = open_as(&gate, "key:known").await.unwrap();
    assert_eq!(late.closed().await.0, 1008);
    assert!(other.ask(&modern(2, "lab/echo", json!({"text": "x"}))).await["result"].is_object());
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_calls_along_and_gives_its_place() {
    let gate = gate_with(Limits { per_caller: 1, ..Limits::default() }).await;
    let mut client = open(&gate).await.unwrap();
    client.send(&request(1, "lab/wait", json!({}))).await;
    gate.signs.arrived.notified().await;
    match open(&gate).await {
        Err(Error::Http(answer)) => assert_eq!(answer.status(), 429),
        other => panic!("{:?}", other.err()),
    }
    drop(client);
    gate.signs.dropped.notified().await;
    for _ in 0..100 {
        if open(&gate).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the place is not given again");
}

#[tokio::test]
async fn messages_take_room_until_they_are_answered() {
    let gate = gate().await;
    let mut client = open(&gate).await.unwrap();
    let padded = |id: i64, tool: &str| {
        let text = if tool == "echo" { json!("x") } else { Value::Null };
        let mut params = json!({"text": text, "context": {"user_id": "u".repeat(60 << 10)}});
        if text.is_null() {
            params.as_object_mut().unwrap().remove("text");
        }
        request(id, &format!("lab/{tool}"), params)
    };
    for id in 0..4 {
        client.send(&padded(id, "wait")).await;
        gate.signs.arrived.notified().await;
    }
    let refused = client.ask(&padded(4, "echo")).await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(4), &json!(-32050)));
    assert!(refused["error"]["message"].as_str().unwrap().contains("http.max_bodies"), "{refused}");
    // The bodies of the same caller share the room.
    let body = padded(5, "echo").to_string();
    let elsewhere =
        gate.post("/mcp", body).header("MCP-Protocol-Version", "2026-07-28").send().await.unwrap();
    assert_eq!(elsewhere.status(), 503);
    let small = request(6, "lab/echo", json!({"text": "small"}));
    assert_eq!(client.ask(&small).await["result"]["said"], "small", "and the channel goes on");
    let cancel = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 0}});
    client.send(&cancel).await;
    gate.signs.dropped.notified().await;
    assert_eq!(client.ask(&padded(7, "echo")).await["result"]["said"], "x");
}

#[tokio::test]
async fn a_plain_request_is_told_what_this_is() {
    let gate = gate().await;
    let answer = gate.http.get(format!("{}/ws", gate.url)).send().await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["upgrade"]),
        (426, &"websocket".parse().unwrap())
    );
}
