//! `Origin`: a streaming HTTP client of one origin that the operator configured.
//!
//! Made by `Http::origin`; used by the HTTP transports of upstreams, on the data path. Connections are pooled, over HTTP/1.1
//! or what TLS agreed on. Invariants: nothing is sent to another scheme, host or port than the origin's; the head of an
//! answer is bounded in size and time; its body is read only as fast as it is taken, and dropping it drops the answer; no
//! redirect is followed. Texts of errors hold host and port, never path or query.

use super::{client::OURS, connect::Connector, rules::Target};
use crate::HostError;
use bytes::Bytes;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{Request, Response, Uri, header};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Body as _, Incoming};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::Kind;
use url::Url;

const IDLE: Duration = Duration::from_secs(60);
const MOST_IDLE: usize = 64;
/// Also the most of a body that waits in one HTTP/1.1 connection to be taken.
const LARGEST_HEAD: usize = 64 << 10;
const PING: Duration = Duration::from_secs(30);

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

/// The client. Sending takes no lock but the pool's.
pub struct Origin {
    client: Client<Connector, Full<Bytes>>,
    scheme: Scheme,
    authority: Authority,
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
        let authority = target.url.authority().parse().map_err(|_| {
            HostError::new(Kind::Invalid, format!("{} cannot stand in a Host header", target.place()))
        })?;
        let connector = Connector::new(target.host.clone(), target.port, tls, denied)?;
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(MOST_IDLE)
            .http1_max_buf_size(LARGEST_HEAD)
            .http2_max_header_list_size(LARGEST_HEAD as u32)
            .http2_keep_alive_interval(PING)
            .http2_keep_alive_timeout(PING)
            .retry_canceled_requests(true)
            .build(connector);
        let mut origin = Self {
            client,
            scheme,
            authority,
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
        let answer = match tokio::time::timeout(head, self.client.request(request.map(Full::new))).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(e)) => return Err(explain(&e, place)),
            Err(_) => {
                let text = format!("{place} did not answer within {head:?}");
                return Err(Lost { error: HostError::new(Kind::Timeout, text), unseen: false });
            }
        };
        if matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            let error = self.redirected(answer.headers().get(header::LOCATION));
            return Err(Lost { error, unseen: false });
        }
        Ok(answer.map(|body| Body { body, place: Arc::clone(place) }))
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

/// The body of an answer. Dropping it gives the answer up: its connection ends (HTTP/1.1) or its stream is reset.
pub struct Body {
    body: Incoming,
    place: Arc<str>,
}

impl Body {
    /// The next piece, as it came; `None` at the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HostError> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    // Trailers say nothing here.
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(e)) => {
                    let text = format!("the answer of {} broke off: {}", self.place, deepest(&e));
                    return Err(HostError::new(Kind::Unavailable, text));
                }
            }
        }
    }

    /// Bytes to come, when the answer said so.
    pub fn length(&self) -> Option<u64> {
        self.body.size_hint().exact()
    }
}

fn deepest(error: &(dyn std::error::Error + 'static)) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string().chars().take(200).collect()
}

fn explain(error: &hyper_util::client::legacy::Error, place: &str) -> Lost {
    let mut cause: &(dyn std::error::Error + 'static) = error;
    let mut unseen = error.is_connect();
    let mut too_large = false;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        if let Some(own) = cause.downcast_ref::<HostError>() {
            return Lost { error: own.clone(), unseen: true };
        }
        if let Some(e) = cause.downcast_ref::<hyper::Error>() {
            unseen |= e.is_canceled();
            too_large |= e.is_parse_too_large();
        }
    }
    let error = if too_large {
        HostError::new(Kind::TooLarge, format!("{place} answers with a head beyond {LARGEST_HEAD} bytes"))
    } else {
        let why = deepest(error);
        HostError::new(Kind::Unavailable, format!("{place} ended the connection without an answer ({why})"))
    };
    Lost { error, unseen }
}
