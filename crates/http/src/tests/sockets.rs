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

/// Whether the gateway ends it, and with which code if it can still say so.
async fn ended(socket: &mut Socket) -> Option<(u16, String)> {
    loop {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next()).await;
        match next.expect("an end in time") {
            Some(Ok(Message::Close(Some(frame)))) => {
                return Some((frame.code.into(), frame.reason.to_string()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

/// Pongs that nobody reads are not kept without end.
#[tokio::test]
async fn a_flood_of_pings_ends_the_socket() {
    let gate = gate(Settings::default()).await;
    let mut socket = open(&gate, &[("authorization", &bearer(ADMIN))]).await.unwrap();
    for _ in 0..10 {
        socket.send(Message::Ping(vec![b'x'; 125].into())).await.unwrap();
    }
    for _ in 0..10 {
        assert!(socket.next().await.unwrap().unwrap().is_pong());
    }
    // Pongs that nobody reads fill the buffers of the sockets first; one may answer many pings, so how long that takes is
    // not known.
    let mut flood = async || -> Result<std::convert::Infallible, Error> {
        loop {
            for _ in 0..1000 {
                socket.feed(Message::Ping(vec![b'x'; 125].into())).await?;
            }
            socket.flush().await?;
        }
    };
    let flooded = tokio::time::timeout(std::time::Duration::from_secs(60), flood()).await;
    assert!(flooded.is_ok(), "a minute of pings was taken");
}

fn part(bytes: usize) -> Message {
    use tokio_tungstenite::tungstenite::protocol::frame::{Frame, coding::Data, coding::OpCode};
    Message::Frame(Frame::message(vec![b' '; bytes], OpCode::Data(Data::Text), false))
}

#[tokio::test]
async fn a_message_that_does_not_end_is_not_waited_for() {
    let second = toolgate_core::unit::Span(std::time::Duration::from_millis(300));
    let gate = gate(Settings { body_timeout: second, ..Settings::default() }).await;
    let mut socket = open(&gate, &[("authorization", &bearer(ADMIN))]).await.unwrap();
    call(&mut socket, "ping", json!({})).await;
    socket.send(part(1000)).await.unwrap();
    // What comes in the middle is not its end.
    socket.send(Message::Pong(vec![b'x'; 100].into())).await.unwrap();
    let (code, why) = ended(&mut socket).await.unwrap();
    assert_eq!((code, why.contains("http.body_timeout")), (1008, true), "{why}");
}

#[tokio::test]
async fn parts_of_messages_count_as_bodies() {
    let room = toolgate_core::unit::Size(1 << 20);
    let gate = gate(Settings { max_body: room, max_bodies: room, ..Settings::default() }).await;
    let mut sockets = Vec::new();
    for _ in 0..2 {
        let mut socket = open(&gate, &[("authorization", &bearer(READER))]).await.unwrap();
        socket.send(part(700_000)).await.unwrap();
        sockets.push(socket);
    }
    let one = async |socket: &mut Socket| ended(socket).await;
    let (mut first, mut second) = (sockets.remove(0), sockets.remove(0));
    let ended = tokio::select! {
        ended = one(&mut first) => ended,
        ended = one(&mut second) => ended,
    };
    assert_eq!(ended.unwrap().0, 1013);
}
