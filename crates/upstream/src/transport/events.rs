//! The messages of an event stream, read as they are asked for, and the stream taken up again where it broke.
//!
//! Made by `http`. Invariants: who does not ask holds the upstream back, and so memory is bounded by one message and one
//! read; an answer is the last message; only a legacy stream that gave event ids is resumed, after the time it asked for,
//! at most `TRIES` times in a row without an event and not beyond the deadline. Dropping it ends the connection.

use super::endpoint::{self, Endpoint};
use super::sort::{self, Role};
use super::{Failure, Incoming, Messages};
use futures_util::StreamExt as _;
use http::{HeaderMap, Uri};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use toolgate_core::Kind;
use toolgate_host::egress::Body;
use toolgate_wire::sse::{Decoder, Event};

/// Attempts in a row that bring nothing.
const TRIES: u32 = 5;
/// Times that one answer is resumed at all.
const MOST_RESUMED: u32 = 10_000;
/// Waited where the stream did not say how long.
const RETRY: Duration = Duration::from_secs(1);
const SHORTEST_RETRY: Duration = Duration::from_millis(50);
const LONGEST_RETRY: Duration = Duration::from_secs(60);
const LONGEST_EVENT_ID: usize = 4096;
/// Bytes of an event beside its data.
const FRAME: usize = 8 << 10;

/// What becomes of a stream that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// The answer is lost.
    Once,
    /// Taken up where it broke, if it gave event ids.
    Resumed,
    /// No request waits for it: connected again and again, and its silence means nothing.
    Standing,
}

pub(super) struct Events {
    endpoint: Arc<Endpoint>,
    uri: Uri,
    /// Of the requests that take it up again: session and version.
    headers: HeaderMap,
    /// Of the request that waits.
    id: Option<Arc<str>>,
    mode: Mode,
    /// Whether silence is a failure.
    timed: bool,
    body: Option<Body>,
    decoder: Decoder,
    queue: VecDeque<Incoming>,
    done: bool,
    after: Option<String>,
    retry: Option<Duration>,
    tries: u32,
    resumed: u32,
    broken: Option<Failure>,
    paused: Option<Arc<Notify>>,
}

impl Events {
    pub fn new(endpoint: Arc<Endpoint>, uri: Uri, headers: HeaderMap, mode: Mode, body: Body) -> Self {
        Self {
            decoder: Decoder::new(endpoint.max_message.saturating_add(FRAME)),
            endpoint,
            uri,
            headers,
            id: None,
            mode,
            timed: mode != Mode::Standing,
            body: Some(body),
            queue: VecDeque::new(),
            done: false,
            after: None,
            retry: None,
            tries: 0,
            resumed: 0,
            broken: None,
            paused: None,
        }
    }

    /// For the request with this id; `timed` says whether silence is a failure.
    pub fn answering(self, id: Option<Arc<str>>, timed: bool) -> Self {
        Self { id, timed, ..self }
    }

    /// Tells when the upstream closes the stream and is to be asked for the rest.
    pub fn telling(self, paused: Option<Arc<Notify>>) -> Self {
        Self { paused, ..self }
    }

    pub fn into_messages(self) -> Messages {
        let next = async |mut events: Self| events.next().await.map(|message| (message, events));
        Messages::Stream(futures_util::stream::unfold(self, next).boxed())
    }

    async fn next(&mut self) -> Option<Result<Incoming, Failure>> {
        loop {
            // Many events come in one piece, and whoever drops them all must not keep its thread from everything else.
            tokio::task::coop::consume_budget().await;
            if let Some(message) = self.queue.pop_front() {
                return Some(Ok(message));
            }
            if self.done {
                return None;
            }
            if let Err(failure) = self.step().await {
                self.done = true;
                self.body = None;
                return Some(Err(failure));
            }
        }
    }

    async fn step(&mut self) -> Result<(), Failure> {
        if let Some(event) = self.decoder.next_event() {
            return self.take(event).await;
        }
        let Some(body) = &mut self.body else { return self.reconnect().await };
        let chunk = if self.timed {
            let limit = self.endpoint.deadline;
            timeout(limit, body.chunk()).await.map_err(|_| self.endpoint.silent())?
        } else {
            body.chunk().await
        };
        match chunk {
            Ok(Some(bytes)) => self.decoder.feed(&bytes).map_err(|_| self.endpoint.too_large()),
            Ok(None) => {
                let why = "closed the stream of its answer before the response came";
                self.lost(self.endpoint.failure(Kind::Unavailable, why))?;
                if let Some(paused) = &self.paused {
                    paused.notify_one();
                }
                Ok(())
            }
            Err(e) => self.lost(endpoint::outside(e)),
        }
    }

