//! `Kept`: a task as it outlives its request, and `TaskStore`, where tasks are kept.
//!
//! The engine writes a task when it is made (before the client hears of it) and when it has ended; what happens in
//! between is in memory only, because nothing can go on with it in another process. The binary keeps tasks in its
//! database; `InMemory` is for engines that keep nothing.

use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use toolgate_core::Error;
use toolgate_core::tool::BoxFuture;

/// How far a task is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TaskStatus {
    Working,
    InputRequired,
    Completed,
    Failed,
    Cancelled,
}

impl TaskStatus {
    const ALL: [Self; 5] =
        [Self::Working, Self::InputRequired, Self::Completed, Self::Failed, Self::Cancelled];

    /// As it is written in the protocol.
    pub fn label(self) -> &'static str {
        match self {
            Self::Working => "working",
            Self::InputRequired => "input_required",
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.label() == label)
    }

    /// Nothing changes it any more.
    pub fn is_final(self) -> bool {
        matches!(self, Self::Completed | Self::Failed | Self::Cancelled)
    }
}

/// What is known of a task beside its result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: String,
    /// Id of the caller it belongs to.
    pub caller: String,
    /// The door it was made at: one server's, or that of all.
    pub scope: Option<String>,
    /// The journal's node that runs it. Of two processes only one can be that node at a time.
    pub node: String,
    pub status: TaskStatus,
    pub created: Timestamp,
    pub updated: Timestamp,
    /// When it is forgotten.
    pub ends: Timestamp,
    /// Length of its body.
    pub bytes: usize,
}

/// Keeps tasks. A body is the JSON text of a result (`completed`) or error (`failed`), else empty.
pub trait TaskStore: Send + Sync {
    /// Keep it, in place of one of the same id; safe from a crash when this returns.
    fn put<'a>(&'a self, task: &'a Kept, body: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(Kept, String)>, Error>>;

    /// Forget it, if it is there.
    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Every task, without bodies.
    fn all(&self) -> BoxFuture<'_, Result<Vec<Kept>, Error>>;
}

/// Tasks that end with the process.
#[derive(Default)]
pub(crate) struct InMemory(Mutex<HashMap<String, (Kept, String)>>);

impl InMemory {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, (Kept, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now<'a, T: Send + 'a>(value: T) -> BoxFuture<'a, Result<T, Error>> {
    Box::pin(std::future::ready(Ok(value)))
}

impl TaskStore for InMemory {
    fn put<'a>(&'a self, task: &'a Kept, body: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.lock().insert(task.id.clone(), (task.clone(), body.to_owned()));
        now(())
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(Kept, String)>, Error>> {
        now(self.lock().get(id).cloned())
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        self.lock().remove(id);
        now(())
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Kept>, Error>> {
        now(self.lock().values().map(|(task, _)| task.clone()).collect())
    }
}
