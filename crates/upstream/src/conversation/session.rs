//! `Session`: one legacy session of an upstream, from `initialize` to its end.
//!
//! Made by `pool`. Listens to what belongs to no request: pings are answered here, changes are told on, and progress, log
//! lines and questions go to the call that they can only belong to. Ended when it is dropped.

use super::Place;
use super::face::{Answer, Face};
use super::fault::{Trouble, session_lost};
use super::pool::{Begin, Held};
use super::read::{MAX_QUESTION, Question, Said, read};
use super::running::{Manner, Route, Running, spawn};
use super::write::{self, Members, Sent};
use crate::transport::{Failure, Incoming};
use http::HeaderMap;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use toolgate_core::link::{Change, Loudness};
use toolgate_core::{JsonText, Kind};
use toolgate_wire::{Era, Version, header};

// Messages that wait for a call outside of its own exchange.
const INBOX: usize = 16;
// How long the first call of a session waits for the stream beside it.
const STREAM_TIME: Duration = Duration::from_secs(1);
// How long `logging/setLevel` may take; nothing depends on it.
const LEVEL_TIME: Duration = Duration::from_secs(5);

/// A session.
pub(crate) struct Session {
    inner: Arc<Inner>,
    pub face: Face,
    id: Option<Arc<str>>,
    listener: JoinHandle<()>,
}