    async fn take(&mut self, event: Event) -> Result<(), Failure> {
        self.tries = 0;
        if let Some(id) = event.id.filter(|id| id.len() <= LONGEST_EVENT_ID) {
            // An empty id takes the last one back.
            self.after = (!id.is_empty()).then_some(id);
        }
        if let Some(retry) = event.retry {
            self.retry = Some(Duration::from_millis(retry));
        }
        let named = event.name.as_deref().is_some_and(|name| name != "message");
        if named || event.data.trim_ascii().is_empty() {
            return Ok(());
        }
        if event.data.len() > self.endpoint.max_message {
            return Err(self.endpoint.too_large());
        }
        let messages = sort::sorted(event.data.into_bytes(), self.id.as_deref()).await;
        let messages = messages.map_err(|why| self.endpoint.garbage(&why))?;
        for (message, role) in messages {
            match role {
                Role::Answer => {
                    self.queue.push_back(message);
                    self.done = true;
                    if let Some(body) = self.body.take() {
                        endpoint::drain(body);
                    }
                    return Ok(());
                }
                Role::Stray => {
                    tracing::debug!(place = %self.endpoint.origin.place(), "a response to no request of this stream; left out");
                }
                Role::Other => self.queue.push_back(message),
            }
        }
        Ok(())
    }

    fn lost(&mut self, failure: Failure) -> Result<(), Failure> {
        self.body = None;
        self.decoder = Decoder::new(self.endpoint.max_message.saturating_add(FRAME));
        let resumable = match self.mode {
            Mode::Once => false,
            Mode::Resumed => self.after.is_some() && self.resumed < MOST_RESUMED,
            Mode::Standing => true,
        };
        if !resumable {
            return Err(failure);
        }
        self.broken = Some(failure);
        Ok(())
    }

    /// Opens the stream again, or says why it cannot be had.
    async fn reconnect(&mut self) -> Result<(), Failure> {
        let mut waited = Duration::ZERO;
        let mut asked = None;
        loop {
            if self.tries >= TRIES {
                let last = self.broken.take().map_or_else(String::new, |f| format!(": {}", f.message));
                return Err(self.endpoint.failure(
                    Kind::Unavailable,
                    format_args!("broke off its stream and could not be resumed in {TRIES} tries{last}"),
                ));
            }
            let wait = self.pause().max(asked.take().unwrap_or_default());
            if self.mode == Mode::Resumed && waited + wait > self.endpoint.deadline {
                return Err(self.endpoint.failure(
                    Kind::Timeout,
                    format_args!(
                        "wants to be asked again later than {:?} (`deadline`)",
                        self.endpoint.deadline
                    ),
                ));
            }
            let wait = if self.mode == Mode::Standing { wait.min(LONGEST_RETRY) } else { wait };
            sleep(wait).await;
            waited += wait;
            self.tries += 1;
            match self.endpoint.get(&self.uri, self.headers.clone(), self.after.as_deref()).await {
                Ok(body) => {
                    if self.mode == Mode::Standing {
                        self.tries = 0;
                    }
                    self.resumed += 1;
                    self.body = Some(body);
                    return Ok(());
                }
                Err(failure) if for_good(&failure) => return Err(Failure { unseen: false, ..failure }),
                Err(failure) => {
                    asked = failure.wait;
                    self.broken = Some(failure);
                }
            }
        }
    }

    /// The time that the stream asked for, doubled with each try that brought nothing.
    fn pause(&self) -> Duration {
        let base = self.retry.unwrap_or(RETRY);
        let base = if self.tries > 0 { base.max(RETRY / 10) } else { base };
        (base * 2u32.pow(self.tries)).max(SHORTEST_RETRY)
    }
}

/// Asking again would be answered the same.
fn for_good(failure: &Failure) -> bool {
    matches!(failure.status, Some(400..=499)) && !matches!(failure.status, Some(408 | 425 | 429))
        || failure.kind == Kind::Forbidden
}
