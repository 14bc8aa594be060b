//! The registry: what this gateway offers, as entries of the MCP registry API (`/v0.1`, read-only).
//!
//! For clients that take a list of allowed servers from such an address. Needs a key, and shows what its caller sees, unless
//! `http.registry.open` is set; then anybody reads it, and sees every server. Any web page may read it (CORS `*`): there are
//! no cookies, so it still has to present a key. Absent on purpose: publishing.

mod entry;
mod servers;
mod versions;

use crate::app::AppState;
use crate::rest::Route;
use http::{HeaderMap, HeaderValue, Uri, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::Caller;
use toolgate_engine::ServerView;

const ROOT: &str = "/v0.1/servers";

/// The registry of what this gateway offers (`/v0.1/servers`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Registry {
    /// Whether it needs no key: anybody who reaches the gateway then reads the names and descriptions of all servers.
    pub open: bool,
    /// Reverse DNS name before the servers' names, e.g. `com.example.tools`.
    pub namespace: String,
    /// Address under which clients reach the gateway, e.g. `https://gateway.example.com`; default the one that they asked.
    pub public_url: Option<String>,
}

impl Default for Registry {
    fn default() -> Self {
        Self { open: false, namespace: "io.toolgate".to_owned(), public_url: None }
    }
}

impl Registry {
    /// Every problem, each with its path.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'.' || b == b'-';
        if self.namespace.is_empty() || self.namespace.len() > 128 || !self.namespace.bytes().all(fits) {
            problems.push(format!(
                "http.registry.namespace: {:?} is not a reverse DNS name; write \"com.example.tools\"",
                self.namespace
            ));
        }
        if let Some(url) = &self.public_url {
            let parsed = url.parse::<Uri>().ok().filter(|uri| {
                matches!(uri.scheme_str(), Some("http" | "https"))
                    && uri.authority().is_some()
                    && uri.query().is_none()
            });
            if parsed.is_none() || url.contains('@') {
                problems.push(
                    "http.registry.public_url: is not an address such as \"https://gateway.example.com\""
                        .to_owned(),
                );
            }
        }
        problems
    }
}

/// Every endpoint of the registry.
pub(crate) fn routes() -> [Route; 3] {
    [servers::route(), versions::all(), versions::one()]
}

/// Whether a path is the registry's.
pub(crate) fn covers(path: &str) -> bool {
    path.strip_prefix(ROOT).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Let any page read the answer.
pub(crate) fn allow(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// What the caller sees; everything for nobody, who comes here only where the registry is open.
fn seen(state: &AppState, caller: Option<&Caller>) -> Vec<ServerView> {
    match caller {
        Some(caller) => state.engine().servers(caller),
        None => state.engine().servers(&Caller::new("registry", "anybody", ["admin"])),
    }
}
