//! The proxy of one child: HTTP CONNECT and plain HTTP forward, on a loopback, with a credential of its own.
//!
//! A confined child reaches the network through it alone. Each target is judged by `egress::dial`: the gateway's rules,
//! then the child's own list. Bodies are passed on as they are. A connection serves one target: after its first request
//! (plain) or CONNECT nothing is read as a request any more. Absent on purpose: looking into TLS, keeping
//! connections, SOCKS.

use crate::HostError;
use crate::egress::dial::{Dial, authority};
use base64::Engine;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use toolgate_core::Kind;
use url::Url;

const MOST_CONNECTIONS: usize = 64;
const LONGEST_HEAD: usize = 32 << 10;
const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const USER: &str = "toolgate";

/// What the child must show.
#[derive(Clone)]
pub(super) struct Secret(Arc<str>);

impl Secret {
    pub fn random() -> std::io::Result<Self> {
        use std::io::Read;
        let mut bytes = [0u8; 24];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut bytes)?;
        Ok(Self(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes).into()))
    }

    /// For `HTTP_PROXY` and its like.
    pub fn url(&self, port: u16) -> String {
        format!("http://{USER}:{}@127.0.0.1:{port}", self.0)
    }

    pub fn text(&self) -> &str {
        &self.0
    }

    fn matches(&self, header: &str) -> bool {
        let expected = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{}", self.0));
        let Some((scheme, given)) = header.trim().split_once(' ') else { return false };
        let given = given.trim().as_bytes();
        // In a time that says nothing of where they differ.
        scheme.eq_ignore_ascii_case("basic")
            && given.len() == expected.len()
            && given.iter().zip(expected.bytes()).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// Ends the proxy and all its connections when dropped.
pub(super) struct Proxy(tokio::task::JoinHandle<()>);

impl Drop for Proxy {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Proxy {
    pub fn serve(listener: TcpListener, dial: Arc<Dial>, secret: Secret, name: Arc<str>) -> Self {
        Self(tokio::spawn(async move {
            let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
            let mut open = tokio::task::JoinSet::new();
            loop {
                let Ok(slot) = slots.clone().acquire_owned().await else { return };
                let client = match listener.accept().await {
                    Ok((client, _)) => client,
                    Err(e) => {
                        tracing::warn!(server = %name, error = %e, "the proxy of a server cannot accept");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                };
                while open.try_join_next().is_some() {}
                let (dial, secret, name) = (dial.clone(), secret.clone(), name.clone());
                open.spawn(async move {
                    let _slot = slot;
                    connection(client, &dial, &secret, &name).await;
                });
            }
        }))
    }
}

async fn connection(mut client: TcpStream, dial: &Dial, secret: &Secret, name: &str) {
    let Ok(Some((head, rest))) = tokio::time::timeout(HEAD_TIMEOUT, read_head(&mut client)).await else {
        return refuse(&mut client, "400 Bad Request", "", "no request was read").await;
    };
    let request = match Request::parse(&head) {
        Ok(request) => request,
        Err(why) => return refuse(&mut client, "400 Bad Request", "", why).await,
    };
    if !request.credential.is_some_and(|given| secret.matches(given)) {
        let ask = "Proxy-Authenticate: Basic realm=\"toolgate\"\r\n";
        let why = "this proxy serves one server, with the credential in its HTTP_PROXY";
        return refuse(&mut client, "407 Proxy Authentication Required", ask, why).await;
    }
    let mut upstream = match dial.connect(&request.host, request.port).await {
        Ok(upstream) => upstream,
        Err(e) => {
            tracing::info!(server = name, host = %request.host, port = request.port, reason = %e, "egress of a server was refused");
            return refuse(&mut client, status(&e), "", &e.message).await;
        }
    };
    let opening = match &request.forward {
        None => client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await,
        Some(forward) => upstream.write_all(forward).await,
    };
    if opening.is_err() || upstream.write_all(&rest).await.is_err() {
        return;
    }
    let _ = tokio::io::copy_bidirectional(&mut client, &mut upstream).await;
}

fn status(error: &HostError) -> &'static str {
    match error.kind {
        Kind::Forbidden | Kind::Invalid => "403 Forbidden",
        Kind::Timeout => "504 Gateway Timeout",
        _ => "502 Bad Gateway",
    }
}

async fn refuse(client: &mut TcpStream, status: &str, header: &str, why: &str) {
    let text = format!(
        "HTTP/1.1 {status}\r\n{header}Content-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{why}\n",
        why.len() + 1
    );
    let _ = client.write_all(text.as_bytes()).await;
    let _ = client.shutdown().await;
}

/// The head of a request with its empty line, and what came after it.
async fn read_head(client: &mut TcpStream) -> Option<(Vec<u8>, Vec<u8>)> {
    let mut head = Vec::with_capacity(1024);
    loop {
        if client.read_buf(&mut head).await.ok()? == 0 {
            return None;
        }
        if let Some(end) = head.windows(4).position(|w| w == b"\r\n\r\n") {
            let rest = head.split_off(end + 4);
            return Some((head, rest));
        }
        if head.len() > LONGEST_HEAD {
            return None;
        }
    }
}

struct Request<'a> {
    host: String,
    port: u16,
    credential: Option<&'a str>,
    /// The head as it goes to the origin; none for CONNECT.
    forward: Option<Vec<u8>>,
}

/// Headers that concern this hop.
const HOP: [&str; 7] =
    ["proxy-authorization", "proxy-connection", "connection", "keep-alive", "upgrade", "te", "host"];

impl<'a> Request<'a> {
    fn parse(head: &'a [u8]) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(head).map_err(|_| "the head of the request is not UTF-8")?;
        let mut lines = text.trim_end_matches("\r\n").split("\r\n");
        let mut words = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("HTTP/1.1" | "HTTP/1.0"), None) =
            (words.next(), words.next(), words.next(), words.next())
        else {
            return Err("the first line is not that of an HTTP/1.1 request");
        };
        let headers: Vec<(&str, &str)> = lines
            .map(|line| line.split_once(':').ok_or("a line of the head is not a header"))
            .collect::<Result<_, _>>()?;
        // Folded lines, bare carriage returns and the like would be read differently further on.
        let plain = |n: &str| {
            !n.is_empty() && n.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!#$%&'*+^`|~".contains(&b))
        };
        if headers.iter().any(|(name, value)| !plain(name) || value.bytes().any(|b| b < 0x20 && b != b'\t')) {
            return Err("a header is malformed");
        }
        let named = |wanted: &'static str| headers.iter().find(move |(n, _)| n.eq_ignore_ascii_case(wanted));
        let credential = named("proxy-authorization").map(|(_, value)| *value);
        if method == "CONNECT" {
            let (host, port) = authority(target).ok_or("CONNECT names `host:port`")?;
            return Ok(Self { host: host.to_owned(), port, credential, forward: None });
        }
        let url = Url::parse(target).map_err(|_| "the target is not a URL: this is a proxy")?;
        let (Some(host), Some(port), "http", "") =
            (url.host_str(), url.port_or_known_default(), url.scheme(), url.username())
        else {
            return Err("only http URLs without user are forwarded; for https, CONNECT");
        };
        let mut path = url.path().to_owned();
        if let Some(query) = url.query() {
            path.push('?');
            path.push_str(query);
        }
        let place = url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        let mut forward = format!("{method} {path} HTTP/1.1\r\nHost: {place}\r\nConnection: close\r\n");
        for (name, value) in &headers {
            if !HOP.iter().any(|hop| name.eq_ignore_ascii_case(hop)) {
                forward.push_str(name);
                forward.push(':');
                forward.push_str(value);
                forward.push_str("\r\n");
            }
        }
        forward.push_str("\r\n");
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port, credential, forward: Some(forward.into()) })
    }
}

#[cfg(test)]
#[path = "proxy_tests.rs"]
mod tests;
