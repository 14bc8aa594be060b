//! Clients that connect, call and vanish: what they leave behind must go by itself.
//!
//! Called by `main` with a gateway of its own, whose sessions end after a second without use. A first part lets caches
//! and the allocator grow to their size; then the same clients come for the time asked for. At the end the connections
//! and sessions that the gateway counts must be back at their start, and its memory near what it was after the first
//! part. No client ends its session, and none closes a stream that it opened.

use crate::client::{Connection, bearer, header, post};
use crate::gateway::Gateway;
use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

// One caller makes all of them, so its own bound must not be what ends them.
const SETTINGS: &str = "http:\n  sessions:\n    idle: 1s\n    per_caller: 50000\n    total: 50000\n";
// Sessions are counted at the door of one server.
const PATH: &str = "/mcp/omnipotent";
const CLIENTS: usize = 32;
// Of the length; caches have their size after half a minute of this load.
const WARM_UP: u32 = 3;
// How often memory is looked at for the line that is printed: so many times in the length.
const LOOKS: u32 = 8;
// Sessions end a second after their last use and are looked through some times a second; streams end with the socket.
const SETTLE: Duration = Duration::from_secs(20);
// What memory may differ by from one part to the next without a leak: a tenth, and this many bytes.
const NOISE: u64 = 8 << 20;

pub async fn run(binary: &Path, length: Duration) -> Result<()> {
    let gateway = Gateway::start(binary, SETTINGS).await?;
    // The connection that saw it start is closed meanwhile.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (start, idle) = (connections(&gateway).await?, gateway.memory());
    let warm =
        vanish(&gateway, (length / WARM_UP).clamp(Duration::from_secs(10), Duration::from_secs(30))).await?;
    settled(&gateway, start).await?;
    let before = gateway.memory();

    let soak = vanish(&gateway, length).await?;
    let took = settled(&gateway, start).await?;
    let after = gateway.memory();
    let mib = |bytes: u64| bytes as f64 / (1 << 20) as f64;
    println!(
        "soak: {} clients vanished in {length:?} (and {} before it); connections and sessions {start} at the start, {} at \
         most, {start} again {took:.1?} after the last; resident memory {:.1} MiB at the start, {:.1} after the warm-up, \
         {:.1} at most, {:.1} after",
        soak.clients,
        warm.clients,
        soak.connections,
        mib(idle),
        mib(before),
        mib(soak.memory),
        mib(after),
    );
    let looks: Vec<_> = soak.looks.iter().map(|bytes| format!("{:.1}", mib(*bytes))).collect();
    println!("soak: resident MiB every {:?}: {}", length / LOOKS, looks.join(" "));
    gateway.stop_and_verify().await?;
    ensure!(
        soak.connections > start + CLIENTS as u64,
        "the clients left nothing behind: this measured nothing"
    );
    let most = before + before / 10 + NOISE;
    ensure!(after <= most, "memory did not come back: {after} bytes, at most {most} expected");
    Ok(())
}

#[derive(Default)]
struct Seen {
    clients: u64,
    /// Most connections and sessions at once.
    connections: u64,
    /// Most resident bytes, and how many there were at even distances.
    memory: u64,
    looks: Vec<u64>,
}

