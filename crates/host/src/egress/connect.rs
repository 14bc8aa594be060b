//! A connection to a configured origin: resolve, judge, connect, TLS.
//!
//! Called by the pool of `origin` for each new connection. Invariants: DNS is asked anew for each connection and only
//! judged addresses are connected to; the whole takes at most `CONNECT_TIMEOUT`; the environment's proxies are not read.

use super::{
    address, pin,
    resolve::{self, Scope},
    tls,
};
use crate::HostError;
use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use std::io::{Error, IoSlice, Result as IoResult};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use toolgate_core::Kind;
use url::Host;

/// From the DNS question to the end of the TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// After this, the next address is tried beside the one that does not answer (RFC 8305).
const NEXT_ADDRESS: Duration = Duration::from_millis(300);
/// A peer that vanished is found out after 30 s + 3 × 10 s of silence.
const PROBE_AFTER: Duration = Duration::from_secs(30);
const PROBE_EVERY: Duration = Duration::from_secs(10);
const PROBES: u32 = 3;

/// Makes connections to one origin.
pub(super) struct Connector {
    host: Host,
    port: u16,
    /// `host:port`, for texts.
    place: String,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    denied: Arc<[IpAddr]>,
}

impl Connector {
    pub fn new(
        host: Host,
        port: u16,
        tls: Option<Arc<rustls::ClientConfig>>,
        denied: Arc<[IpAddr]>,
    ) -> Result<Self, HostError> {
        let place = format!("{host}:{port}");
        let tls = match tls {
            None => None,
            Some(config) => {
                let name = match &host {
                    Host::Domain(name) => ServerName::try_from(name.clone()),
                    Host::Ipv4(v4) => Ok(ServerName::IpAddress(IpAddr::V4(*v4).into())),
                    Host::Ipv6(v6) => Ok(ServerName::IpAddress(IpAddr::V6(*v6).into())),
                };
                let name = name.map_err(|_| {
                    HostError::new(Kind::Invalid, format!("`{host}` is no name that a certificate can have"))
                })?;
                Some((TlsConnector::from(config), name))
            }
        };
        Ok(Self { host, port, place, tls, denied })
    }

    /// Errors: `Forbidden`, `NotFound` from resolving; `Timeout`; `Unavailable`.
    pub async fn connect(&self) -> Result<Stream, HostError> {
        match tokio::time::timeout(CONNECT_TIMEOUT, self.open()).await {
            Ok(result) => result,
            Err(_) => Err(HostError::new(
                Kind::Timeout,
                format!("no connection to {} within {} s", self.place, CONNECT_TIMEOUT.as_secs()),
            )),
        }
    }

    async fn open(&self) -> Result<Stream, HostError> {
        let addresses = match &self.host {
            // Written as a literal, and so meant; the rules have seen it.
            Host::Ipv4(v4) => vec![IpAddr::V4(*v4)],
            Host::Ipv6(v6) => vec![IpAddr::V6(*v6)],
            Host::Domain(name) => {
                // A name of the metadata service is one in good faith nowhere but in a cloud's own tools.
                if address::is_metadata_name(name) {
                    let text = format!("host `{name}` is refused: it is a cloud metadata service");
                    return Err(HostError::forbidden(text));
                }
                resolve::judged(name, Scope::Origin, &self.denied).await?
            }
        };
        let socket = self.dial(&addresses).await?;
        prepare(&socket);
        let Some((connector, name)) = &self.tls else {
            return Ok(Stream::Plain(TokioIo::new(socket)));
        };
        match connector.connect(name.clone(), socket).await {
            Ok(stream) => Ok(Stream::Tls(Box::new(TokioIo::new(stream)))),
            Err(e) => Err(pin::refusal(&e).unwrap_or_else(|| tls::explain(&e, &self.place))),
        }
    }

    async fn dial(&self, addresses: &[IpAddr]) -> Result<TcpStream, HostError> {
        let mut rest = addresses.iter().map(|ip| SocketAddr::new(*ip, self.port));
        let mut trying = FuturesUnordered::new();
        trying.extend(rest.next().map(TcpStream::connect));
        let mut last = None;
        while !trying.is_empty() {
            match tokio::time::timeout(NEXT_ADDRESS, trying.next()).await {
                Ok(Some(Ok(socket))) => return Ok(socket),
                Ok(Some(Err(e))) => last = Some(e),
                Ok(None) | Err(_) => {}
            }
            trying.extend(rest.next().map(TcpStream::connect));
        }
        let place = &self.place;
        let text = match last {
            Some(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!(
                    "nothing listens at {place} (connection refused): check that the server runs, and its port"
                )
            }
            Some(e) => format!("cannot connect to {place}: {e}"),
            None => format!("cannot connect to {place}: it has no address"),
        };
        Err(HostError::new(Kind::Unavailable, text))
    }
}

/// Options that only make a connection better: one that cannot have them is used as it is.
fn prepare(socket: &TcpStream) {
    use rustix::net::sockopt;
    let _ = socket.set_nodelay(true);
    let _ = sockopt::set_socket_keepalive(socket, true)
        .and_then(|()| sockopt::set_tcp_keepidle(socket, PROBE_AFTER))
        .and_then(|()| sockopt::set_tcp_keepintvl(socket, PROBE_EVERY))
        .and_then(|()| sockopt::set_tcp_keepcnt(socket, PROBES));
}

/// A connection, plain or under TLS.
pub(super) enum Stream {
    Plain(TokioIo<TcpStream>),
    Tls(Box<TokioIo<TlsStream<TcpStream>>>),
}

impl Stream {
    /// Whether both sides agreed on HTTP/2.
    pub fn is_h2(&self) -> bool {
        matches!(self, Self::Tls(stream) if stream.inner().get_ref().1.alpn_protocol() == Some(b"h2"))
    }
}

impl Read for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<Result<(), Error>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_read(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl Write for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<IoResult<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write(cx, buf),
            Stream::Tls(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_flush(cx),
            Stream::Tls(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<IoResult<()>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_shutdown(cx),
            Stream::Tls(s) => Pin::new(s).poll_shutdown(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Stream::Plain(s) => s.is_write_vectored(),
            Stream::Tls(s) => s.is_write_vectored(),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<IoResult<usize>> {
        match self.get_mut() {
            Stream::Plain(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Stream::Tls(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }
}
