//! Many connections with a session each, all idle: what one takes of the gateway's memory.
//!
//! Called by `main` with a gateway of its own whose limits are high enough. Twice: sessions that only keep their
//! connection, and sessions that have their own stream (`GET`) open on it. Memory is resident memory, read when the first
//! few sessions have come and gone, when all are open and idle, and after they have been given up. Absent on purpose: calls.

use crate::call::Place;
use crate::client::{header, post};
use crate::gateway::Gateway;
use crate::raw::Sessions;
use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const SETTINGS: &str = "http:\n  max_connections: 100000\n  idle_timeout: 1h\n  sessions: {idle: 1h, per_caller: 100000, total: 100000}\n";
// So that code and tables are there before the first reading.
const FIRST: usize = 200;
// Without traffic, before memory is read.
const IDLE: Duration = Duration::from_secs(3);
const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"bench","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

pub async fn run(binary: &Path, connections: usize) -> Result<Vec<Sessions>> {
    let mut all = Vec::new();
    for streams in [false, true] {
        let gateway = Gateway::start(binary, SETTINGS).await?;
        for pid in [gateway.pid(), std::process::id()] {
            let files = connections + 1000;
            let raised = Command::new("prlimit")
                .args(["--pid", &pid.to_string(), &format!("--nofile={files}:{files}")])
                .status();
            ensure!(
                raised.is_ok_and(|s| s.success()),
                "prlimit cannot raise the limit of open files to {files}; fewer with --sessions N"
            );
        }
        drop(open(&gateway, FIRST.min(connections), streams).await?);
        tokio::time::sleep(IDLE).await;
        let before = gateway.memory();
        let sockets = open(&gateway, connections, streams).await?;
        tokio::time::sleep(IDLE).await;
        let opened = gateway.memory();
        drop(sockets);
        tokio::time::sleep(IDLE).await;
        all.push(Sessions { connections, streams, before, open: opened, after: gateway.memory() });
        gateway.stop_and_verify().await?;
    }
    Ok(all)
}

pub fn print(all: &[Sessions]) -> String {
    let mut text = "| connections | session's own stream | before | open and idle | each | connections closed |\n|---|---|---|---|---|---|\n".to_owned();
    for s in all {
        let mib = |bytes| format!("{:.1} MiB", crate::mib(bytes));
        text.push_str(&format!(
            "| {} | {} | {} | {} | {:.1} KB | {} |\n",
            s.connections,
            if s.streams { "open" } else { "none" },
            mib(s.before),
            mib(s.open),
            each(s) / 1000.0,
            mib(s.after),
        ));
    }
    text
}

/// Bytes of one.
pub fn each(s: &Sessions) -> f64 {
    s.open.saturating_sub(s.before) as f64 / s.connections.max(1) as f64
}

async fn open(gateway: &Gateway, connections: usize, streams: bool) -> Result<Vec<TcpStream>> {
    let place = Place::with_key(&gateway.address, "/mcp", &gateway.key);
    let mut sockets = Vec::with_capacity(connections);
    let mut buffer = Vec::with_capacity(16 << 10);
    for number in 0..connections {
        let one = one(&place, streams, &mut buffer).await;
        sockets.push(one.with_context(|| format!("connection {number}"))?);
    }
    Ok(sockets)
}

async fn one(place: &Place, streams: bool, buffer: &mut Vec<u8>) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(&place.address).await?;
    let head =
        ask(&mut socket, &post(&place.address, &place.path, &place.headers, INITIALIZE), "200", buffer)
            .await?;
    let id = header(&head, "mcp-session-id").context("no Mcp-Session-Id")?;
    let lines = format!("{}Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n", place.headers);
    ask(&mut socket, &post(&place.address, &place.path, &lines, INITIALIZED), "202", buffer).await?;
    if streams {
        let get = format!(
            "GET {} HTTP/1.1\r\nHost: {}\r\nAccept: text/event-stream\r\n{lines}\r\n",
            place.path, place.address
        );
        ask(&mut socket, get.as_bytes(), "200", buffer).await?;
    }
    Ok(socket)
}

// The head of the answer; its body is read where its length is said.
async fn ask(socket: &mut TcpStream, request: &[u8], status: &str, buffer: &mut Vec<u8>) -> Result<String> {
    socket.write_all(request).await?;
    buffer.clear();
    let end = loop {
        if let Some(at) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        ensure!(socket.read_buf(buffer).await? > 0, "closed by the gateway");
    };
    let head = std::str::from_utf8(&buffer[..end])?.to_owned();
    ensure!(head.get(9..12) == Some(status), "wanted {status}, got {}", String::from_utf8_lossy(buffer));
    let length = header(&head, "content-length").map_or(Ok(0), str::parse::<usize>)?;
    while buffer.len() < end + length {
        ensure!(socket.read_buf(buffer).await? > 0, "closed by the gateway");
    }
    Ok(head)
}
