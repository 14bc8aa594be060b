//! `Http`: sends one request, follows its redirects, reads its answer within bounds.
//!
//! Called through `Host::http`. Two `reqwest` clients with a resolver each: connections to services the operator named
//! are never pooled with the rest. Invariants: `reqwest` follows no redirect and uses no proxy; texts of errors hold
//! host and port, never path or query.

use super::{
    EgressRules, HttpStats, Incoming, Outgoing,
    origin::Origin,
    pin::{self, Pin},
    resolve::{Resolver, Scope},
    rules::{Guard, Target},
    tls,
};
use crate::HostError;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, Method, StatusCode, header};
use std::error::Error as _;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::OnceCell;
use toolgate_core::Kind;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const LONGEST_TIMEOUT: Duration = Duration::from_secs(3600);
const LARGEST_REQUEST: usize = 100 << 20;
const LARGEST_ANSWER: usize = 256 << 20;
const LARGEST_HEAD: usize = 64 << 10;

/// Set by the connection itself; a caller who could set them could speak to another virtual host or smuggle a request.
pub(super) const OURS: [HeaderName; 9] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::TRAILER,
    header::EXPECT,
    header::PROXY_AUTHORIZATION,
];

/// What goes along to another origin; everything else may be a credential and stays behind.
const HARMLESS: [HeaderName; 9] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::ACCEPT_LANGUAGE,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LANGUAGE,
    header::CONTENT_TYPE,
    header::RANGE,
    header::USER_AGENT,
];

/// The egress client.
pub struct Http {
    guard: Guard,
    denied: Arc<[IpAddr]>,
    pin: Option<Pin>,
    public: OnceCell<reqwest::Client>,
    named: OnceCell<reqwest::Client>,
    roots: OnceCell<Arc<rustls::ClientConfig>>,
    requests: AtomicU64,
    failed: AtomicU64,
    refused: AtomicU64,
}

impl Http {
    /// Validates the rules; opens no connection and reads no certificate until the first request.
    pub fn new(rules: EgressRules) -> Result<Self, HostError> {
        Self::with(rules, None)
    }

    /// The same, where every TLS server reached must be the one of the pin.
    pub fn pinned(rules: EgressRules, pin: Pin) -> Result<Self, HostError> {
        Self::with(rules, Some(pin))
    }

    fn with(rules: EgressRules, pin: Option<Pin>) -> Result<Self, HostError> {
        let guard = Guard::new(&rules)?;
        Ok(Self {
            denied: guard.denied_addresses().into(),
            guard,
            pin,
            public: OnceCell::new(),
            named: OnceCell::new(),
            roots: OnceCell::new(),
            requests: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            refused: AtomicU64::new(0),
        })
    }

