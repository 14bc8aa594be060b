//! Closed-loop load: so many connections, each calling as soon as it has its answer; every answer is checked.

use crate::client::{Connection, post};
use crate::gateway::Gateway;
use crate::histogram::Histogram;
use anyhow::Result;
use std::fmt;
use std::time::{Duration, Instant};

/// How the tool is called.
#[derive(Clone, Copy)]
pub enum Door {
    /// MCP 2026-07-28 over Streamable HTTP.
    Modern,
    Rest,
}

impl fmt::Display for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Door::Modern => "MCP 2026-07-28",
            Door::Rest => "REST",
        })
    }
}

pub struct Run {
    pub latency: Histogram,
    pub errors: u64,
    pub first_error: Option<String>,
    pub elapsed: Duration,
}

/// The request: `get_env_var`, a built-in tool that only reads, is never cached and answers at once.
pub fn request(door: Door, host: &str, key: &str) -> Vec<u8> {
    match door {
        Door::Rest => post(
            host,
            "/mcp/omnipotent/tools/get_env_var",
            key,
            "",
            r#"{"params":{"name":"LANG","default":"none"}}"#,
        ),
        Door::Modern => {
            let headers = "MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: tools/call\r\nMcp-Name: omnipotent__get_env_var\r\n";
            let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"omnipotent__get_env_var","arguments":{"name":"LANG","default":"none"},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientInfo":{"name":"bench","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}}}"#;
            post(host, "/mcp", key, headers, body)
        }
    }
}

/// Whether an answer is the right one.
pub fn is_right(status: u16, body: &[u8]) -> bool {
    let text = std::str::from_utf8(body).unwrap_or("");
    status == 200 && text.contains(r#""name":"LANG""#) && !text.contains(r#""isError":true"#)
}

pub async fn run(gateway: &Gateway, door: Door, connections: usize, length: Duration) -> Result<Run> {
    let started = Instant::now();
    let end = started + length;
    let workers: Vec<_> = (0..connections)
        .map(|_| {
            tokio::spawn(worker(gateway.address.clone(), request(door, &gateway.address, &gateway.key), end))
        })
        .collect();
    let mut whole = Run { latency: Histogram::new(), errors: 0, first_error: None, elapsed: length };
    for worker in workers {
        let (latency, errors, first) = worker.await??;
        whole.latency.merge(&latency);
        whole.errors += errors;
        whole.first_error = whole.first_error.or(first);
    }
    whole.elapsed = started.elapsed();
    Ok(whole)
}

async fn worker(address: String, request: Vec<u8>, end: Instant) -> Result<(Histogram, u64, Option<String>)> {
    let mut connection = Connection::open(&address).await?;
    let (mut latency, mut errors, mut first) = (Histogram::new(), 0, None);
    loop {
        let from = Instant::now();
        if from >= end {
            return Ok((latency, errors, first));
        }
        let answer = connection.send(&request).await?;
        latency.add(from.elapsed());
        if !is_right(answer.status, answer.body) {
            errors += 1;
            first
                .get_or_insert_with(|| format!("{} {}", answer.status, String::from_utf8_lossy(answer.body)));
        }
    }
}
