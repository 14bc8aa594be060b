//! `Tasks`: this process's tasks and the store behind them.
//!
//! One lock over one map decides every change of state, so that of an end and a cancellation one comes first and the
//! other changes nothing. A task that belongs to another caller or door is not there. No lock is held while the store
//! works.

use super::kept::{Kept, TaskStatus, TaskStore};
use crate::Inner;
use crate::mcp::link::Modern;
use crate::settings::Clients;
use jiff::Timestamp;
use serde_json::{Map, Value};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{Notify, OnceCell};
use toolgate_core::quota::{Full, Place, Quota};
use toolgate_core::{Caller, Error, Kind};

/// Bytes that the results of all tasks may have before no new task is taken.
const MOST_BYTES: usize = 256 << 20;
// How often what is past its time is forgotten.
const SWEEP: Duration = Duration::from_secs(60);

/// Who asks for a task, and at which door.
pub(super) struct Owner<'a> {
    pub caller: &'a Caller,
    pub scope: Option<&'a str>,
}

impl Owner<'_> {
    fn owns(&self, task: &Kept) -> bool {
        *task.caller == *self.caller.id && task.scope.as_deref() == self.scope
    }
}

/// A task that has not ended.
#[derive(Clone)]
pub(super) struct Live {
    /// Where its answers are.
    pub asks: Arc<Modern>,
    /// Questions without an answer, by key.
    pub questions: Map<String, Value>,
    /// Told when no question is open any more.
    pub answered: Arc<Notify>,
    pub cancelled: Arc<Notify>,
}

struct Held {
    _place: Place,
    task: Kept,
    live: Option<Live>,
    // The body of an ended task that the store does not have, or not yet.
    body: Option<String>,
}

/// A task as its caller sees it.
pub(super) struct Seen {
    pub task: Kept,
    pub body: String,
    pub questions: Map<String, Value>,
}

pub(crate) struct Tasks {
    store: Arc<dyn TaskStore>,
    node: String,
    places: Arc<Quota>,
    held: Mutex<HashMap<String, Held>>,
    opened: OnceCell<()>,
}

impl Tasks {
    pub fn new(store: Arc<dyn TaskStore>, node: &str, most: Clients) -> Self {
        let places = Quota::new(most.tasks_per_caller, most.tasks);
        Self { store, node: node.to_owned(), places, held: Mutex::default(), opened: OnceCell::new() }
    }

