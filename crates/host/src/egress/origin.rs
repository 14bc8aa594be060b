//! `Origin`: a streaming HTTP client of one origin that the operator configured.
//!
//! Made by `Http::origin`; used by the HTTP transports of upstreams, on the data path. Connections are kept (`kept`), of
//! HTTP/1.1 (`line`, driven by the caller) or of HTTP/2 where TLS agreed on it. Invariants: nothing is sent to another scheme, host or port than the origin's; the head of an
//! answer is bounded in size and time; its body is read only as fast as it is taken, and dropping it drops the answer; no
//! redirect is followed. Texts of errors hold host and port, never path or query.

use super::connect::Connector;
use super::kept::{Kept, Way};
use super::line::{LARGEST_HEAD, Line, Message, quiet};
use super::{client::OURS, rules::Target};
use crate::HostError;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderValue, Request, Response, Uri, header};
use http_body_util::Full;
use hyper::body::{Body as _, Frame, Incoming};
use hyper::client::conn::TrySendError;
use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use toolgate_core::Kind;
use url::Url;

/// An answer whose body comes in pieces.
pub type Answer = Response<Body>;

/// Why there is no answer.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{error}")]
pub struct Lost {
    pub error: HostError,
    /// No byte of the request was sent.
    pub unseen: bool,
}

/// The client. Sending takes no lock but that of the kept connections, for the moment of taking or giving one.
pub struct Origin {
    connector: Connector,
    kept: Arc<Kept>,
    scheme: Scheme,
    authority: Authority,
    /// The same, as the value of the header.
    host: HeaderValue,
    url: Url,
    home: Uri,
    place: Arc<str>,
}

impl Origin {
    pub(super) fn new(
        target: &Target,
        tls: Option<Arc<rustls::ClientConfig>>,
        denied: Arc<[IpAddr]>,
    ) -> Result<Self, HostError> {
        let scheme = if tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
        // `url` leaves out the default port, and so does the `Host` header.
        let authority = target.url.authority();
        let no_host =
            || HostError::new(Kind::Invalid, format!("{} cannot stand in a Host header", target.place()));
        let mut origin = Self {
            connector: Connector::new(target.host.clone(), target.port, tls, denied)?,
            kept: Arc::default(),
            host: authority.parse().map_err(|_| no_host())?,
            authority: authority.parse().map_err(|_| no_host())?,
            scheme,
            url: target.url.clone(),
            home: Uri::default(),
            place: target.place().into(),
        };
        origin.home = origin.uri(&target.url[url::Position::BeforePath..])?;
        Ok(origin)
    }

    /// The configured URL.
    pub fn home(&self) -> &Uri {
        &self.home
    }

    /// `host:port`, for texts.
    pub fn place(&self) -> &Arc<str> {
        &self.place
    }

    /// What the `Host` header says.
    pub fn authority(&self) -> &str {
        self.authority.as_str()
    }

    /// The address of a path (and query) at this origin.
    pub fn uri(&self, path: &str) -> Result<Uri, HostError> {
        let wrong = || HostError::new(Kind::Invalid, format!("not a path at {}", self.place));
        let path = PathAndQuery::try_from(path).map_err(|_| wrong())?;
        Uri::builder()
            .scheme(self.scheme.clone())
            .authority(self.authority.clone())
            .path_and_query(path)
            .build()
            .map_err(|_| wrong())
    }

    /// The address of a reference as an answer to the configured URL gave it; `None` when it leads to another origin.
    pub fn resolve(&self, reference: &str) -> Option<Uri> {
        let mut url = self.url.join(reference).ok()?;
        if url.origin() != self.url.origin() || !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        url.set_fragment(None);
        self.uri(&url[url::Position::BeforePath..]).ok()
    }