struct Inner {
    route: Route,
    /// Whether all its calls are of one owner, so that each of them can be asked what one of them is asked.
    only: bool,
    lost: AtomicBool,
    level: Mutex<Option<Loudness>>,
    /// Resources that it was asked to tell of.
    subscribed: Mutex<BTreeSet<String>>,
    calls: Mutex<Vec<(Arc<str>, mpsc::Sender<Incoming>)>>,
    place: Arc<Place>,
    watcher: bool,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.listener.abort();
        let route = self.inner.route.clone();
        if self.id.is_some() && !self.is_lost() {
            spawn(async move {
                let _ =
                    tokio::time::timeout(Duration::from_secs(5), route.transport.end(route.headers)).await;
            });
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Held for Session {
    fn is_lost(&self) -> bool {
        self.inner.lost.load(Ordering::Acquire)
    }

    fn is_watching(&self) -> bool {
        !lock(&self.inner.subscribed).is_empty()
    }
}

impl Session {
    /// Begin a session that declares these capabilities.
    pub async fn begin(place: &Arc<Place>, begin: Begin, capabilities: &Value) -> Result<Self, Failure> {
        let Begin { transport, only, watcher } = begin;
        let id = place.number();
        let params = Members::default()
            .text("protocolVersion", Version::LATEST_LEGACY.as_str())
            .value("capabilities", capabilities)
            .raw("clientInfo", write::CLIENT_INFO);
        let body = write::request(&id, "initialize", &params);
        let route = Route { transport: transport.clone(), headers: HeaderMap::new(), says: false };
        let mut running = Running::new(&route, id, body, HeaderMap::new(), Manner::Query, None);
        let answer = loop {
            match running.next().await {
                Said::Answer(Ok(result)) => break result,
                Said::Answer(Err(rpc)) => {
                    let why = format!("it refused initialize: {} ({})", rpc.message, rpc.code);
                    return Err(Failure::new(Kind::Unavailable, why));
                }
                Said::Lost(failure) => return Err(failure),
                Said::Asked(question) => refuse(&route, &question, watcher).await,
                _ => {}
            }
        };
        let session = running.session();
        let face = face(&answer)?;
        let mut headers = write::headers(&face.version, Sent::default());
        if let Some(session) = &session {
            write::put(&mut headers, http::HeaderName::from_static(header::SESSION_ID), session);
        }
        let route = Route { transport, headers, says: true };
        route.send(write::notification("notifications/initialized", &Members::default())).await?;
        let inner = Arc::new(Inner {
            route,
            only,
            lost: AtomicBool::new(false),
            level: Mutex::default(),
            subscribed: Mutex::default(),
            calls: Mutex::default(),
            place: place.clone(),
            watcher,
        });
        let (open, opened) = oneshot::channel();
        let listener = tokio::spawn(listen(inner.clone(), open));
        // Whole before anything is waited for: given up here, the listener must end, and with it the process.
        let session = Self { inner, face, id: session, listener };
        // Some upstreams ask on that stream, and what they ask before it is there is lost.
        let _ = tokio::time::timeout(STREAM_TIME, opened).await;
        Ok(session)
    }

    /// The upstream does not know it any more.
    pub fn lose(&self) {
        self.inner.lost.store(true, Ordering::Release);
    }

    pub fn has_id(&self) -> bool {
        self.id.is_some()
    }

    /// Send a request. Questions that come outside of its exchange reach it as long as it runs.
    pub fn start(&self, method: &str, params: Members, sent: Sent<'_>, manner: Manner) -> Running {
        let asked = manner == Manner::Call;
        let id = self.inner.place.number();
        let params = params.raw("_meta", &write::meta(asked.then_some(&*id), sent.trace).object());
        let body = write::request(&id, method, &params);
        let mut headers = write::headers(&self.face.version, sent);
        headers.extend(self.inner.route.headers.clone());
        let inbox = asked.then(|| {
            let (sender, receiver) = mpsc::channel(INBOX);
            let mut calls = lock(&self.inner.calls);
            calls.retain(|(_, sender)| !sender.is_closed());
            calls.push((id.clone(), sender));
            receiver
        });
        Running::new(&self.inner.route, id, body, headers, manner, inbox)
    }

    /// A request whose answer is all that counts.
    pub async fn query(&self, method: &str, params: Members) -> Result<JsonText, Trouble> {
        let mut running = self.start(method, params, Sent::default(), Manner::Query);
        loop {
            match running.next().await {
                Said::Answer(Ok(result)) => return Ok(result),
                Said::Answer(Err(rpc)) => return Err(Trouble::Refused(rpc)),
                // Not looked into: whether it says that the session is lost is for the caller to see.
                Said::Lost(failure) => return Err(Trouble::Lost(failure)),
                Said::Asked(question) => refuse(&running.route, &question, self.inner.watcher).await,
                Said::Changed(change) => self.inner.place.notices.changed(change),
                _ => {}
            }
        }
    }

    /// Have it tell of changes to these resources, and to no others. May be given up, and asked again.
    pub async fn watch(&self, wanted: BTreeSet<String>) {
        if self.face.capabilities["resources"]["subscribe"] != true {
            return;
        }
        let now = lock(&self.inner.subscribed).clone();
        let news = wanted.difference(&now).map(|uri| ("resources/subscribe", uri));
        for (method, uri) in news.chain(now.difference(&wanted).map(|uri| ("resources/unsubscribe", uri))) {
            match self.query(method, Members::default().text("uri", uri)).await {
                // The session is gone, or hangs: tried again if it is still there then.
                Err(Trouble::Lost(_)) => return,
                // What is refused once will be again.
                Err(trouble) => {
                    let upstream = &self.inner.place.name;
                    tracing::info!(%upstream, why = trouble.text(), "a resource cannot be watched");
                }
                Ok(_) => {}
            }
            let mut subscribed = lock(&self.inner.subscribed);
            match wanted.contains(uri) {
                true => subscribed.insert(uri.clone()),
                false => subscribed.remove(uri),
            };
        }
    }

    /// Have it log as loudly as the client of a call wants it, where another did not ask for more.
    pub async fn loudness(&self, wanted: Option<Loudness>) {
        let Some(wanted) = wanted.filter(|_| self.face.capabilities.get("logging").is_some()) else { return };
        {
            let mut level = lock(&self.inner.level);
            if level.is_some_and(|level| level <= wanted) {
                return;
            }
            *level = Some(wanted);
        }
        let params = Members::default().value("level", &json!(wanted));
        let _ = tokio::time::timeout(LEVEL_TIME, self.query("logging/setLevel", params)).await;
    }
}

/// Answer a request of the upstream that nobody can be asked.
/// `itself`: whether it was asked of the gateway itself.
pub(crate) async fn refuse(route: &Route, question: &Question, itself: bool) {
    let id = &question.id;
    let body = match &*question.method {
        "ping" => write::answer(id, &json!({})),
        // The gateway itself has none.
        "roots/list" if itself => write::answer(id, &json!({ "roots": [] })),
        _ if question.too_large => {
            write::refusal(id, -32602, &format!("the question is larger than {MAX_QUESTION} bytes"))
        }
        _ => write::refusal(id, -32601, "there is nobody to ask at this moment"),
    };
    let _ = route.send(body).await;
}

fn face(answer: &JsonText) -> Result<Face, Failure> {
    let wrong = |why: String| Failure::new(Kind::Unavailable, why);
    let answer = Answer::of(answer.get()).map_err(wrong)?;
    let version = answer.small("protocolVersion");
    let version = version.as_str().unwrap_or_default();
    if Version::parse(version).is_none_or(|version| version.era() != Era::Legacy) {
        let shown: String = version.chars().take(40).collect();
        let known = Version::names(Era::Legacy).join(", ");
        let why =
            format!("it answered initialize with version {shown:?}, which is not spoken here ({known})");
        return Err(wrong(why));
    }
    // How long lists hold is a word of the modern era.
    Ok(Face { ttl: None, ..answer.face(version).map_err(wrong)? })
}

// What belongs to no request. Not having a stream for it is no failure: many upstreams have none.
async fn listen(inner: Arc<Inner>, open: oneshot::Sender<()>) {
    let transport = inner.route.transport.clone();
    let work = async {
        let stream = transport.unsolicited(inner.route.headers.clone()).await;
        let _ = open.send(());
        let Ok(mut stream) = stream else { return std::future::pending().await };
        while let Some(message) = stream.next().await {
            match message {
                Ok(message) => inner.hear(message).await,
                Err(failure) if session_lost(&failure) => {
                    inner.lost.store(true, Ordering::Release);
                    if inner.watcher {
                        // Looking makes another session, and what changed meanwhile is seen.
                        inner.place.notices.changed(Change::Tools);
                    }
                }
                Err(_) => {}
            }
        }
        std::future::pending().await
    };
    tokio::select! {
        () = work => {}
        failure = transport.gone() => {
            inner.lost.store(true, Ordering::Release);
            if inner.watcher {
                inner.place.notices.gone(failure);
            }
        }
    }
}

#[derive(serde::Deserialize)]
struct Progress<'a> {
    #[serde(borrow)]
    params: Token<'a>,
}

#[derive(serde::Deserialize)]
struct Token<'a> {
    #[serde(rename = "progressToken", borrow)]
    token: &'a RawValue,
}

