//! The data path: one catalogue, one place that decides, one record for every call.
//!
//! Called by the edge (`http`), by `toolgate stdio` and by the command line. Names no tool server and no database:
//! the binary hands it mounted servers, policy, keys and an open journal. `docs/request.md` follows a call through it.

mod admit;
mod breaker;
mod cache;
mod catalogue;
mod changes;
mod control;
pub mod health;
mod identify;
pub mod journal;
pub mod mcp;
mod metrics;
mod mounts;
mod patience;
mod rate;
mod run;
mod settings;
mod slots;
mod snapshot;
mod standing;
mod trail;

pub use cache::CacheStats;
pub use catalogue::{Entry, ServerView, VirtualServer};
pub use changes::Told;
pub use control::ConnectionGuard;
pub use metrics::ToolUse;
pub use settings::{Breaker, Cache, Clients, JournalFailure, ServerSettings, Settings};
pub use standing::Keys;

use admit::Admission;
use arc_swap::ArcSwap;
use futures_util::FutureExt;
use snapshot::Snapshot;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use toolgate_core::foreign::Relay;
use toolgate_core::id::CallId;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::policy::Policy;
use toolgate_core::quota::Quota;
use toolgate_core::{Call, Caller, Error, Face, Mount, Outcome, Record};
use trail::{Answer, Trail};

/// What is needed to verify an API key. The secret itself is never stored.
#[derive(Debug, Clone)]
pub struct ApiKey {
    /// The public part of the key, between `tg_` and the second `_`.
    pub id: Arc<str>,
    pub name: Arc<str>,
    /// SHA-256 of the whole key text.
    pub hash: [u8; 32],
    pub roles: Vec<Arc<str>>,
    /// Seconds since the Unix epoch.
    pub expires_at: Option<i64>,
}

/// Sees every answer record after it is made; must not block.
pub type Observer = Box<dyn Fn(&Record) + Send + Sync>;

/// Everything an engine is made of.
pub struct Parts {
    pub settings: Settings,
    pub servers: Vec<Mount>,
    pub virtuals: BTreeMap<String, VirtualServer>,
    /// Names of servers that an administrator stopped.
    pub stopped: Vec<String>,
    pub policy: Policy,
    pub keys: Vec<ApiKey>,
    pub journal: journal::Journal,
    /// Where tasks are kept; in memory unless told otherwise.
    pub tasks: Arc<dyn mcp::TaskStore>,
    /// Seals what clients carry from one request to the next; the same for all processes that share clients.
    pub seal_key: [u8; 32],
    pub observe: Observer,
    pub checks: health::Checks,
}

impl Parts {
    /// Parts with nothing to observe or check.
    pub fn new(
        settings: Settings,
        servers: Vec<Mount>,
        policy: Policy,
        keys: Vec<ApiKey>,
        journal: journal::Journal,
    ) -> Self {
        Self {
            settings,
            servers,
            virtuals: BTreeMap::new(),
            stopped: Vec::new(),
            policy,
            keys,
            journal,
            tasks: Arc::new(mcp::InMemory::default()),
            seal_key: fresh_key(),
            observe: Box::new(|_| {}),
            checks: Box::new(|| Box::pin(async { Vec::new() })),
        }
    }
}

/// A resource that a caller may read.
pub struct Readable {
    pub server: ServerName,
    /// As its server writes it.
    pub uri: String,
    /// Whether changes of it are told.
    pub tells: bool,
    // Of an upstream, which must be asked to tell.
    relay: Option<Arc<dyn Relay>>,
}

impl Readable {
    /// Have its server tell this caller of changes until what is returned is dropped, where it must be asked to.
    pub(crate) fn watch(&self, caller: &Caller) -> Option<Watch> {
        self.relay.as_ref().map(|relay| relay.watch(&self.uri, caller))
    }
}

/// Holds on to changes of a resource.
pub(crate) type Watch = Box<dyn Send + Sync>;

