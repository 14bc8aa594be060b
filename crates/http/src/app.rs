//! What every handler shares, and the one function through which every request passes.
//!
//! `edge` holds all layers, in this order: trace context, Host and Origin, CORS, panic barrier, credential, headers of
//! the answer, its compression. Handlers find the caller as `Extension<Arc<Caller>>` and the socket's ends as `Extension<Ends>`.

use crate::guard::{Page, Rules};
use crate::holdings::Holdings;
use crate::listen::{Ends, Tls};
use crate::refusal::Refusal;
use crate::reports::Reports;
use crate::settings::Settings;
use crate::traffic::Traffic;
use crate::upstreams::UpstreamAdmin;
use crate::{coding, cors, identify, lent, mcp, openapi, registry, rest, sending, trace};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;
use toolgate_core::tool::BoxFuture;
use toolgate_core::trace::TraceContext;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::Engine;

/// Keeps beyond this process that a server was started (true) or stopped (false).
pub type Keep = Arc<dyn Fn(String, bool) -> BoxFuture<'static, Result<(), Error>> + Send + Sync>;

/// What the edge is made of.
pub struct Edge {
    pub engine: Engine,
    pub settings: Settings,
    /// Resident memory of this process in bytes; may block.
    pub memory: fn() -> u64,
    /// Called after a server was started or stopped.
    pub keep: Keep,
    /// Keeps sessions of legacy clients beyond this process.
    pub sessions: Option<Arc<dyn mcp::SessionStore>>,
    /// Upstream servers, where they can be administered.
    pub upstreams: Option<Arc<dyn UpstreamAdmin>>,
}

impl Edge {
    /// An edge that measures no memory and keeps nothing.
    pub fn new(engine: Engine, settings: Settings) -> Self {
        Self {
            engine,
            settings,
            memory: || 0,
            keep: Arc::new(|_, _| Box::pin(async { Ok(()) })),
            sessions: None,
            upstreams: None,
        }
    }
}

/// Bounds that handlers apply themselves.
#[derive(Clone)]
pub struct Limits {
    /// Largest request body in bytes.
    pub max_body: usize,
    /// Longest time a request body may take to arrive.
    pub body_timeout: Duration,
    /// Whether it may be compressed.
    pub compression: bool,
    /// What bodies in memory take, of each caller and of all.
    pub(crate) bodies: Arc<Holdings>,
}

/// What every handler shares. Cheap to clone.
#[derive(Clone)]
pub struct AppState(Arc<Shared>);

struct Shared {
    edge: Edge,
    limits: Limits,
    /// What answers take that are not sent yet, of each caller and of all.
    answers: Arc<Holdings>,
    rules: Rules,
    reports: Reports,
    traffic: Traffic,
    closing: watch::Sender<bool>,
    started: Instant,
    since: jiff::Timestamp,
    open_paths: Vec<&'static str>,
    openapi: Bytes,
    tls: Option<Arc<Tls>>,
    mcp: Arc<mcp::Shared>,
}

impl AppState {
    /// Check the settings and read the files of TLS; every problem is named with its path.
    pub fn new(edge: Edge) -> Result<Self, Vec<String>> {
        let problems = edge.settings.problems();
        if !problems.is_empty() {
            return Err(problems);
        }
        let tls = edge.settings.tls.as_ref().map(Tls::open).transpose()?.map(Arc::new);
        let routes = rest::routes();
        let document = openapi::of(&routes).to_string();
        let mut open_paths: Vec<_> = routes.iter().filter(|r| r.open).map(|r| r.path).collect();
        if edge.settings.open_metrics {
            open_paths.push(rest::METRICS);
        }
        let max_body = usize::try_from(edge.settings.max_body.0).unwrap_or(usize::MAX);
        Ok(Self(Arc::new(Shared {
            limits: Limits {
                max_body,
                body_timeout: edge.settings.body_timeout.0,
                compression: edge.settings.compression,
                bodies: Holdings::new(edge.settings.max_bodies, max_body),
            },
            answers: Holdings::new(edge.settings.max_bodies, 0),
            rules: Rules::new(&edge.settings.allowed_hosts, &edge.settings.allowed_origins)?,
            reports: Reports::default(),
            traffic: Traffic::default(),
            closing: watch::Sender::new(false),
            started: Instant::now(),
            since: jiff::Timestamp::now(),
            open_paths,
            openapi: document.into(),
            tls,
            mcp: Arc::new(mcp::Shared::new((&edge.settings.sessions).into(), edge.sessions.clone())),
            edge,
        })))
    }

    pub fn engine(&self) -> &Engine {
        &self.0.edge.engine
    }

    pub fn limits(&self) -> &Limits {
        &self.0.limits
    }

    pub(crate) fn answers(&self) -> &Arc<Holdings> {
        &self.0.answers
    }

    pub(crate) fn upstreams(&self) -> Option<&Arc<dyn UpstreamAdmin>> {
        self.0.edge.upstreams.as_ref()
    }

    pub fn settings(&self) -> &Settings {
        &self.0.edge.settings
    }

    pub(crate) fn tls(&self) -> Option<Arc<Tls>> {
        self.0.tls.clone()
    }

    /// Turns true when a shutdown begins; long-lived streams end themselves then.
    pub fn closing(&self) -> watch::Receiver<bool> {
        self.0.closing.subscribe()
    }

    pub(crate) fn closer(&self) -> &watch::Sender<bool> {
        &self.0.closing
    }

    pub(crate) fn edge(&self) -> &Edge {
        &self.0.edge
    }

