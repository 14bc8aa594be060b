//! What an upstream says of its own accord, and the listening to it.
//!
//! `Notices` collects it from wherever it comes (any session, any stream) and holds it until `supervise` looks: bounded,
//! and a flood of the same costs what one of it costs. `Listener` keeps the upstream's word for changes: subscriptions of
//! legacy sessions, or one `subscriptions/listen` that is opened anew when what is wanted changes. Some legacy upstreams
//! tell of a change only in the session that made it, so a resource is subscribed to in the gateway's own session and in
//! those that its watchers call in.

use crate::conversation::{Conversation, Held as _, LISTEN, Lease, Legacy, Members, Modern, Owner, Session};
use crate::transport::Failure;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use toolgate_core::link::Change;

// Resources whose change is remembered at a time, of those that somebody watches. What is beyond is lost: a flood is not worth more.
const MAX_UPDATED: usize = 1024;
// Wait before a listening that ended is begun again, doubled each time.
const FIRST_WAIT: Duration = Duration::from_millis(500);
const LAST_WAIT: Duration = Duration::from_secs(60);

/// What was said since it was last looked.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub tools: bool,
    pub prompts: bool,
    pub resources: bool,
    pub updated: BTreeSet<String>,
    /// The lists are looked at because it is time.
    pub looks: bool,
    pub gone: Option<Failure>,
}

impl Told {
    /// Whether a list changed.
    pub fn lists(&self) -> bool {
        self.tools || self.prompts || self.resources
    }

    /// Lists that changed before.
    pub fn and(&mut self, before: Self) {
        self.tools |= before.tools;
        self.prompts |= before.prompts;
        self.resources |= before.resources;
    }
}

/// Where it is said.
#[derive(Default)]
pub(crate) struct Notices {
    told: Mutex<Told>,
    news: Notify,
    /// Resources that are watched, and by whom how often.
    watched: Mutex<BTreeMap<String, BTreeMap<Arc<str>, usize>>>,
}

impl Notices {
    fn lock(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn changed(&self, change: Change) {
        let mut told = self.lock();
        match change {
            Change::Tools => told.tools = true,
            Change::Prompts => told.prompts = true,
            Change::Resources => told.resources = true,
            Change::Resource(uri) => {
                if !self.is_watched(&uri) {
                    return;
                }
                if told.updated.len() < MAX_UPDATED {
                    told.updated.insert(uri);
                }
            }
        }
        drop(told);
        self.news.notify_one();
    }

    /// Once more, or once less, a caller watches a resource; says whether there is something else to subscribe to than before.
    pub fn watch(&self, uri: &str, caller: &Arc<str>, more: bool) -> bool {
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let by = watched.entry(uri.to_owned()).or_default();
        let count = by.get(caller).copied().unwrap_or(0);
        let now = if more { count + 1 } else { count.saturating_sub(1) };
        if now == 0 {
            by.remove(caller);
        } else {
            by.insert(caller.clone(), now);
        }
        if by.is_empty() {
            watched.remove(uri);
        }
        (count == 0) != (now == 0)
    }

    pub fn watched(&self) -> BTreeSet<String> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// What is to be subscribed to in a session of this owner.
    pub fn watched_in(&self, owner: &Owner) -> BTreeSet<String> {
        let watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        let of_owner =
            watched.iter().filter(|(_, by)| owner.caller().is_none_or(|caller| by.contains_key(caller)));
        of_owner.map(|(uri, _)| uri.clone()).collect()
    }

    fn is_watched(&self, uri: &str) -> bool {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner).contains_key(uri)
    }

    /// The connection is of no use any more.
    pub fn gone(&self, failure: Failure) {
        self.lock().gone.get_or_insert(failure);
        self.news.notify_one();
    }

    /// Ends when something was said.
    pub async fn news(&self) {
        self.news.notified().await;
    }

    pub fn take(&self) -> Told {
        std::mem::take(&mut *self.lock())
    }
}

