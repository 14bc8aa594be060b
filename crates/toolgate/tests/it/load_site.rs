//! `Site`: an MCP server to put load on, over plain HTTP by hand, that bears it in a way of your choice.

use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, watch};
use tokio::time::Instant;

/// Text of the errors: markup and a control, which a page and a terminal must not take for their own.
pub const SAYS: &str = "no <script>alert(1)</script> & \u{1b}[31mred";

#[derive(Clone, Copy)]
pub enum Bears {
    /// Every call of such a number is an error of the tool.
    Failing(u64),
    /// From the call of this number on nobody is answered for a time.
    Stalling(u64, Duration),
    /// One call in this time, whoever asks.
    Paced(Duration),
    /// Answers as a stream of events, with other messages before the answer.
    Streaming,
}

struct Site {
    bears: Bears,
    calls: AtomicU64,
    next: Mutex<Instant>,
    answered: watch::Sender<u64>,
}

/// Serve until the test ends; the URL.
pub async fn site(bears: Bears) -> String {
    watched(bears).await.0
}

/// The same, with the number of requests that were answered.
pub async fn watched(bears: Bears) -> (String, watch::Receiver<u64>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    let (answered, seen) = watch::channel(0);
    let site = Arc::new(Site { bears, calls: AtomicU64::new(0), next: Mutex::new(Instant::now()), answered });
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let site = site.clone();
            tokio::spawn(async move {
                let _ = talk(stream, &site).await;
            });
        }
    });
    (url, seen)
}

async fn talk(stream: TcpStream, site: &Site) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        loop {
            line.clear();
            if stream.read_line(&mut line).await? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line == "\r\n" {
                break;
            }
        }
        let mut body = vec![0; length];
        stream.read_exact(&mut body).await?;
        let message: Value = serde_json::from_slice(&body).unwrap();
        let wrong = answer_of(site).await;
        let text = if wrong { SAYS } else { "well" };
        let answer = json!({"jsonrpc": "2.0", "id": message["id"],
            "result": {"content": [{"type": "text", "text": text}], "isError": wrong}});
        let (kind, answer) = match site.bears {
            Bears::Streaming => {
                let note = json!({"jsonrpc": "2.0", "method": "notifications/message", "params": {}});
                ("text/event-stream", format!("data: {note}\n\ndata: {answer}\n\n"))
            }
            _ => ("application/json", answer.to_string()),
        };
        let head =
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", answer.len());
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(answer.as_bytes()).await?;
        stream.flush().await?;
        site.answered.send_modify(|count| *count += 1);
    }
}

// Wait as it has to; whether it is an error.
async fn answer_of(site: &Site) -> bool {
    let number = site.calls.fetch_add(1, Ordering::SeqCst) + 1;
    match site.bears {
        Bears::Failing(every) => return number.is_multiple_of(every),
        Bears::Stalling(at, length) => {
            let mut until = site.next.lock().await;
            if number == at {
                *until = Instant::now() + length;
            }
            let until = *until;
            tokio::time::sleep_until(until).await;
        }
        Bears::Paced(each) => {
            let mut next = site.next.lock().await;
            tokio::time::sleep_until(*next).await;
            *next = Instant::now() + each;
        }
        Bears::Streaming => {}
    }
    false
}
