//! HTTP to the outside under the egress guard.
//!
//! Used by tool servers and upstreams through `Host::http`. Invariants: every URL, every redirect hop and every DNS
//! answer is judged before a byte is sent; a connection goes only to an address that was judged; no answer is larger
//! than its caller asked for. `Origin` streams to and from one origin that the operator configured. Absent on purpose:
//! proxies, cookies, retries of what may have been seen, and any way for a caller to widen the rules.

mod address;
mod client;
mod connect;
pub(crate) mod dial;
mod kept;
#[cfg(test)]
mod kept_tests;
mod line;
mod origin;
#[cfg(test)]
mod origin_tests;
mod pattern;
mod pin;
#[cfg(test)]
mod pin_tests;
mod resolve;
mod rules;
#[cfg(test)]
mod tests;
mod tls;

pub use client::Http;
pub use origin::{Answer, Body, Lost, Origin};
pub use pin::Pin;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What may be reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct EgressRules {
    /// Private services an operator names: `host:port` or `host` (any port), reached although their address is private
    /// or their port is on the refused list.
    pub allow_private: Vec<String>,
    /// When not empty: only these hosts (`example.org`, `*.example.org`) may be reached at all.
    pub only: Vec<String>,
    /// Hosts never reached (`example.org`, `*.example.org`, or an IP address, which also closes the names that lead
    /// to it).
    pub deny: Vec<String>,
    /// Redirects followed, each checked again; 5 when not set, at most 20. With 0 the redirect itself is the answer.
    pub max_redirects: Option<usize>,
}

impl EgressRules {
    /// Every problem, each with its path below `egress`.
    pub fn problems(&self) -> Vec<String> {
        rules::Guard::judged(self).err().unwrap_or_default()
    }
}

/// One request out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// From the first DNS question to the last byte of the answer, redirects included; at most an hour.
    pub timeout: Duration,
    /// Bytes of (decoded) body kept; what is over is cut and said (`Incoming::truncated`). At most 256 MiB.
    pub max_body: usize,
}

impl Outgoing {
    pub fn get(url: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            url: url.into(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: Duration::from_secs(30),
            max_body: 5 << 20,
        }
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Incoming {
    /// The URL that answered, after redirects.
    pub url: String,
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub truncated: bool,
}

/// Counters since start. Every call of `send` is one of `requests`; of these, `refused` were stopped by a rule and
/// `failed` got no whole answer.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct HttpStats {
    pub requests: u64,
    pub failed: u64,
    pub refused: u64,
}