    /// Errors: `Invalid` for a request that cannot be sent, `Forbidden` when a rule stops it (also on a redirect),
    /// `NotFound` for a host that does not exist, `Unauthenticated` for a server other than the pinned one, `Timeout`,
    /// `TooLarge` for bounds other than the answer's body, `Unavailable` for everything on the way.
    pub async fn send(&self, request: Outgoing) -> Result<Incoming, HostError> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let limit = request.timeout.min(LONGEST_TIMEOUT);
        let place = std::sync::Mutex::new(String::from("the host"));
        // Boxed: the future holds two requests and an answer.
        let result = match tokio::time::timeout(limit, Box::pin(self.follow(request, &place))).await {
            Ok(result) => result,
            Err(_) => {
                let place = place.into_inner().unwrap_or_default();
                Err(HostError::new(Kind::Timeout, format!("no whole answer from {place} within {limit:?}")))
            }
        };
        if let Err(e) = &result {
            let counter =
                if matches!(e.kind, Kind::Forbidden | Kind::Invalid) { &self.refused } else { &self.failed };
            counter.fetch_add(1, Ordering::Relaxed);
        }
        result
    }

    /// A streaming client of the origin of `url`, which the operator configured; `ca` is a file of PEM certificates that
    /// its certificate is checked against instead of the system's. Reads certificates; connects when first used.
    ///
    /// Errors: `Invalid` for what is no URL or no file of certificates, `Forbidden` for what `deny` or `only` closes.
    pub async fn origin(&self, url: &str, ca: Option<&std::path::Path>) -> Result<Origin, HostError> {
        let target = self.guard.origin(url)?;
        let tls = match (target.url.scheme(), ca) {
            // The one server that this client believes, whatever it is asked for.
            ("https", _) if let Some(pin) = &self.pin => Some(Arc::new(pin.config())),
            ("https", Some(file)) => Some(tls::with_file(file).await?),
            ("https", None) => Some(Arc::clone(self.roots.get_or_try_init(tls::with_system).await?)),
            _ => None,
        };
        Origin::new(&target, tls, Arc::clone(&self.denied))
    }

    /// Requests sent, failed and refused by the guard since start.
    pub fn stats(&self) -> HttpStats {
        HttpStats {
            requests: self.requests.load(Ordering::Relaxed),
            failed: self.failed.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
        }
    }

    async fn follow(
        &self,
        request: Outgoing,
        place: &std::sync::Mutex<String>,
    ) -> Result<Incoming, HostError> {
        let Outgoing { mut method, url, mut headers, mut body, max_body, .. } = request;
        if body.len() > LARGEST_REQUEST {
            return Err(HostError::new(
                Kind::TooLarge,
                format!("the request body has {} bytes; {LARGEST_REQUEST} are the most", body.len()),
            ));
        }
        if let Some(name) = OURS.iter().find(|name| headers.contains_key(*name)) {
            return Err(HostError::new(
                Kind::Invalid,
                format!("header `{name}` is set by the gateway; leave it out"),
            ));
        }
        let mut target = self.guard.check(&url, None)?;
        let mut seen = Vec::new();
        loop {
            if let Ok(mut place) = place.lock() {
                *place = target.place();
            }
            let response = self.exchange(&target, &method, &headers, &body).await?;
            let next = match redirect(&response, &target)? {
                Some(next) if self.guard.max_redirects > 0 => next,
                _ => return receive(response, &target, max_body.min(LARGEST_ANSWER)).await,
            };
            let next = self.guard.check(&next, Some(&target))?;
            seen.push((method.clone(), target.url.clone()));
            if let Some(changed) = method_after(response.status(), &method) {
                method = changed;
                body = Bytes::new();
                for name in [
                    header::CONTENT_TYPE,
                    header::CONTENT_ENCODING,
                    header::CONTENT_LANGUAGE,
                    header::CONTENT_LOCATION,
                ] {
                    headers.remove(name);
                }
            }
            if !target.same_origin(&next) {
                headers = without_credentials(&headers);
            }
            if seen.iter().any(|(m, u)| *m == method && *u == next.url) {
                return Err(HostError::new(
                    Kind::Unavailable,
                    format!("{} redirects in a circle", next.place()),
                ));
            }
            if seen.len() > self.guard.max_redirects {
                return Err(HostError::new(
                    Kind::Unavailable,
                    format!("{} redirects more than {} times", next.place(), self.guard.max_redirects),
                ));
            }
            target = next;
        }
    }

    async fn exchange(
        &self,
        target: &Target,
        method: &Method,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<reqwest::Response, HostError> {
        let client = self.client(target.named).await?;
        let mut request = client.request(method.clone(), target.url.clone()).headers(headers.clone());
        if !body.is_empty() {
            request = request.body(body.clone());
        }
        let response = request.send().await.map_err(|e| explain(e, target))?;
        let head: usize = response.headers().iter().map(|(n, v)| n.as_str().len() + v.len() + 4).sum();
        if head > LARGEST_HEAD {
            return Err(HostError::new(
                Kind::TooLarge,
                format!("{} answers with more than {LARGEST_HEAD} bytes of headers", target.place()),
            ));
        }
        Ok(response)
    }

    async fn client(&self, named: bool) -> Result<&reqwest::Client, HostError> {
        let (cell, scope) = if named { (&self.named, Scope::Named) } else { (&self.public, Scope::Public) };
        let build = async || {
            let resolver = Arc::new(Resolver::new(scope, Arc::clone(&self.denied)));
            let pin = self.pin.clone();
            // Reads the certificate store: files, many of them.
            tokio::task::spawn_blocking(move || build(resolver, pin.as_ref()))
                .await
                .map_err(|_| HostError::new(Kind::Internal, "the HTTP client could not be made"))?
        };
        cell.get_or_try_init(build).await
    }
}

