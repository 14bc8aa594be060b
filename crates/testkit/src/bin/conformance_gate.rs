//! The gateway's own edge and engine with the `conformance` server alone, for the official suite, which brings no key:
//! each request gets one here, and everything after that is the house's own path.
//!
//! `conformance_gate ADDRESS [both|legacy|modern]` serves until it is killed; `http://ADDRESS/mcp/conformance` is the endpoint.

use anyhow::{Context, Result};
use tokio::net::TcpListener;
use toolgate_core::policy::Policy;
use toolgate_core::unit::Rate;
use toolgate_core::{Mount, canon};
use toolgate_engine::{ApiKey, Engine, Parts, journal::Journal};
use toolgate_testkit::conformance::Conformance;
use toolgate_testkit::front::{Eras, Front};

const KEY: &str = "tg_conformance_secret";

#[tokio::main]
async fn main() -> Result<()> {
    let usage = "usage: conformance_gate ADDRESS [both|legacy|modern]";
    let address = std::env::args().nth(1).context(usage)?;
    let eras: Eras = std::env::args().nth(2).as_deref().unwrap_or("both").parse().context(usage)?;
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
    Front { key: Some(KEY.to_owned()), eras }.serve(front, inner).await
}