    /// Send a request; back comes the head of its answer within `head`, and the body as it is read. A redirect is a
    /// failure that says where it leads. A request that met a kept connection which had just died goes out again on a
    /// fresh one, if no byte of it was sent.
    ///
    /// Errors: `Invalid` for a request to elsewhere or with a header that the connection sets; `Forbidden`, `NotFound`
    /// from resolving; `Timeout`; `TooLarge` for a head beyond 64 KiB; `Unavailable`.
    pub async fn send(&self, request: Request<Bytes>, head: Duration) -> Result<Answer, Lost> {
        self.check(&request).map_err(|error| Lost { error, unseen: true })?;
        let place = &self.place;
        let answer = match tokio::time::timeout(head, self.exchange(request.map(Full::new))).await {
            Ok(answer) => answer?,
            Err(_) => {
                let text = format!("{place} did not answer within {head:?}");
                return Err(Lost { error: HostError::new(Kind::Timeout, text), unseen: false });
            }
        };
        if matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            let error = self.redirected(answer.headers().get(header::LOCATION));
            return Err(Lost { error, unseen: false });
        }
        Ok(answer)
    }

    async fn exchange(&self, mut message: Message) -> Result<Answer, Lost> {
        loop {
            let kept = self.kept.take();
            let fresh = kept.is_none();
            let way = match kept {
                Some(way) => way,
                None => self.open().await.map_err(|error| Lost { error, unseen: true })?,
            };
            self.address(&mut message, &way);
            let sent = match way {
                Way::Line(line) => line.exchange(message).await,
                Way::Shared(mut shared) => {
                    shared.try_send_request(message).await.map(|answer| (answer, None))
                }
            };
            match sent {
                Ok((answer, line)) => return Ok(answer.map(|body| Body::new(body, line, self))),
                Err(mut lost) => match lost.take_message() {
                    Some(unsent) if !fresh => message = unsent,
                    unsent => return Err(explain(&lost, unsent.is_some(), &self.place)),
                },
            }
        }
    }

    async fn open(&self) -> Result<Way, HostError> {
        let stream = self.connector.connect().await?;
        let way = if stream.is_h2() {
            self.kept.share(stream).await.map(Way::Shared)
        } else {
            Line::new(stream).await.map(Way::Line)
        };
        way.map_err(|e| {
            let text = format!("{} ended the connection at its start ({})", self.place, deepest(&e));
            HostError::new(Kind::Unavailable, text)
        })
    }

    // HTTP/1.1 has the path in the request line and the host in a header; HTTP/2 has one URI. A request that goes out
    // again may change from one to the other.
    fn address(&self, message: &mut Message, way: &Way) {
        match way {
            Way::Line(_) => {
                if let Some(path) = message.uri().path_and_query().cloned() {
                    *message.uri_mut() = path.into();
                }
                message.headers_mut().insert(header::HOST, self.host.clone());
            }
            Way::Shared(_) => {
                message.headers_mut().remove(header::HOST);
                let path = message.uri().path_and_query().map_or("/", PathAndQuery::as_str);
                if message.uri().scheme().is_none()
                    && let Ok(uri) = self.uri(path)
                {
                    *message.uri_mut() = uri;
                }
            }
        }
    }

    fn check(&self, request: &Request<Bytes>) -> Result<(), HostError> {
        let uri = request.uri();
        if uri.scheme() != Some(&self.scheme) || uri.authority() != Some(&self.authority) {
            return Err(HostError::new(Kind::Invalid, format!("not a request to {}", self.place)));
        }
        if let Some(name) = OURS.iter().find(|name| request.headers().contains_key(*name)) {
            return Err(HostError::new(
                Kind::Invalid,
                format!("header `{name}` is set by the gateway; leave it out"),
            ));
        }
        Ok(())
    }

    fn redirected(&self, location: Option<&http::HeaderValue>) -> HostError {
        let place = &self.place;
        let next = location.and_then(|l| l.to_str().ok()).and_then(|text| self.url.join(text).ok());
        let text = match next {
            Some(next) => {
                let shown: String = next[..url::Position::AfterPath].chars().take(300).collect();
                // A user and password there would be credentials.
                let shown = if next.username().is_empty() && next.password().is_none() {
                    shown
                } else {
                    next.host_str().unwrap_or_default().to_owned()
                };
                format!(
                    "{place} redirects to `{shown}`, which is not followed: if that is the right address, set it as the URL"
                )
            }
            None => format!("{place} redirects to something that is not a URL; that is not followed"),
        };
        HostError::new(Kind::Unavailable, text)
    }
}

/// The body of an answer. Dropping it gives the answer up: its connection ends (HTTP/1.1) or its stream is reset, unless
/// all of it has come.
pub struct Body {
    body: Incoming,
    /// What the body comes over, if this drives it.
    line: Option<Line>,
    kept: Arc<Kept>,
    place: Arc<str>,
}

impl Body {
    fn new(body: Incoming, line: Option<Line>, origin: &Origin) -> Self {
        let mut body = Self { body, line, kept: Arc::clone(&origin.kept), place: Arc::clone(&origin.place) };
        if body.body.is_end_stream() {
            body.give_back();
        }
        body
    }

    /// The next piece, as it came; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HostError> {
        loop {
            match poll_fn(|cx| self.poll_frame(cx)).await {
                None => {
                    self.give_back();
                    return Ok(None);
                }
                Some(Ok(frame)) => {
                    if self.body.is_end_stream() {
                        self.give_back();
                    }
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(e)) => {
                    self.line = None;
                    let text = format!("the answer of {} broke off: {}", self.place, deepest(&e));
                    return Err(HostError::new(Kind::Unavailable, text));
                }
            }
        }
    }

    // The line is driven only when nothing that it has read waits to be taken.
    fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let mut body = Pin::new(&mut self.body);
        let Some(line) = &mut self.line else { return body.poll_frame(cx) };
        let waiting = body.as_mut().poll_frame(&mut quiet());
        if waiting.is_ready() {
            return waiting;
        }
        if line.drive(cx).is_ready() {
            self.line = None;
            return body.poll_frame(cx);
        }
        body.poll_frame(&mut quiet())
    }

    fn give_back(&mut self) {
        if let Some(line) = self.line.take() {
            self.kept.give(line);
        }
    }

    /// Bytes to come, when the answer said so.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        self.give_back();
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}

fn explain(lost: &TrySendError<Message>, unsent: bool, place: &str) -> Lost {
    let error = lost.error();
    let problem = if error.is_parse_too_large() {
        HostError::new(Kind::TooLarge, format!("{place} answers with a head beyond {LARGEST_HEAD} bytes"))
    } else {
        let why = deepest(error);
        HostError::new(Kind::Unavailable, format!("{place} ended the connection without an answer ({why})"))
    };
    Lost { error: problem, unseen: unsent || error.is_canceled() }
}
