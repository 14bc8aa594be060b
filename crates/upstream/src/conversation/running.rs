//! `Running`: one request that is under way upstream, and its giving up when nobody waits any more.
//!
//! Used by both conversations. Dropped before its answer has come it tells the upstream, where the era has a word for it;
//! over modern HTTP the end of the exchange is that word.

use super::read::{MAX_QUESTION, Said, read_within};
use super::write;
use crate::transport::{Exchange, Failure, Incoming, Outgoing, Transport};
use bytes::Bytes;
use http::HeaderMap;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use toolgate_core::Kind;
use toolgate_core::tool::BoxFuture;
use toolgate_wire::scan::MAX_DEPTH;

/// Messages of one request that are kept while nobody can take them.
pub(crate) const MAX_BACKLOG: usize = 64;
/// Bytes of them, and of all questions that are asked at once.
pub(crate) const MAX_BACKLOG_BYTES: usize = 1 << 20;
// Time for a message that says something is given up.
const LAST_WORD: Duration = Duration::from_secs(5);

/// The way of a request, and of what belongs to it.
#[derive(Clone)]
pub(crate) struct Route {
    pub transport: Arc<dyn Transport>,
    /// Headers of notifications and answers on this way.
    pub headers: HeaderMap,
    /// Whether giving up is said in words.
    pub says: bool,
}

impl Route {
    /// Send a notification or an answer.
    pub async fn send(&self, body: Bytes) -> Result<(), Failure> {
        let message = Outgoing { body, headers: self.headers.clone(), ..Outgoing::default() };
        self.transport.send(message).await
    }
}

/// How a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Of the gateway itself: the transport judges its silence.
    Query,
    /// Of a caller: its silence is judged here, because a user who is asked may take long.
    Call,
    /// A stream that stays open.
    Standing,
}

enum Way {
    /// The head of the answer is not there yet.
    Heading(BoxFuture<'static, Result<Exchange, Failure>>),
    Open(Exchange),
    Closed,
}

impl Way {
    // May be dropped before it ends: nothing is lost by that.
    async fn next(&mut self) -> Option<Result<Incoming, Failure>> {
        if let Self::Heading(heading) = self {
            match heading.await {
                Ok(exchange) => *self = Self::Open(exchange),
                Err(failure) => {
                    *self = Self::Closed;
                    return Some(Err(failure));
                }
            }
        }
        match self {
            Self::Open(exchange) => exchange.next().await,
            _ => None,
        }
    }
}

/// A request under way.
pub(crate) struct Running {
    pub id: Arc<str>,
    pub route: Route,
    way: Way,
    backlog: VecDeque<Said>,
    /// What came for it outside of its exchange.
    inbox: Option<mpsc::Receiver<Incoming>>,
    paused: Arc<Notify>,
    cancel: Cancel,
    /// Nesting of its answer.
    depth: usize,
}

impl Running {
    /// A request that is sent when it is first heard for. `headers`: all of it.
    pub fn new(
        route: &Route,
        id: Arc<str>,
        body: Bytes,
        headers: HeaderMap,
        manner: Manner,
        inbox: Option<mpsc::Receiver<Incoming>>,
    ) -> Self {
        let cancel = Cancel { route: route.clone(), id: id.clone(), armed: route.says };
        let paused = Arc::new(Notify::new());
        let message = Outgoing {
            body,
            id: Some(id.clone()),
            token: Some(id.clone()),
            headers,
            standing: manner == Manner::Standing,
            untimed: manner == Manner::Call,
            paused: Some(paused.clone()),
        };
        let transport = route.transport.clone();
        let way = Way::Heading(Box::pin(async move { transport.exchange(message).await }));
        // The gateway's own questions are for lists, of which each thing is looked at by itself.
        let depth = if manner == Manner::Query { usize::MAX } else { MAX_DEPTH };
        Self { id, route: route.clone(), way, backlog: VecDeque::new(), inbox, paused, cancel, depth }
    }

    /// Say nothing when it is given up.
    pub fn quiet(&mut self) {
        self.cancel.armed = false;
    }

    /// `Mcp-Session-Id` of the answer.
    pub fn session(&self) -> Option<Arc<str>> {
        match &self.way {
            Way::Open(exchange) => exchange.session.clone(),
            _ => None,
        }
    }

    /// What comes next. After an answer or a loss nothing does.
    pub async fn next(&mut self) -> Said {
        match self.backlog.pop_front() {
            Some(said) => said,
            None => self.fresh().await,
        }
    }

    /// What comes next, beside what is kept.
    pub async fn fresh(&mut self) -> Said {
        let said = loop {
            let message = tokio::select! {
                biased;
                // Bounded, and what came before the answer is heard before it.
                Some(message) = outside(self.inbox.as_mut()) => Some(Ok(message)),
                message = self.way.next() => message,
                () = self.paused.notified() => break Said::Paused,
            };
            match message {
                Some(Ok(message)) => match read_within(&message, Some(&self.id), self.depth) {
                    Said::Nothing => {}
                    said => break said,
                },
                Some(Err(failure)) => break Said::Lost(failure),
                None => {
                    let why = "it closed the stream of the request without an answer";
                    break Said::Lost(Failure::new(Kind::Unavailable, why));
                }
            }
        };
        if matches!(said, Said::Answer(_) | Said::Lost(_)) {
            self.cancel.armed = false;
        }
        said
    }

    /// Keep for later; says whether there is room for more.
    pub fn keep(&mut self, said: Said) -> bool {
        self.backlog.push_back(said);
        let bytes: usize = self.backlog.iter().map(Said::bytes).sum();
        self.backlog.len() < MAX_BACKLOG && bytes + MAX_QUESTION <= MAX_BACKLOG_BYTES
    }

    /// What may be said while nobody listens: whatever it does not wait for is dropped. Ends with its end.
    pub async fn idle(&mut self) {
        loop {
            match self.fresh().await {
                said @ (Said::Answer(_) | Said::Lost(_)) => {
                    self.backlog.push_back(said);
                    return;
                }
                Said::Asked(question) if question.method == "ping" => {
                    let _ = self.route.send(write::answer(&question.id, &serde_json::json!({}))).await;
                }
                said @ Said::Asked(_) => {
                    if self.keep(said) {
                        continue;
                    }
                    let why = format!(
                        "it asks too much while its questions wait (at most {MAX_BACKLOG} questions, {MAX_BACKLOG_BYTES} bytes)"
                    );
                    self.backlog = VecDeque::from([Said::Lost(Failure::new(Kind::Unavailable, why))]);
                    self.way = Way::Closed;
                    return;
                }
                _ => {}
            }
        }
    }
}

async fn outside(inbox: Option<&mut mpsc::Receiver<Incoming>>) -> Option<Incoming> {
    match inbox {
        Some(inbox) => inbox.recv().await,
        None => None,
    }
}

struct Cancel {
    route: Route,
    id: Arc<str>,
    armed: bool,
}

impl Drop for Cancel {
    fn drop(&mut self) {
        if !self.armed {
            return;
        }
        let (route, body) = (self.route.clone(), write::cancelled(&self.id));
        spawn(async move {
            let _ = tokio::time::timeout(LAST_WORD, route.send(body)).await;
        });
    }
}

/// Start work that outlives who starts it, where there still is a runtime.
pub(crate) fn spawn(work: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(work);
    }
}
