//! A client that does not read its answers.

use super::{ADMIN, READER, gate};
use crate::Settings;
use serde_json::json;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use toolgate_core::unit::Size;

fn echo(bytes: usize) -> String {
    json!({"params": {"text": "x".repeat(bytes)}}).to_string()
}

#[tokio::test]
async fn who_does_not_read_gets_no_more_and_others_do() {
    let room = Size(16 << 20);
    let gate = gate(Settings { max_body: room, max_bodies: room, ..Settings::default() }).await;
    let lazy = TcpSocket::new_v4().unwrap();
    lazy.set_recv_buffer_size(4096).unwrap();
    let mut lazy = lazy.connect(gate.address).await.unwrap();
    // More than the system keeps for a connection.
    let body = echo(9 << 20);
    let head = format!(
        "POST /mcp/lab/tools/echo HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {ADMIN}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        gate.address,
        body.len()
    );
    lazy.write_all(head.as_bytes()).await.unwrap();
    lazy.write_all(body.as_bytes()).await.unwrap();
    let mut begun = [0; 15];
    lazy.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200 OK");
    let ask = async |key| gate.post(key, "/mcp/lab/tools/echo", echo(100_000)).await;
    let refused = ask(ADMIN).await;
    assert_eq!((refused.status, refused.json()["error"]["kind"].as_str()), (503, Some("unavailable")));
    assert_eq!(gate.post(ADMIN, "/mcp/lab/tools/echo", echo(10)).await.status, 200, "what is small");
    assert_eq!(ask(READER).await.status, 200, "somebody else");
    drop(lazy);
    let freed = async {
        while ask(ADMIN).await.status != 200 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), freed).await.unwrap();
}