    pub(super) fn node(&self) -> &str {
        &self.node
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Take over what an earlier process left: what it was working on has failed, what is past its time is forgotten.
    /// Does something only once.
    pub async fn open(&self, inner: &Arc<Inner>) -> Result<(), Error> {
        let take_over = async {
            let now = super::now();
            for mut task in self.store.all().await? {
                if task.ends <= now {
                    self.store.delete(&task.id).await?;
                } else if task.node == self.node {
                    if !task.status.is_final() {
                        let body = super::lost();
                        (task.status, task.updated, task.bytes) = (TaskStatus::Failed, now, body.len());
                        self.store.put(&task, &body).await?;
                    }
                    let _place = self.places.keep(task.caller.as_str().into());
                    self.lock().insert(task.id.clone(), Held { _place, task, live: None, body: None });
                }
            }
            tokio::spawn(keep_sweeping(Arc::downgrade(inner)));
            Ok(())
        };
        self.opened.get_or_try_init(|| take_over).await.map(|_| ())
    }

    /// Whether this caller may have one more.
    pub(super) fn room(&self, caller: &Caller) -> Result<(), Error> {
        self.fits(&self.lock())?;
        self.places.room(caller).map_err(|full| no_room(Some(full)))
    }

    fn fits(&self, held: &HashMap<String, Held>) -> Result<(), Error> {
        let bytes: usize = held.values().map(|found| found.task.bytes).sum();
        if bytes >= MOST_BYTES { Err(no_room(None)) } else { Ok(()) }
    }

    /// Take a new task in; kept for good when this returns.
    pub(super) async fn create(&self, task: &Kept, caller: &Caller, live: Live) -> Result<(), Error> {
        {
            let mut held = self.lock();
            self.fits(&held)?;
            let _place = self.places.take(caller).map_err(|full| no_room(Some(full)))?;
            let entry = Held { _place, task: task.clone(), live: Some(live), body: None };
            held.insert(task.id.clone(), entry);
        }
        let unkept = Unkept { tasks: self, id: Some(&task.id) };
        self.store.put(task, "").await?;
        unkept.done();
        Ok(())
    }

    /// It waits for answers. False when it has ended meanwhile.
    pub(super) fn park(&self, id: &str, questions: Map<String, Value>) -> bool {
        let mut held = self.lock();
        let Some(Held { task, live: Some(live), .. }) = held.get_mut(id) else { return false };
        (task.status, task.updated) = (TaskStatus::InputRequired, super::now());
        live.questions = questions;
        true
    }

    /// It has ended, unless it had before.
    pub(super) async fn end(&self, id: &str, status: TaskStatus, body: String) {
        if let Some((task, _)) = self.close(id, status, &body) {
            self.keep(&task, &body).await;
        }
    }

    // Decide its end. `None` when it had ended before.
    fn close(&self, id: &str, status: TaskStatus, body: &str) -> Option<(Kept, Live)> {
        let mut held = self.lock();
        let found = held.get_mut(id)?;
        let live = found.live.take()?;
        let task = &mut found.task;
        (task.status, task.updated, task.bytes) = (status, super::now(), body.len());
        found.body = Some(body.to_owned());
        Some((task.clone(), live))
    }

    async fn keep(&self, task: &Kept, body: &str) {
        match self.store.put(task, body).await {
            Ok(()) => {
                if let Some(found) = self.lock().get_mut(&task.id) {
                    found.body = None;
                }
            }
            // It stays readable as long as this process lives.
            Err(error) => {
                tracing::error!(
                    target: "error",
                    error_type = "tasks",
                    error_message = %error.message(),
                    context = "the end of a task could not be stored",
                );
            }
        }
    }

    /// A task of this caller and door.
    pub(super) async fn see(&self, id: &str, owner: &Owner<'_>) -> Result<Seen, Error> {
        let now = super::now();
        if let Some(found) = self.lock().get(id) {
            if !owner.owns(&found.task) || found.task.ends <= now {
                return Err(no_such(id));
            }
            let seen =
                |body: &str, questions| Seen { task: found.task.clone(), body: body.to_owned(), questions };
            if let Some(live) = &found.live {
                return Ok(seen("", live.questions.clone()));
            }
            if let Some(body) = &found.body {
                return Ok(seen(body, Map::new()));
            }
        }
        match self.store.get(id).await? {
            Some((task, body)) if owner.owns(&task) && task.ends > now => {
                Ok(Seen { task, body, questions: Map::new() })
            }
            _ => Err(no_such(id)),
        }
    }

    /// Give answers to open questions; what answers none is ignored. A task that has ended takes none.
    pub(super) async fn answer(
        &self,
        id: &str,
        owner: &Owner<'_>,
        answers: Map<String, Value>,
    ) -> Result<(), Error> {
        let seen = self.here(id, owner).await?;
        if seen.task.status.is_final() {
            return Ok(());
        }
        let mut held = self.lock();
        let Some(Held { task, live: Some(live), .. }) = held.get_mut(id) else { return Ok(()) };
        for (key, answer) in answers {
            if live.questions.shift_remove(&key).is_some() {
                live.asks.answer(key, answer);
            }
        }
        if task.status == TaskStatus::InputRequired && live.questions.is_empty() {
            (task.status, task.updated) = (TaskStatus::Working, super::now());
            live.answered.notify_one();
        }
        Ok(())
    }

    /// End it now, unless it has ended.
    pub(super) async fn cancel(&self, id: &str, owner: &Owner<'_>) -> Result<(), Error> {
        self.here(id, owner).await?;
        if let Some((task, live)) = self.close(id, TaskStatus::Cancelled, "") {
            live.cancelled.notify_one();
            self.keep(&task, "").await;
        }
        Ok(())
    }

    // A task that this process can do something with, or that has ended.
    async fn here(&self, id: &str, owner: &Owner<'_>) -> Result<Seen, Error> {
        let seen = self.see(id, owner).await?;
        if seen.task.status.is_final() || seen.task.node == self.node {
            return Ok(seen);
        }
        let why = "this task runs in another process of this gateway; ask there, where it was made";
        Err(Error::new(Kind::Unavailable, why))
    }

    async fn sweep(&self, now: Timestamp) {
        let mut past = Vec::new();
        self.lock().retain(|id, found| {
            let stays = found.task.ends > now;
            if !stays {
                past.push(id.clone());
                if let Some(live) = &found.live {
                    live.cancelled.notify_one();
                }
            }
            stays
        });
        for id in past {
            // What stays behind in the store is read by nobody, and deleted by the next start.
            if let Err(error) = self.store.delete(&id).await {
                tracing::warn!(error = %error.message(), "a task past its time could not be deleted");
            }
        }
    }
}

// A task that is held before the store has it; let go again when the store fails or the request is dropped.
struct Unkept<'a> {
    tasks: &'a Tasks,
    id: Option<&'a str>,
}

impl Unkept<'_> {
    fn done(mut self) {
        self.id = None;
    }
}

impl Drop for Unkept<'_> {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.tasks.lock().remove(id);
        }
    }
}

fn no_room(full: Option<Full>) -> Error {
    let most = match full {
        Some(Full::Own(own)) => format!("you have {own}, the most for one caller"),
        Some(Full::All(all)) => format!("there are {all}, the most that this gateway holds"),
        None => "the results of those there are take all the room".to_owned(),
    };
    let why = format!(
        "there is no room for another task ({most}, with those that ended and are not forgotten yet); try again later"
    );
    Error::new(Kind::RateLimited, why).retry_after(SWEEP)
}

/// The same words for a task that is not there and one of somebody else.
fn no_such(id: &str) -> Error {
    let shown: String = id.chars().take(64).collect();
    Error::new(Kind::NotFound, format!("there is no task {shown:?} here; it may be past its time"))
}

async fn keep_sweeping(inner: Weak<Inner>) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(inner) = inner.upgrade() else { return };
        inner.tasks.sweep(super::now()).await;
    }
}
