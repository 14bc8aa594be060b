//! The gateway's own edge and engine with the `conformance` server alone, for the official suite, which brings no key:
//! each request gets one here, and everything after that is the house's own path.
//!
//! `conformance_gate ADDRESS` serves until it is killed; `http://ADDRESS/mcp/conformance` is the endpoint.

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use toolgate_core::policy::Policy;
use toolgate_core::unit::Rate;
use toolgate_core::{Mount, canon};
use toolgate_engine::{ApiKey, Engine, Parts, journal::Journal};
use toolgate_testkit::conformance::Conformance;

const KEY: &str = "tg_conformance_secret";

#[tokio::main]
async fn main() -> Result<()> {
    let address = std::env::args().nth(1).context("usage: conformance_gate ADDRESS")?;
    let directory = tempfile::tempdir()?;
    let journal = Journal::open(directory.path(), "conformance").map_err(|e| anyhow::anyhow!("{e}"))?;
    let mut settings = toolgate_engine::Settings::default();
    let much: Rate = "1000000/1s".parse().map_err(anyhow::Error::msg)?;
    (settings.per_caller, settings.per_tool) = (much, much);
    let key = ApiKey {
        id: "conformance".into(),
        name: "conformance".into(),
        hash: canon::sha256(KEY.as_bytes()),
        roles: vec!["admin".into()],
        expires_at: None,
    };
    let servers = vec![Mount::of(Conformance)];
    let engine = Engine::new(Parts::new(settings, servers, Policy::default(), vec![key], journal))
        .map_err(|e| anyhow::anyhow!("{e}"))?;
    // Clients reach it under the front's address.
    let port = address.rsplit(':').next().unwrap_or_default();
    let hosts = ["localhost", "127.0.0.1"].map(|host| format!("{host}:{port}"));
    let http = toolgate_http::Settings {
        allowed_origins: hosts.iter().map(|host| format!("http://{host}")).collect(),
        allowed_hosts: hosts.into(),
        ..toolgate_http::Settings::default()
    };
    let state = toolgate_http::AppState::new(toolgate_http::Edge::new(engine, http))
        .map_err(|problems| anyhow::anyhow!(problems.join("; ")))?;
    let front = TcpListener::bind(&address).await?;
    println!("http://{address}/mcp/conformance");
    let behind = toolgate_http::bind("127.0.0.1:0".parse()?).await.map_err(|e| anyhow::anyhow!("{e}"))?;
    let inner = behind.local_addr()?;
    tokio::spawn(toolgate_http::serve(behind, state, std::future::pending()));
    loop {
        let (client, _) = front.accept().await?;
        tokio::spawn(async move {
            if let Ok(server) = TcpStream::connect(inner).await {
                let _ = relay(client, server).await;
            }
        });
    }
}

// Add the key to the head of each request; bodies and answers pass as they are.
async fn relay(client: TcpStream, server: TcpStream) -> Result<()> {
    let (from, mut back) = client.into_split();
    let (mut answers, mut to) = server.into_split();
    let mut from = BufReader::new(from);
    let up = async move {
        loop {
            let (mut length, mut first) = (0_u64, true);
            loop {
                let mut line = String::new();
                if from.read_line(&mut line).await? == 0 {
                    to.shutdown().await?;
                    return anyhow::Ok(());
                }
                if let Some((name, value)) = line.split_once(':')
                    && name.eq_ignore_ascii_case("content-length")
                {
                    length = value.trim().parse()?;
                }
                to.write_all(line.as_bytes()).await?;
                if std::mem::take(&mut first) {
                    to.write_all(format!("Authorization: Bearer {KEY}\r\n").as_bytes()).await?;
                }
                if line == "\r\n" {
                    break;
                }
            }
            tokio::io::copy(&mut (&mut from).take(length), &mut to).await?;
        }
    };
    let down = tokio::io::copy(&mut answers, &mut back);
    tokio::select! {
        done = up => done,
        done = down => Ok(done.map(|_| ())?),
    }
}