/// The engine. Cheap to clone.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    settings: Settings,
    max_output: usize,
    snapshot: ArcSwap<Snapshot>,
    // Counts how often keys were replaced.
    keys_changed: tokio::sync::watch::Sender<u64>,
    // Held while a new snapshot is made, so that two changes cannot undo each other.
    changing: Mutex<mounts::Mounts>,
    buckets: rate::Buckets,
    cache: cache::Cache,
    counters: metrics::Counters,
    journal: journal::Journal,
    changes: changes::Changes,
    seal: mcp::Seal,
    tasks: mcp::Tasks,
    // Open subscription streams of modern clients.
    listeners: Arc<Quota>,
    // Turns true when the gateway begins to end; long streams end with it.
    closing: tokio::sync::watch::Sender<bool>,
    observe: Observer,
    checks: health::Checks,
    draining: AtomicBool,
    active: AtomicUsize,
    idle: tokio::sync::Notify,
}

impl Engine {
    pub fn new(parts: Parts) -> Result<Self, Error> {
        let changes = changes::Changes::new();
        let (mounts, catalogue) =
            mounts::Mounts::new(parts.servers, parts.virtuals, &parts.settings, &changes)?;
        let stopped: BTreeSet<ServerName> =
            parts.stopped.iter().filter_map(|n| ServerName::new(n).ok()).collect();
        let keys = Arc::new(snapshot::keys(parts.keys));
        let snapshot = Snapshot::new(Arc::new(catalogue), Arc::new(parts.policy), keys, stopped);
        let clients = parts.settings.clients.clone();
        let listeners = Quota::new(clients.streams_per_caller, clients.streams);
        let tasks = mcp::Tasks::new(parts.tasks, parts.journal.chain().1, clients);
        Ok(Self(Arc::new(Inner {
            max_output: usize::try_from(parts.settings.max_output.0).unwrap_or(usize::MAX),
            cache: cache::Cache::new(&parts.settings.cache),
            settings: parts.settings,
            snapshot: ArcSwap::from_pointee(snapshot),
            keys_changed: tokio::sync::watch::Sender::new(0),
            changing: Mutex::new(mounts),
            buckets: rate::Buckets::new(),
            counters: metrics::Counters::default(),
            tasks,
            journal: parts.journal,
            changes,
            seal: mcp::Seal::new(&parts.seal_key)?,
            listeners,
            closing: tokio::sync::watch::Sender::new(false),
            observe: parts.observe,
            checks: parts.checks,
            draining: AtomicBool::new(false),
            active: AtomicUsize::new(0),
            idle: tokio::sync::Notify::new(),
        })))
    }

    /// Who presents this key? `Unauthenticated` when nobody does, whatever the reason; the log has the reason.
    pub fn identify(&self, key: Option<&str>) -> Result<Arc<Caller>, Error> {
        identify::identify(&self.0.snapshot.load(), key, jiff::Timestamp::now().as_second())
    }

    /// What clients may send and hold open.
    pub fn clients(&self) -> &Clients {
        &self.0.settings.clients
    }

    /// Tools this caller may call; see `list`.
    pub fn tools(&self, caller: &Caller, scope: Option<&str>) -> Result<Vec<Arc<Entry>>, Error> {
        self.list(Face::Tool, caller, scope)
    }

    /// What this caller may call, read or get, in catalogue order; with a scope, one server's. Decided by the same table
    /// as `call`. A scope that names no server of which the caller may see something is `NotFound`.
    pub fn list(&self, face: Face, caller: &Caller, scope: Option<&str>) -> Result<Vec<Arc<Entry>>, Error> {
        self.listed(face, caller, scope, |entries| entries.cloned().collect())
    }

    /// Whether `list` has something that `wanted` says yes to.
    pub(crate) fn lists(
        &self,
        face: Face,
        caller: &Caller,
        scope: Option<&str>,
        wanted: impl Fn(&Entry) -> bool,
    ) -> bool {
        self.listed(face, caller, scope, |mut entries| Iterator::any(&mut entries, |entry| wanted(entry)))
            .is_ok_and(|found| found)
    }

    /// Whether a door leads to anything that this caller may see.
    pub(crate) fn leads(&self, caller: &Caller, scope: Option<&str>) -> bool {
        self.listed(Face::Tool, caller, scope, |_| ()).is_ok()
    }

    fn listed<T>(
        &self,
        face: Face,
        caller: &Caller,
        scope: Option<&str>,
        read: impl FnOnce(&mut dyn Iterator<Item = &Arc<Entry>>) -> T,
    ) -> Result<T, Error> {
        let snapshot = self.0.snapshot.load();
        let rights = snapshot.rights(caller);
        let places = snapshot::listed(&snapshot, &rights, face, caller, scope)?;
        Ok(read(&mut places.iter().map(|at| &snapshot.catalogue.entries[*at as usize])))
    }