async fn vanish(gateway: &Gateway, length: Duration) -> Result<Seen> {
    let end = Instant::now() + length;
    let place = Arc::new(Place { address: gateway.address.clone(), key: gateway.key.clone() });
    let workers: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let place = place.clone();
            tokio::spawn(async move {
                let mut done = 0;
                while Instant::now() < end {
                    place.client(number as u64 + done).await?;
                    done += 1;
                }
                anyhow::Ok(done)
            })
        })
        .collect();
    let mut seen = Seen::default();
    let mut next_look = Instant::now() + length / LOOKS;
    while Instant::now() < end {
        seen.connections = seen.connections.max(connections(gateway).await?);
        let memory = gateway.memory();
        seen.memory = seen.memory.max(memory);
        if Instant::now() >= next_look {
            seen.looks.push(memory);
            next_look += length / LOOKS;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for worker in workers {
        seen.clients += worker.await??;
    }
    Ok(seen)
}

/// Wait until the gateway counts what it counted at the start; how long that took.
async fn settled(gateway: &Gateway, start: u64) -> Result<Duration> {
    let begin = Instant::now();
    loop {
        let now = connections(gateway).await?;
        if now <= start {
            return Ok(begin.elapsed());
        }
        ensure!(
            begin.elapsed() < SETTLE,
            "{now} connections and sessions {SETTLE:?} after the last client, {start} at the start"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// `mcp_active_connections` of all servers, the asking one included.
async fn connections(gateway: &Gateway) -> Result<u64> {
    let request = format!(
        "GET /metrics HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\n\r\n",
        gateway.address, gateway.key
    );
    let mut connection = Connection::open(&gateway.address).await?;
    let answer = connection.send(request.as_bytes()).await?;
    ensure!(answer.status == 200, "GET /metrics: {}", answer.status);
    let page = std::str::from_utf8(answer.body)?;
    let samples = page.lines().filter(|line| line.starts_with("mcp_active_connections{"));
    samples.map(|line| Ok(line.rsplit_once(' ').context("a sample without a value")?.1.parse::<u64>()?)).sum()
}

struct Place {
    address: String,
    key: String,
}

impl Place {
    /// One client of one of four kinds, from its first byte to where it vanishes.
    async fn client(&self, kind: u64) -> Result<()> {
        let mut socket = TcpStream::connect(&self.address).await?;
        match kind % 4 {
            // Calls, then is gone.
            0 => {
                let session = self.initialize(&mut socket).await?;
                self.call(&mut socket, &session).await
            }
            // Has its stream open and calls beside it; both are cut.
            1 => {
                let session = self.initialize(&mut socket).await?;
                let mut stream = TcpStream::connect(&self.address).await?;
                let get = format!(
                    "GET {PATH} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nAccept: text/event-stream\r\n{session}\r\n",
                    self.address, self.key
                );
                stream.write_all(get.as_bytes()).await?;
                expect(&head(&mut stream).await?.0, "200")?;
                self.call(&mut socket, &session).await
            }
            // Is cut off in the middle of a request.
            2 => {
                let session = self.initialize(&mut socket).await?;
                let request = self.post(&session, CALL);
                socket.write_all(&request[..request.len() - 10]).await?;
                Ok(())
            }
            // Modern: listens, and is gone.
            _ => {
                let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\n";
                socket.write_all(&self.post(headers, LISTEN)).await?;
                expect(&head(&mut socket).await?.0, "200")
            }
        }
    }

    fn post(&self, headers: &str, body: &str) -> Vec<u8> {
        post(&self.address, PATH, &format!("{}{headers}", bearer(&self.key)), body)
    }

    /// The headers that name the new session.
    async fn initialize(&self, socket: &mut TcpStream) -> Result<String> {
        socket.write_all(&self.post("", INITIALIZE)).await?;
        let (head, _) = whole(socket).await?;
        expect(&head, "200")?;
        let id = header(&head, "mcp-session-id").context("no Mcp-Session-Id")?;
        let session = format!("Mcp-Session-Id: {id}\r\nMCP-Protocol-Version: 2025-11-25\r\n");
        socket.write_all(&self.post(&session, INITIALIZED)).await?;
        expect(&whole(socket).await?.0, "202")?;
        Ok(session)
    }

    async fn call(&self, socket: &mut TcpStream, session: &str) -> Result<()> {
        socket.write_all(&self.post(session, CALL)).await?;
        let (head, body) = whole(socket).await?;
        expect(&head, "200")?;
        ensure!(body.contains(r#""name":"LANG""#), "the call was answered {body}");
        Ok(())
    }
}

const INITIALIZE: &str = r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"soak","version":"1"}}}"#;
const INITIALIZED: &str = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
const CALL: &str = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_env_var","arguments":{"name":"LANG","default":"none"}}}"#;
const LISTEN: &str = r#"{"jsonrpc":"2.0","id":1,"method":"subscriptions/listen","params":{"notifications":{"toolsListChanged":true},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"soak","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;

fn expect(head: &str, status: &str) -> Result<()> {
    ensure!(head.get(9..12) == Some(status), "wanted {status}, got: {head}");
    Ok(())
}

/// The head of an answer, and what came with it of the body.
async fn head(socket: &mut TcpStream) -> Result<(String, Vec<u8>)> {
    let mut buffer = Vec::with_capacity(4 << 10);
    loop {
        if let Some(end) = buffer.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = buffer.split_off(end + 4);
            return Ok((String::from_utf8(buffer)?, rest));
        }
        more(socket, &mut buffer).await?;
    }
}

/// A whole answer; a chunked body with its chunk sizes in it.
async fn whole(socket: &mut TcpStream) -> Result<(String, String)> {
    let (head, mut body) = head(socket).await?;
    let length = header(&head, "content-length").map(str::parse::<usize>).transpose()?;
    let chunked = header(&head, "transfer-encoding").is_some();
    while length.is_some_and(|length| body.len() < length) || (chunked && !body.ends_with(b"0\r\n\r\n")) {
        more(socket, &mut body).await?;
    }
    Ok((head, String::from_utf8_lossy(&body).into_owned()))
}

async fn more(socket: &mut TcpStream, buffer: &mut Vec<u8>) -> Result<()> {
    if socket.read_buf(buffer).await? == 0 {
        bail!("the gateway closed the connection: {}", String::from_utf8_lossy(buffer));
    }
    Ok(())
}
