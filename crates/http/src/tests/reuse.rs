//! A connection after an answer that came before the body was read.

use super::{ADMIN, Gate, gate};
use crate::Settings;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

fn head(gate: &Gate, path: &str, key: &str, more: &str) -> String {
    let host = gate.address;
    format!("POST {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n{more}\r\n")
}

// One answer with a body of a known length.
async fn read(socket: &mut TcpStream) -> String {
    let reading = async {
        let mut text = Vec::new();
        while !text.ends_with(b"\r\n\r\n") {
            text.push(socket.read_u8().await.unwrap());
        }
        let head = String::from_utf8(text).unwrap();
        let length = head.split("content-length: ").nth(1).unwrap().split("\r\n").next().unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        socket.read_exact(&mut body).await.unwrap();
        head
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.unwrap()
}

#[tokio::test]
async fn a_small_rest_is_read_and_the_connection_goes_on() {
    let gate = gate(Settings::default()).await;
    let mut socket = TcpStream::connect(gate.address).await.unwrap();
    for (path, key, status) in [
        ("/mcp", "tg_admin_wrong", "401"),
        ("/nothing", ADMIN, "404"),
        ("/mcp/lab/tools/echo", "tg_admin_wrong", "401"),
    ] {
        let head = head(&gate, path, key, "content-type: application/json\r\ncontent-length: 2\r\n");
        socket.write_all(head.as_bytes()).await.unwrap();
        // In a segment of its own, as many clients send it.
        tokio::time::sleep(Duration::from_millis(30)).await;
        socket.write_all(b"{}").await.unwrap();
        let answer = read(&mut socket).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        assert!(!answer.contains("connection: close"), "{answer}");
    }
}

#[tokio::test]
async fn a_large_rest_ends_the_connection_and_the_answer_says_so() {
    let gate = gate(Settings::default()).await;
    for more in ["content-length: 1000000\r\n", "content-length: 2\r\nexpect: 100-continue\r\n"] {
        let mut socket = TcpStream::connect(gate.address).await.unwrap();
        socket.write_all(head(&gate, "/mcp", "tg_admin_wrong", more).as_bytes()).await.unwrap();
        let answer = read(&mut socket).await;
        assert!(answer.starts_with("HTTP/1.1 401") && answer.contains("connection: close"), "{answer}");
        assert_eq!(socket.read(&mut [0]).await.unwrap(), 0, "closed");
    }
}
