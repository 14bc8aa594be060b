//! What the operator can set of the edge (`http:` in `toolgate.yaml`).
//!
//! Read by the binary, checked by `guard::Rules::new` and used by the listener. The address to listen on is not here:
//! it is the top-level `listen`, because the command line sets it most.

use crate::listen::TlsFiles;
use crate::registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use toolgate_core::unit::{Size, Span};

/// The HTTP edge (`http:` in `toolgate.yaml`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Http")]
pub struct Settings {
    /// Certificate and key of TLS 1.3; without them the listener speaks plain HTTP.
    pub tls: Option<TlsFiles>,
    /// Names under which clients may reach the gateway, `gateway.example.com` (any port) or `gateway.example.com:8443`,
    /// besides loopback names and the address it is bound to. Requests for another `Host` are refused, which is what
    /// stops DNS rebinding.
    pub allowed_hosts: Vec<String>,
    /// Web origins whose pages may call the gateway, e.g. `https://console.example.com`. Pages of the gateway itself may.
    pub allowed_origins: Vec<String>,
    /// Largest request body, and message on a WebSocket; of a compressed body, before and after it is decompressed.
    pub max_body: Size,
    /// All request bodies and messages on WebSockets in memory at once, and as much again of answers that are not sent yet;
    /// a request beyond that is answered 503. One caller may take a quarter of it.
    pub max_bodies: Size,
    /// Longest time that a request body may take to arrive.
    pub body_timeout: Span,
    /// Whether request bodies may be compressed (gzip, br, zstd), and answers are for clients that take it.
    pub compression: bool,
    /// Largest request head (request line and headers).
    pub max_header: Size,
    /// Longest time that a request head may take to arrive, and a TLS handshake.
    pub header_timeout: Span,
    /// Connections open at once; more are answered 503.
    pub max_connections: usize,
    /// Requests at once on one HTTP/2 connection.
    pub max_streams: u32,
    /// A connection without a request is closed after this time.
    pub idle_timeout: Span,
    /// A connection whose peer takes no bytes for this time while there is something to send is closed.
    pub write_timeout: Span,
    /// Longest time that requests in flight may take to finish after a shutdown was asked for.
    pub shutdown_timeout: Span,
    /// Whether the doors of MCP 2024-11-05, `GET /sse` and `POST /message`, are there, for clients that know nothing newer.
    pub sse_door: bool,
    /// Sessions of MCP clients up to 2025-11-25.
    pub sessions: Sessions,
    /// Whether `GET /metrics` needs no key, for a scraper in a trusted network.
    pub open_metrics: bool,
    /// The registry of what this gateway offers (`/v0.1/servers`).
    pub registry: Registry,
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |n| Span(Duration::from_secs(n));
        Self {
            tls: None,
            allowed_hosts: Vec::new(),
            allowed_origins: Vec::new(),
            max_body: Size(4 << 20),
            max_bodies: Size(256 << 20),
            body_timeout: seconds(30),
            compression: true,
            max_header: Size(64 << 10),
            header_timeout: seconds(10),
            max_connections: 10_000,
            max_streams: 100,
            idle_timeout: seconds(75),
            write_timeout: seconds(60),
            shutdown_timeout: seconds(30),
            sse_door: false,
            sessions: Sessions::default(),
            open_metrics: false,
            registry: Registry::default(),
        }
    }
}

/// Sessions of MCP clients up to 2025-11-25.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Sessions {
    /// A session ends after this time without use.
    pub idle: Span,
    /// Sessions of one caller; a further one takes the place of the one that it has not used for the longest time.
    pub per_caller: usize,
    /// Sessions of all callers.
    pub total: usize,
    /// What all sessions' streams keep in memory for clients to read, or to come back for; beyond that the largest streams
    /// give up their oldest events. Larger than `limits.max_output`, so that the largest answer fits.
    pub max_events: Size,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            idle: Span(Duration::from_secs(30 * 60)),
            per_caller: 100,
            total: 10_000,
            max_events: Size(64 << 20),
        }
    }
}