/// Listens to one connection. Ends its listening when dropped.
pub(crate) struct Listener {
    conversation: Arc<Conversation>,
    task: Option<JoinHandle<()>>,
    /// The gateway's own session, while it is subscribed to something.
    lease: Option<Lease<Session>>,
    /// What a modern upstream is asked to tell of.
    subscribed: BTreeSet<String>,
    /// Whether there was nothing to listen to for a while.
    stopped: bool,
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Listener {
    pub fn new(conversation: Arc<Conversation>) -> Self {
        Self { conversation, task: None, lease: None, subscribed: BTreeSet::new(), stopped: false }
    }

    /// Hear of changes to these resources from now on, and of lists.
    pub async fn want(&mut self, uris: BTreeSet<String>) {
        match &*self.conversation.clone() {
            Conversation::Legacy(legacy) => self.subscribe(legacy, uris).await,
            // Its process was idle and ended: it is listened to again when there is one.
            Conversation::Modern(modern) if !modern.pool.is_awake() && uris.is_empty() => self.stop(),
            Conversation::Modern(modern) => {
                if self.stopped {
                    self.stopped = false;
                    modern.place.notices.changed(Change::Tools);
                }
                self.listen(uris);
            }
        }
    }

    async fn subscribe(&mut self, legacy: &Legacy, uris: BTreeSet<String>) {
        // Where its callers' sessions are cannot hold up the gateway's own.
        let sessions = legacy.pool.sessions();
        let others = sessions.iter().filter(|(owner, _)| *owner != Owner::Watcher);
        let others = others.map(|(owner, session)| session.watch(legacy.place.notices.watched_in(owner)));
        tokio::join!(self.subscribe_itself(legacy, uris), futures_util::future::join_all(others));
    }

    async fn subscribe_itself(&mut self, legacy: &Legacy, uris: BTreeSet<String>) {
        self.lease.take_if(|lease| lease.session.is_lost());
        if self.lease.is_none() && uris.is_empty() {
            return;
        }
        let lease = match self.lease.take() {
            Some(lease) => lease,
            None => match legacy.watcher().await {
                Ok(lease) => lease,
                Err(_) => return,
            },
        };
        let any = !uris.is_empty();
        lease.session.watch(uris).await;
        // A session that watches is not idle; one that does not may end.
        self.lease = any.then_some(lease);
    }

    fn stop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.stopped = true;
    }

    fn listen(&mut self, uris: BTreeSet<String>) {
        if self.task.is_some() && uris == self.subscribed {
            return;
        }
        if let Some(task) = self.task.take() {
            task.abort();
        }
        self.subscribed.clone_from(&uris);
        self.task = Some(tokio::spawn(listening(self.conversation.clone(), uris)));
    }
}

async fn listening(conversation: Arc<Conversation>, uris: BTreeSet<String>) {
    let Conversation::Modern(modern) = &*conversation else { return };
    let Some(wanted) = wanted(modern, &uris) else { return };
    // A process that somebody hears from is not idle; that its lists might change is not worth one.
    let _lease = if uris.is_empty() { None } else { modern.watcher().await.ok() };
    let mut wait = FIRST_WAIT;
    loop {
        let begun = tokio::time::Instant::now();
        // Refused once, it will be again: changes are then found by looking.
        if let Err(crate::conversation::Trouble::Refused(rpc)) = modern.query(LISTEN, wanted.clone()).await {
            tracing::info!(upstream = %modern.place.name, code = rpc.code, "it does not tell of changes");
            return;
        }
        // What happened meanwhile is not known.
        for change in [Change::Tools, Change::Prompts, Change::Resources] {
            modern.place.notices.changed(change);
        }
        if begun.elapsed() > LAST_WAIT {
            wait = FIRST_WAIT;
        }
        tokio::time::sleep(wait).await;
        wait = (wait * 2).min(LAST_WAIT);
    }
}

// What an upstream says it can tell of; nothing where it says that it tells of nothing.
fn wanted(modern: &Modern, uris: &BTreeSet<String>) -> Option<Members> {
    let tells = |list: &str| modern.face.capabilities[list]["listChanged"] == true;
    let mut notifications = json!({});
    for (list, key) in [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ] {
        if tells(list) {
            notifications[key] = true.into();
        }
    }
    if !uris.is_empty() && modern.face.capabilities["resources"]["subscribe"] == true {
        notifications["resourceSubscriptions"] = json!(uris);
    }
    let any = notifications.as_object().is_some_and(|wanted| !wanted.is_empty());
    any.then(|| Members::default().value("notifications", &notifications))
}