    pub(crate) fn mcp(&self) -> &Arc<mcp::Shared> {
        &self.0.mcp
    }

    pub(crate) fn reports(&self) -> &Reports {
        &self.0.reports
    }

    pub(crate) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    pub(crate) fn openapi(&self) -> Bytes {
        self.0.openapi.clone()
    }

    pub(crate) fn uptime(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// When this edge was made.
    pub(crate) fn since(&self) -> jiff::Timestamp {
        self.0.since
    }
}

/// Every endpoint, behind `edge`.
pub(crate) fn router(state: AppState) -> Router {
    let doors = mcp::routes(state.mcp().clone(), state.settings().sse_door);
    behind_edge(rest::mount(rest::routes()).merge(doors), state)
}

fn behind_edge(endpoints: Router<AppState>, state: AppState) -> Router {
    endpoints
        .fallback(nothing_here)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(state.clone(), edge))
        .with_state(state)
}

async fn edge(State(state): State<AppState>, mut request: Request, next: Next) -> Response {
    let asked = state.0.traffic.asked(&request);
    let lender = lent::lend(&mut request);
    let accepts = state.settings().compression.then(|| coding::accepts(request.headers()));
    let trace = trace::of(request.headers());
    let Some(ends) = request.extensions().get::<Ends>().copied() else {
        return Refusal::from(Error::internal("a request without its socket's ends")).into_response();
    };
    let rules = &state.0.rules;
    let checked = match registry::covers(request.uri().path()) {
        true => rules.check_any(request.uri(), request.headers(), ends),
        false => rules.check(request.uri(), request.headers(), ends),
    };
    let (mut response, page) = match checked {
        Err(refusal) => {
            drop(request);
            (refusal.into_response(), Page::Own)
        }
        Ok(page) if cors::is_preflight(&request) => {
            drop(request);
            (cors::preflight(), page)
        }
        Ok(page) => {
            // The panic itself is reported by the process's panic hook.
            let barrier = AssertUnwindSafe(identified(&state, request, next)).catch_unwind();
            let panicked = |_| Refusal::from(Error::internal("a handler panicked")).into_response();
            (barrier.await.unwrap_or_else(panicked), page)
        }
    };
    if let Some(lender) = lender {
        lender.settle(response.headers_mut()).await;
    }
    dress(response.headers_mut(), &page, trace.as_ref());
    state.0.traffic.answered(asked, response.status());
    match accepts {
        Some(accepts) => coding::answer(accepts, response).await,
        None => response,
    }
}

async fn identified(state: &AppState, mut request: Request, next: Next) -> Response {
    let caller = match caller(state, request.uri(), request.headers()) {
        Ok(Some(caller)) => caller,
        Ok(None) => return next.run(request).await,
        Err(refusal) => return refusal.into_response(),
    };
    request.extensions_mut().insert(caller.clone());
    sending::counted(next.run(request).await, &state.0.answers, &caller)
}

// Nobody, on the few paths that need no key.
fn caller(state: &AppState, uri: &Uri, headers: &HeaderMap) -> Result<Option<Arc<Caller>>, Refusal> {
    identify::no_key_in_query(uri)?;
    let open_registry = state.settings().registry.open && registry::covers(uri.path());
    if open_registry || state.0.open_paths.contains(&uri.path()) {
        return Ok(None);
    }
    let key = identify::credential(headers)?;
    Ok(Some(state.engine().identify(key)?))
}

fn dress(headers: &mut HeaderMap, page: &Page, trace: Option<&TraceContext>) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    match page {
        Page::Own => {}
        Page::Foreign(origin) => cors::allow(headers, origin),
        Page::Any => registry::allow(headers),
    }
    if let Some(value) = trace.and_then(|t| HeaderValue::from_str(t.parent()).ok()) {
        headers.insert("traceparent", value);
    }
}

async fn nothing_here(uri: Uri) -> Refusal {
    let path: String = uri.path().chars().take(100).collect();
    Refusal::not_found(format!("there is no endpoint {path:?}; GET /openapi.json describes those there are"))
}

async fn wrong_method() -> Refusal {
    Refusal::new(
        Kind::Unsupported,
        "the endpoint does not take this method; the Allow header names those it takes",
    )
    .status(StatusCode::METHOD_NOT_ALLOWED)
}

#[cfg(test)]
mod tests {
    use super::*;

    // The edge's own handler: the engine's barrier is not in its way.
    async fn broken() {
        panic!("broken")
    }

    #[tokio::test]
    async fn a_broken_handler_is_an_answer() {
        use tower::ServiceExt;
        let dir = tempfile::tempdir().unwrap();
        let engine = crate::tests::engine(dir.path(), Vec::new());
        let state = AppState::new(Edge::new(engine, Settings::default())).unwrap();
        let ends =
            Ends { local: "127.0.0.1:80".parse().unwrap(), peer: "127.0.0.1:1".parse().unwrap(), tls: false };
        let request = || {
            let request = Request::get("/health").header("host", "localhost").extension(ends);
            request.body(axum::body::Body::empty()).unwrap()
        };
        let router = behind_edge(Router::new().route("/health", axum::routing::get(broken)), state);
        let answer = router.clone().oneshot(request()).await.unwrap();
        assert_eq!(answer.status(), 500);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/json");
        let mut without_ends = request();
        without_ends.extensions_mut().clear();
        assert_eq!(router.oneshot(without_ends).await.unwrap().status(), 500, "fails closed");
    }
}
