//! `Rough`: an upstream that misbehaves on demand: an MCP server of 2025-11-25 over plain HTTP, by hand, in this process.
//!
//! Each of its tools is one way to go wrong, and is named after it. What it writes is raw bytes: no library would.

use serde_json::{Value, json};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Bytes of the answer that is too large, and notifications of the flood.
pub const HUGE: usize = 100 << 20;
pub const FLOOD: usize = 20_000;
pub const TOOLS: [&str; 12] = [
    "calm", "hang", "garbage", "late", "drip", "twice", "deep", "huge", "flood", "changed", "die", "redirect",
];

/// Serve until the test ends; the address.
pub async fn rough() -> String {
    serve(false).await
}

/// One that takes connections and never says a word.
pub async fn hung() -> String {
    serve(true).await
}

async fn serve(hung: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async move {
        let mut kept = Vec::new();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            if hung {
                kept.push(stream);
            } else {
                tokio::spawn(async move {
                    let _ = talk(stream).await;
                });
            }
        }
    });
    address
}

async fn talk(stream: TcpStream) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut post, mut line) = (0, false, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            post |= line.starts_with("POST ");
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        if !post {
            stream.write_all(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        let message: Value = serde_json::from_slice(&body).unwrap();
        if message["id"].is_null() {
            stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
            continue;
        }
        let result = match message["method"].as_str().unwrap() {
            "initialize" => json!({
                "protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                "serverInfo": {"name": "rough", "version": "1"},
            }),
            "tools/list" => {
                let tool = |name: &&str| json!({"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": true}});
                json!({"tools": TOOLS.iter().map(tool).collect::<Vec<_>>()})
            }
            "tools/call" => {
                let name = message["params"]["name"].as_str().unwrap();
                if !call(&mut stream, name, &message["id"]).await? {
                    return Ok(());
                }
                continue;
            }
            _ => json!({}),
        };
        answer(&mut stream, &json!({"jsonrpc": "2.0", "id": message["id"], "result": result}).to_string())
            .await?;
    }
}

async fn answer(stream: &mut BufReader<TcpStream>, body: &str) -> std::io::Result<()> {
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.flush().await
}

fn done(id: &Value, text: &str) -> String {
    json!({"jsonrpc": "2.0", "id": id, "result": {"content": [{"type": "text", "text": text}]}}).to_string()
}

// Whether the connection is of further use.
async fn call(stream: &mut BufReader<TcpStream>, name: &str, id: &Value) -> std::io::Result<bool> {
    match name {
        "hang" => {
            // Until the gateway gives up.
            let _ = stream.read(&mut [0]).await;
            return Ok(false);
        }
        "garbage" => answer(stream, "}{ this is no message").await?,
        "late" => {
            tokio::time::sleep(Duration::from_millis(2500)).await;
            answer(stream, &done(id, "late")).await?;
        }
        "drip" => {
            // Never silent, and never done.
            stream
                .write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100000\r\n\r\n",
                )
                .await?;
            loop {
                stream.write_all(b" ").await?;
                stream.flush().await?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        "twice" => {
            let result = r#"{"content":[],"isError":false,"content":[{"type":"text","text":"x"}]}"#;
            answer(stream, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await?;
        }
        "deep" => {
            let deep = "[".repeat(100_000) + &"]".repeat(100_000);
            let result = format!(r#"{{"content":[],"structuredContent":{{"x":{deep}}}}}"#);
            answer(stream, &format!(r#"{{"jsonrpc":"2.0","id":{id},"result":{result}}}"#)).await?;
        }
        "huge" => {
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {HUGE}\r\n\r\n[\""
            );
            stream.write_all(head.as_bytes()).await?;
            let chunk = vec![b'x'; 64 << 10];
            for _ in 0..HUGE / chunk.len() {
                stream.write_all(&chunk).await?;
            }
            return Ok(false);
        }
        "flood" => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n")
                .await?;
            let note = json!({"jsonrpc": "2.0", "method": "notifications/message",
                "params": {"level": "error", "data": "x".repeat(1000)}});
            let (note, last) = (format!("data: {note}\n\n"), format!("data: {}\n\n", done(id, "flooded")));
            for _ in 0..FLOOD {
                stream.write_all(note.as_bytes()).await?;
            }
            stream.write_all(last.as_bytes()).await?;
            stream.flush().await?;
            return Ok(false);
        }
        "changed" => {
            let gone = json!({"jsonrpc": "2.0", "id": id, "error": {"code": -32602, "message": "Unknown tool: changed"}});
            answer(stream, &gone.to_string()).await?;
        }
        "die" => return Ok(false),
        "redirect" => {
            let away = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://10.0.0.1/mcp\r\ncontent-length: 0\r\n\r\n";
            stream.write_all(away.as_bytes()).await?;
        }
        _ => answer(stream, &done(id, "calm")).await?,
    }
    Ok(true)
}