impl Inner {
    async fn hear(&self, message: Incoming) {
        match read(&message, None) {
            Said::Changed(change) => self.place.notices.changed(change),
            Said::Asked(question)
                if question.method == "ping" || question.too_large || !self.pass(&message) =>
            {
                refuse(&self.route, &question, self.watcher).await
            }
            // Many servers log on this stream whatever call it is about.
            Said::Log { .. } => {
                self.pass(&message);
            }
            Said::Progress { .. } => self.pass_progress(&message),
            _ => {}
        }
    }

    // To the call that a message can only belong to, the latest of the session's one owner. Where callers share a session
    // it may be of a call that has ended, which was another's.
    fn pass(&self, message: &Incoming) -> bool {
        let mut calls = lock(&self.calls);
        calls.retain(|(_, sender)| !sender.is_closed());
        match calls.last() {
            Some((_, sender)) if self.only => sender.try_send(message.clone()).is_ok(),
            _ => false,
        }
    }

    // To the call whose token it bears.
    fn pass_progress(&self, message: &Incoming) {
        let token =
            serde_json::from_slice::<Progress<'_>>(message).map(|progress| progress.params.token.get());
        let calls = lock(&self.calls);
        let call = calls.iter().find(|(id, _)| token.as_ref().is_ok_and(|token| *token == &**id));
        if let Some((_, sender)) = call {
            // One that does not come to hear it misses it.
            let _ = sender.try_send(message.clone());
        }
    }
}
