//! `Session`: what a legacy client and the gateway agreed on, and what the gateway waits for from it.
//!
//! Made by `initialize`; kept by the transport (an HTTP session, a stdio channel), which brings the client's answers
//! here. `Saved` is the part that outlives the process.

use crate::Watch;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;
use toolgate_core::ClientInfo;
use toolgate_core::link::Loudness;
use toolgate_core::uri::MAX_URI;
use toolgate_wire::era::Version;
use toolgate_wire::members::text;
use toolgate_wire::{Fault, Id};

// Questions of one session that wait for an answer.
const MAX_WAITING: usize = 256;
// Ids of our requests begin with it, so that they cannot be taken for anybody else's.
const PREFIX: &str = "tg-";

/// What a session is made of again after a restart.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Saved {
    version: String,
    client: Option<ClientInfo>,
    capabilities: Value,
    loudness: Loudness,
    subscriptions: BTreeSet<String>,
}

/// A legacy session, whatever the transport.
pub struct Session {
    pub version: Version,
    pub client: Option<Arc<ClientInfo>>,
    capabilities: Value,
    state: Mutex<State>,
}

struct State {
    loudness: Loudness,
    subscriptions: BTreeSet<String>,
    // Of those, what upstreams were asked for. A session of an earlier process has none at first.
    watches: HashMap<String, Option<Watch>>,
    waiting: HashMap<u64, oneshot::Sender<Result<Value, Fault>>>,
    asked: u64,
    changes: u64,
    ended: bool,
}

impl Session {
    pub(super) fn new(version: Version, client: Option<Arc<ClientInfo>>, capabilities: Value) -> Self {
        // Until the client says otherwise it hears of what a person would want to know.
        Self::with(version, client, capabilities, Loudness::Info, BTreeSet::new())
    }

    fn with(
        version: Version,
        client: Option<Arc<ClientInfo>>,
        capabilities: Value,
        loudness: Loudness,
        subscriptions: BTreeSet<String>,
    ) -> Self {
        let waiting = HashMap::new();
        let watches = HashMap::new();
        let state = State { loudness, subscriptions, watches, waiting, asked: 0, changes: 0, ended: false };
        Self { version, client, capabilities, state: Mutex::new(state) }
    }

    /// The session that was saved; `None` when it is of a version that is spoken no more.
    pub fn restored(saved: Saved) -> Option<Self> {
        let version = Version::parse(&saved.version)?;
        let client = saved.client.map(Arc::new);
        let session = Self::with(version, client, saved.capabilities, saved.loudness, saved.subscriptions);
        // A late answer to a question of the process before must not be taken for one to a question of this one.
        session.lock().asked = u64::try_from(jiff::Timestamp::now().as_microsecond()).unwrap_or_default();
        Some(session)
    }

    pub fn saved(&self) -> Saved {
        let state = self.lock();
        Saved {
            version: self.version.as_str().to_owned(),
            client: self.client.as_deref().cloned(),
            capabilities: self.capabilities.clone(),
            loudness: state.loudness,
            subscriptions: state.subscriptions.clone(),
        }
    }

    /// How often what is saved of it has changed.
    pub fn changes(&self) -> u64 {
        self.lock().changes
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn capabilities(&self) -> &Value {
        &self.capabilities
    }

    pub(super) fn loudness(&self) -> Loudness {
        self.lock().loudness
    }

    pub(super) fn set_loudness(&self, loudness: Loudness) {
        let mut state = self.lock();
        state.changes += u64::from(state.loudness != loudness);
        state.loudness = loudness;
    }

    pub(super) fn subscribe(&self, uri: &str, most: usize) -> Result<(), Fault> {
        let mut state = self.lock();
        if uri.len() > MAX_URI || (state.subscriptions.len() >= most && !state.subscriptions.contains(uri)) {
            let why = format!("a session subscribes to at most {most} resources of {MAX_URI} bytes of URI");
            return Err(Fault::invalid_params(why));
        }
        state.changes += u64::from(state.subscriptions.insert(uri.to_owned()));
        Ok(())
    }

    pub(super) fn unsubscribe(&self, uri: &str) {
        let mut state = self.lock();
        state.changes += u64::from(state.subscriptions.remove(uri));
        let ended = state.watches.remove(uri);
        drop(state);
        drop(ended);
    }

    /// What its server holds for a subscription; nothing, where it need not be asked.
    pub(super) fn watched(&self, uri: &str, watch: Option<Watch>) {
        let mut state = self.lock();
        let before = if state.subscriptions.contains(uri) {
            state.watches.insert(uri.to_owned(), watch)
        } else {
            Some(watch)
        };
        drop(state);
        drop(before);
    }

    /// Subscriptions of which no server has been told.
    pub(super) fn unwatched(&self) -> Vec<String> {
        let state = self.lock();
        state.subscriptions.iter().filter(|uri| !state.watches.contains_key(*uri)).cloned().collect()
    }

    pub(super) fn subscriptions(&self) -> BTreeSet<String> {
        self.lock().subscriptions.clone()
    }

    pub(super) fn is_subscribed(&self, uri: &str) -> bool {
        self.lock().subscriptions.contains(uri)
    }

    /// Make room for an answer: the id to ask under, and where the answer arrives. `None` when too many are open.
    pub(super) fn expect(&self) -> Option<(u64, oneshot::Receiver<Result<Value, Fault>>)> {
        let mut state = self.lock();
        if state.waiting.len() >= MAX_WAITING {
            return None;
        }
        state.asked += 1;
        let number = state.asked;
        let (sender, receiver) = oneshot::channel();
        // In a session that has ended nobody answers: the sender is dropped, which the receiver sees.
        if !state.ended {
            state.waiting.insert(number, sender);
        }
        Some((number, receiver))
    }

    /// Nobody waits for this answer any more.
    pub(super) fn forget(&self, number: u64) {
        self.lock().waiting.remove(&number);
    }

    /// No answer comes any more: whoever waits for one is told.
    pub fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.waiting.clear();
        let ended = std::mem::take(&mut state.watches);
        drop(state);
        drop(ended);
    }

    /// A response of the client. What answers nothing is dropped.
    pub fn answer(&self, id: Option<&Id>, result: Option<&RawValue>, error: Option<&RawValue>) {
        let number = id.and_then(|id| {
            let raw: Box<RawValue> = serde_json::from_str(id.json()).ok()?;
            text(&raw)?.strip_prefix(PREFIX)?.parse().ok()
        });
        let Some(waiting) = number.and_then(|number: u64| self.lock().waiting.remove(&number)) else {
            return;
        };
        let parse = |raw: &RawValue| serde_json::from_str::<Value>(raw.get()).unwrap_or_default();
        let _ = waiting.send(match (result, error) {
            (Some(result), _) => Ok(parse(result)),
            (None, error) => {
                let error = error.map(parse).unwrap_or_default();
                let why: String =
                    error["message"].as_str().unwrap_or("no reason given").chars().take(500).collect();
                Err(Fault::new(error["code"].as_i64().unwrap_or_default(), why))
            }
        });
    }
}

/// The id that a question is sent under.
pub(super) fn wire_id(number: u64) -> String {
    format!("{PREFIX}{number}")
}