impl From<&Sessions> for crate::mcp::Limits {
    fn from(settings: &Sessions) -> Self {
        Self {
            idle: settings.idle.0,
            per_caller: settings.per_caller,
            total: settings.total,
            events: usize::try_from(settings.max_events.0).unwrap_or(usize::MAX),
        }
    }
}

impl Settings {
    /// What is wrong with the files that it names, each with its path below `http`. Reads them; blocking.
    pub fn files(&self) -> Vec<String> {
        self.tls.as_ref().and_then(|files| crate::listen::Tls::open(files).err()).unwrap_or_default()
    }

    /// Every problem, each with its path below `http`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems =
            crate::guard::Rules::new(&self.allowed_hosts, &self.allowed_origins).err().unwrap_or_default();
        problems.extend(self.registry.problems());
        let mut bound = |path: &str, fits: bool, want: &str| {
            if !fits {
                problems.push(format!("http.{path}: must be {want}"));
            }
        };
        bound("max_body", (1..=1 << 30).contains(&self.max_body.0), "from 1B to 1GiB");
        bound(
            "max_bodies",
            (self.max_body.0..=1 << 40).contains(&self.max_bodies.0),
            "from http.max_body to 1024GiB",
        );
        bound("max_header", (8 << 10..=1 << 20).contains(&self.max_header.0), "from 8KiB to 1MiB");
        bound("max_connections", self.max_connections >= 1, "at least 1");
        bound("max_streams", self.max_streams >= 1, "at least 1");
        if let Some(tls) = &self.tls {
            let empty = |path: &std::path::Path| path.as_os_str().is_empty();
            bound("tls.cert", !empty(&tls.cert), "the path of a PEM file");
            bound("tls.key", !empty(&tls.key), "the path of a PEM file");
            bound("tls.client_ca", !tls.client_ca.as_deref().is_some_and(empty), "the path of a PEM file");
        }
        let day = Duration::from_secs(86_400);
        let second = Duration::from_secs(1);
        let sessions = &self.sessions;
        bound("sessions.idle", (second..=30 * day).contains(&sessions.idle.0), "from 1s to 30d");
        bound(
            "sessions.per_caller",
            (1..=sessions.total).contains(&sessions.per_caller),
            "from 1 to http.sessions.total",
        );
        bound("sessions.total", (1..=1_000_000).contains(&sessions.total), "from 1 to 1000000");
        bound(
            "sessions.max_events",
            (16 << 20..=1 << 40).contains(&sessions.max_events.0),
            "from 16MiB to 1024GiB",
        );
        for (path, span) in [
            ("body_timeout", self.body_timeout),
            ("header_timeout", self.header_timeout),
            ("idle_timeout", self.idle_timeout),
            ("write_timeout", self.write_timeout),
        ] {
            bound(path, !span.0.is_zero() && span.0 <= day, "from 1ms to 1d");
        }
        bound("shutdown_timeout", self.shutdown_timeout.0 <= day, "at most 1d");
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid() {
        assert_eq!(Settings::default().problems(), Vec::<String>::new());
    }

    #[test]
    fn every_problem_is_named_with_its_path() {
        let settings: Settings = serde_json::from_value(serde_json::json!({
            "allowed_hosts": ["http://x"], "allowed_origins": ["x"], "max_body": "0B", "header_timeout": "0s",
            "max_connections": 0, "tls": {"cert": "", "key": "key.pem", "client_ca": ""}
        }))
        .unwrap();
        let problems = settings.problems().join("\n");
        for path in [
            "allowed_hosts[0]",
            "allowed_origins[0]",
            "max_body",
            "header_timeout",
            "max_connections",
            "tls.cert",
            "tls.client_ca",
        ] {
            assert!(problems.contains(&format!("http.{path}")), "{path} in {problems}");
        }
        assert!(!problems.contains("tls.key"), "{problems}");
        assert!(serde_json::from_str::<Settings>(r#"{"allow_hosts":[]}"#).is_err());
        assert!(serde_json::from_str::<Settings>(r#"{"tls":{"cert":"x"}}"#).is_err(), "a key is needed");
    }
}