    /// What a URI means, when this caller may read it: changes are told under what this says.
    pub fn readable(&self, caller: &Caller, scope: Option<&Door>, uri: &str) -> Option<Readable> {
        let snapshot = self.0.snapshot.load();
        let rights = snapshot.rights(caller);
        let entry = snapshot.find(caller, &rights, Face::Resource, uri, scope).entries.pop()?;
        if snapshot.stopped.contains(&entry.server) {
            return None;
        }
        let own = match &entry.template {
            Some(template) => template.canonical(uri)?,
            None => entry.own_uri(uri).to_owned(),
        };
        let relay = entry.relay.clone().filter(|_| entry.tells);
        Some(Readable { server: entry.server.clone(), uri: own, tells: entry.tells, relay })
    }

    // The one thing of this name that this caller may use now.
    fn sees(&self, caller: &Caller, scope: Option<&Door>, face: Face, name: &str) -> Option<Arc<Entry>> {
        let inner = &*self.0;
        let snapshot = inner.snapshot.load();
        let rights = snapshot.rights(caller);
        let found = snapshot.find(caller, &rights, face, name, scope);
        match found.entries[..] {
            [entry] if !snapshot.stopped.contains(&entry.server) => Some(entry.clone()),
            _ => None,
        }
    }

    /// Take over the tasks that an earlier process left. Done by the first use of tasks too, where nobody did before.
    pub async fn open_tasks(&self) -> Result<(), Error> {
        self.0.tasks.open(&self.0).await
    }

    /// What servers say has changed, from now on.
    pub fn changes(&self) -> tokio::sync::broadcast::Receiver<Arc<Told>> {
        self.0.changes.listen()
    }

    /// Decide, run, record. The only path to a tool. Dropping the future cancels the call (and records that), and a call
    /// ends with its caller's key.
    ///
    /// `Ok(Outcome::Refused)` is a tool's own no, invalid arguments included; `Err` is the gateway's.
    pub async fn call(&self, call: &Call) -> Result<Outcome, Error> {
        let id = call.id;
        let whole = pin!(async {
            let mut trail = Trail::begin(self.0.clone(), call);
            let answer = {
                let work = pin!(self.0.answer(call, &mut trail));
                self.while_known(&call.caller, contained(id, work)).await
            };
            trail.settle(answer).await
        });
        // Recording has a barrier of its own: whoever waits for an answer gets one.
        contained(id, whole).await
    }
}

// For a process that shares its clients with no other.
fn fresh_key() -> [u8; 32] {
    let mut key = [0; 32];
    key[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    key[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    toolgate_core::canon::sha256(&key)
}

// Code of tools runs outside their `run` too: it parses arguments and names their effect.
// Pinned where it is: each move would hold it twice for as long as the call runs.
async fn contained(id: CallId, part: Pin<&mut impl Future<Output = Answer>>) -> Answer {
    AssertUnwindSafe(part).catch_unwind().await.unwrap_or_else(|_panic| {
        tracing::error!(target: "error", error_type = "panic", error_message = "a call panicked", context = %id);
        Err(Error::internal("a panic"))
    })
}

impl Inner {
    async fn answer(&self, call: &Call, trail: &mut Trail) -> Result<Outcome, Error> {
        let snapshot = self.snapshot.load_full();
        let rights = snapshot.rights(&call.caller);
        let found = snapshot.find(&call.caller, &rights, call.face, &call.tool, call.scope.as_ref());
        let stopped = matches!(&found.entries[..], [entry] if snapshot.stopped.contains(&entry.server));
        match admit::admit(self, &rights, &found, stopped, call, trail).await? {
            Admission::Answer(outcome) => Ok(outcome),
            Admission::Run(permit) => {
                let server = permit.entry.server.clone();
                let outcome = run::run(self, permit, trail).await?;
                let rewrites = call.scope.as_ref().is_none_or(|door| door.server().is_none())
                    && snapshot.catalogue.server(server.as_str()).is_some_and(|m| m.rewrites);
                match outcome {
                    Outcome::Done(output) if rewrites => {
                        catalogue::rewritten(output, |uri| match snapshot.catalogue.shown(&server, uri) {
                            Cow::Owned(other) => Some(other),
                            Cow::Borrowed(_) => None,
                        })
                        .map(Outcome::Done)
                    }
                    outcome => Ok(outcome),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
