//! `toolgate serve`: MCP and REST over HTTP until a signal ends it.

use crate::config::{ConfigError, Settings, Sources, opens};
use crate::exit;
use crate::life;
use crate::logging;
use crate::output::{Out, Paint};
use crate::sessions::InStore;
use crate::upstreams::admin::Admin;
use crate::wiring::{self, Gate};
use anyhow::Result;
use serde_json::json;
use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use toolgate_http::Fronts;

// After this the start is over.
const SETTLED: Duration = Duration::from_secs(1);

/// Connections are served on `fronts`, everything else on the runtime of the caller.
pub async fn run(settings: Settings, sources: Sources, fronts: &Fronts, out: Out) -> Result<()> {
    logging::install(&settings.document.log);
    let stop = life::Stop::new()?;
    opens::check(&settings)?;
    // The port first: a second gateway by mistake touches nothing.
    let listener = toolgate_http::bind(settings.listen)
        .await
        .map_err(|problem| exit::unavailable(problem.to_string()))?;
    let address = listener.local_addr()?;
    let http = settings.document.http.clone();
    let tls = http.tls.is_some();
    let url = url(address, tls);
    let warnings = settings.warnings.clone();
    let gate = Arc::new(wiring::open(settings, "serve").await?);

    let mut edge = toolgate_http::Edge::new(gate.engine.clone(), http);
    let keeper = gate.clone();
    edge.keep = Arc::new(move |name, running| {
        let gate = keeper.clone();
        Box::pin(async move { gate.keep_running(&name, running).await })
    });
    edge.upstreams = Some(Arc::new(Admin(gate.upstreams.clone())));
    edge.sessions = Some(Arc::new(InStore(gate.store.clone())));
    edge.memory = || toolgate_host::system::System::new().own_memory();
    let state = toolgate_http::AppState::new(edge)
        .map_err(|problems| ConfigError::one("http", "", problems.join("; ")))?;

    let watch = life::watch(&gate, &sources, Some(url.clone())).await?;
    for warning in &warnings {
        tracing::warn!("{warning}");
    }
    gate.event("gateway_started", Some(&url)).await?;
    greet(&gate, &url, out)?;
    if !address.ip().is_loopback() && !tls {
        tracing::warn!(
            address = %address,
            "reachable from other machines, and without TLS: keys and results can be read on the way; set http.tls, or \
             put a proxy that speaks TLS in front"
        );
    }
    tracing::info!(url, data = %gate.dir.path().display(), "serving");
    tokio::spawn(settle());
    toolgate_http::serve_on(fronts, listener, state, stop.asked()).await;
    life::end(gate, watch).await
}

// What the start alone needed of the program's code is half of what an idle gateway would hold.
async fn settle() {
    tokio::time::sleep(SETTLED).await;
    if let Err(error) = toolgate_host::system::code::let_go() {
        tracing::debug!(%error, "the code of the start stays in memory");
    }
}

// An address that means "every interface" is no address to connect to.
fn url(address: SocketAddr, tls: bool) -> String {
    let mut shown = address;
    if address.ip().is_unspecified() {
        shown.set_ip(if address.is_ipv4() {
            [127, 0, 0, 1].into()
        } else {
            std::net::Ipv6Addr::LOCALHOST.into()
        });
    }
    format!("{}://{shown}", if tls { "https" } else { "http" })
}

// One line of JSON for programs; for people the address and what to do next. The new key is shown on a terminal only:
// elsewhere the output is a log, which others read and keep. Programs read it from its file.
fn greet(gate: &Gate, url: &str, out: Out) -> std::io::Result<()> {
    let file = gate.dir.admin_key_file();
    if out.json {
        return out.line(
            json!({ "url": url, "mcp": format!("{url}/mcp"), "data": gate.dir.path(), "admin_key_file": file }),
        );
    }
    out.line(format!(
        "Toolgate {} serves {}",
        env!("CARGO_PKG_VERSION"),
        out.paint(Paint::Good, &format!("{url}/mcp"))
    ))?;
    out.line(format!("data directory: {}", gate.dir.path().display()))?;
    if let Some(key) = &gate.fresh_key {
        out.lines(key_line(key.reveal(), &file, std::io::stdout().is_terminal()))?;
        out.line("next: toolgate connect claude-code --install   (or claude-desktop, vscode, cursor)")?;
    }
    Ok(())
}

fn key_line(key: &str, file: &Path, terminal: bool) -> String {
    let file = file.display();
    if terminal {
        format!("administrator's key, shown this once: {key}\nit is kept in {file}")
    } else {
        format!("the administrator's key was made and is kept in {file}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_gets_no_key() {
        let line = |terminal| key_line("tg_secret", Path::new("/d/admin.key"), terminal);
        assert!(line(true).contains("tg_secret") && line(true).contains("/d/admin.key"));
        assert!(!line(false).contains("tg_secret") && line(false).contains("/d/admin.key"));
    }

    #[test]
    fn urls_can_be_connected_to() {
        for (address, expected) in [
            ("127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("0.0.0.0:80", "http://127.0.0.1:80"),
            ("[::]:80", "http://[::1]:80"),
        ] {
            assert_eq!(url(address.parse().unwrap(), false), expected);
        }
        assert_eq!(url("127.0.0.1:8443".parse().unwrap(), true), "https://127.0.0.1:8443");
    }
}
