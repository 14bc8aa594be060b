//! WebSocket and HTTP+SSE behind the whole edge: who gets in, what is counted, and how it ends.

use super::{ADMIN, Gate, READER, answer, gate};
use crate::Settings;
use futures_util::{SinkExt, StreamExt};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Error, Message, client::IntoClientRequest};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

async fn open(gate: &Gate, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{}/ws", gate.address).into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    match connect_async(request).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(other) => panic!("{other}"),
    }
}

fn bearer(key: &str) -> String {
    format!("Bearer {key}")
}

async fn call(socket: &mut Socket, method: &str, params: Value) -> Value {
    let message = json!({"jsonrpc": "2.0", "id": "1", "method": method, "params": params});
    socket.send(Message::text(message.to_string())).await.unwrap();
    let answer = socket.next().await.unwrap().unwrap();
    serde_json::from_str(answer.to_text().unwrap()).unwrap()
}

#[tokio::test]
async fn a_socket_passes_the_same_guard_as_everything() {
    let gate = gate(Settings::default()).await;
    let (admin, reader) = (bearer(ADMIN), bearer(READER));
    assert_eq!(open(&gate, &[]).await.err(), Some(401));
    assert_eq!(open(&gate, &[("authorization", "Bearer tg_admin_wrong")]).await.err(), Some(401));
    let foreign = [("authorization", admin.as_str()), ("origin", "https://evil.example.com")];
    assert_eq!(open(&gate, &foreign).await.err(), Some(403));
    assert_eq!(
        open(&gate, &[("authorization", &admin), ("host", "evil.example.com")]).await.err(),
        Some(403)
    );
    let mut socket = open(&gate, &[("authorization", &admin)]).await.unwrap();
    let said = call(&mut socket, "lab/echo", json!({"text": "x"})).await;
    assert_eq!(said["result"]["said"], "x");
    // The same admission, too: readers may not erase.
    let mut socket = open(&gate, &[("authorization", &reader)]).await.unwrap();
    assert!(call(&mut socket, "lab/erase", json!({})).await["error"].is_object());
    assert!(call(&mut socket, "vault/open", json!({})).await["error"]["code"] == -32601);
}

#[tokio::test]
async fn a_socket_keeps_its_place_and_is_told_of_the_end() {
    let mut gate = gate(Settings { max_connections: 1, ..Settings::default() }).await;
    let mut socket = open(&gate, &[("authorization", &bearer(ADMIN))]).await.unwrap();
    assert_eq!(open(&gate, &[("authorization", &bearer(ADMIN))]).await.err(), Some(503));
    // A call in flight is answered, then the socket is closed.
    let message = json!({"jsonrpc": "2.0", "id": 1, "method": "lab/wait", "params": {}});
    socket.send(Message::text(message.to_string())).await.unwrap();
    gate.arrived.notified().await;
    drop(gate.stop.take());
    gate.go.notify_one();
    let answer = socket.next().await.unwrap().unwrap();
    assert!(answer.to_text().unwrap().contains("waited"), "{answer:?}");
    match socket.next().await.unwrap().unwrap() {
        Message::Close(Some(frame)) => assert_eq!(u16::from(frame.code), 1001),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn the_old_door_is_there_only_when_asked_for() {
    let shut = gate(Settings::default()).await;
    assert_eq!(shut.get(ADMIN, "/sse").await.status, 404);
    let open = gate(Settings { sse_door: true, ..Settings::default() }).await;
    assert_eq!(answer(open.request(Method::GET, "/sse")).await.status, 401);
    let mut events = open.request(Method::GET, "/sse").bearer_auth(ADMIN).send().await.unwrap();
    let first = events.chunk().await.unwrap().unwrap();
    let first = String::from_utf8(first.to_vec()).unwrap();
    let to = first.strip_prefix("event: endpoint\ndata: ").unwrap().trim();
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    assert_eq!(open.post(READER, to, ping.clone()).await.status, 404, "somebody else's");
    assert_eq!(open.post(ADMIN, to, ping).await.status, 202);
    let pong = events.chunk().await.unwrap().unwrap();
    assert!(pong.starts_with(b"event: message\ndata: {"), "{pong:?}");
}
