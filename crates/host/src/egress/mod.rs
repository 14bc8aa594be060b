//! HTTP to the outside under the egress guard. (signatures)

use crate::HostError;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What may be reached.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EgressRules {
    /// Private services an operator names: `host:port` or `host` (any port), reached although their address is private
    /// or their port is on the refused list.
    pub allow_private: Vec<String>,
    /// When not empty: only these hosts (`example.org`, `*.example.org`) may be reached at all.
    pub only: Vec<String>,
    /// Hosts never reached.
    pub deny: Vec<String>,
    /// Redirects followed, each checked again.
    pub max_redirects: Option<usize>,
}

/// One request out.
#[derive(Debug, Clone)]
pub struct Outgoing {
    pub method: Method,
    pub url: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub timeout: Duration,
    /// Bytes of body kept; what is over is cut and said (`Incoming::truncated`).
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

/// The egress client.
pub struct Http {}

impl Http {
    /// Validates the rules; opens no connection and reads no certificate until the first request.
    pub fn new(rules: EgressRules) -> Result<Self, HostError> {
        let _ = rules;
        todo!()
    }

    pub async fn send(&self, request: Outgoing) -> Result<Incoming, HostError> {
        let _ = request;
        todo!()
    }

    /// Requests sent, failed and refused by the guard since start.
    pub fn stats(&self) -> HttpStats {
        todo!()
    }
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub struct HttpStats {
    pub requests: u64,
    pub failed: u64,
    pub refused: u64,
}