/// With the pinned certificate; without a pin the system's, or the built-in copy of Mozilla's where there are none (a
/// bare container).
pub(super) fn build(resolver: Arc<Resolver>, pin: Option<&Pin>) -> Result<reqwest::Client, HostError> {
    let base = || {
        reqwest::Client::builder()
            .user_agent(concat!("toolgate/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(8)
            .http2_max_header_list_size(LARGEST_HEAD as u32)
            .dns_resolver(Arc::clone(&resolver))
    };
    let failed = |e: reqwest::Error| {
        tracing::error!(error = %e, "the HTTP client could not be made");
        HostError::new(
            Kind::Internal,
            "the HTTP client could not be made; the operator's log has the details",
        )
    };
    if let Some(pin) = pin {
        return base().tls_backend_preconfigured(pin.config()).build().map_err(failed);
    }
    base().build().or_else(|e| {
        tracing::warn!(error = %e, "no usable certificate store in the system; using the built-in root certificates");
        let roots = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| reqwest::Certificate::from_der(der).ok())
            .collect::<Vec<_>>();
        base().tls_certs_only(roots).build().map_err(failed)
    })
}

/// Where a redirect leads, if the answer is one. A `Location` is relative to the URL that answered.
fn redirect(response: &reqwest::Response, target: &Target) -> Result<Option<String>, HostError> {
    if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(header::LOCATION) else { return Ok(None) };
    let broken = || {
        HostError::new(
            Kind::Unavailable,
            format!("{} redirects to something that is not a URL", target.place()),
        )
    };
    let text = std::str::from_utf8(location.as_bytes()).map_err(|_| broken())?;
    // An absolute URL is judged as it was written; joining would smooth over what `check` refuses.
    if url::Url::parse(text).is_ok() {
        return Ok(Some(text.to_owned()));
    }
    if text.contains('\\') {
        return Err(broken());
    }
    target.url.join(text).map(|url| Some(url.into())).map_err(|_| broken())
}

/// RFC 9110 §15.4: the method and body change for 303, and by custom for a POST with 301 and 302.
fn method_after(status: StatusCode, method: &Method) -> Option<Method> {
    match (status, method) {
        (_, &Method::GET | &Method::HEAD) => None,
        (StatusCode::SEE_OTHER, _) => Some(Method::GET),
        (StatusCode::MOVED_PERMANENTLY | StatusCode::FOUND, &Method::POST) => Some(Method::GET),
        _ => None,
    }
}

fn without_credentials(headers: &HeaderMap) -> HeaderMap {
    headers.iter().filter(|(name, _)| HARMLESS.contains(name)).map(|(n, v)| (n.clone(), v.clone())).collect()
}

/// Counts decoded bytes, so a small compressed answer cannot become a large one.
async fn receive(
    mut response: reqwest::Response,
    target: &Target,
    max: usize,
) -> Result<Incoming, HostError> {
    let mut body = BytesMut::new();
    let mut truncated = false;
    while let Some(chunk) = response.chunk().await.map_err(|e| explain(e, target))? {
        let room = max - body.len();
        if chunk.len() > room {
            body.extend_from_slice(&chunk[..room]);
            truncated = true;
            break;
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Incoming {
        url: target.url.to_string(),
        status: response.status(),
        headers: std::mem::take(response.headers_mut()),
        body: body.freeze(),
        truncated,
    })
}

fn explain(error: reqwest::Error, target: &Target) -> HostError {
    let place = target.place();
    let mut cause: &(dyn std::error::Error + 'static) = &error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
        if let Some(own) = cause.downcast_ref::<HostError>() {
            return own.clone();
        }
        if let Some(own) = pin::refusal(cause) {
            return own;
        }
    }
    if error.is_timeout() {
        return HostError::new(Kind::Timeout, format!("{place} did not answer in time"));
    }
    // Only the deepest text: the outermost one holds the URL.
    let cause: String = match error.source() {
        Some(_) => cause.to_string().chars().take(200).collect(),
        None => "the HTTP client refused it".into(),
    };
    let message = if error.is_connect() {
        format!("cannot connect to {place}: {cause}")
    } else if error.is_builder() || error.is_request() {
        format!("the request to {place} could not be completed: {cause}")
    } else {
        format!("the answer of {place} could not be read: {cause}")
    };
    HostError::new(Kind::Unavailable, message)
}
