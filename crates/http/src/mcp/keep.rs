//! Sessions beyond this process: written behind, read when a client comes back after a restart.
//!
//! Called by `session` only. A session is queued and written at most once a second, with others, never in the way of an
//! answer; what a crash takes is at most that. Only its end is written before a client is told of it. One that ends within that time is not written at all. The store sees a hash of a session's id, which opens nothing. A session
//! that has ended is never read again, also while its end still waits to be written.

use super::session::{Limits, Session};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::Instant;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Error, Kind, canon};

/// SHA-256 of the id that a client shows.
pub type SessionHash = [u8; 32];

/// A session as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    pub id: SessionHash,
    /// Id of the caller whose it is; whoever else asks is told that there is no such session.
    pub caller: String,
    /// The server of the door it was opened at; `None` is the door of all.
    pub scope: Option<String>,
    /// JSON, at most [`MAX_STATE`] bytes.
    pub state: String,
    pub last_used: SystemTime,
}

/// What a sweep leaves.
#[derive(Debug, Clone, Copy)]
pub struct Leave {
    pub used_since: SystemTime,
    /// Sessions of one caller, the last used.
    pub per_caller: usize,
    /// Sessions of all callers, the last used.
    pub total: usize,
}

/// Keeps sessions of legacy clients beyond this process.
pub trait SessionStore: Send + Sync {
    /// Write sessions, all or none.
    fn save(&self, sessions: Vec<Kept>) -> BoxFuture<'_, Result<(), Error>>;
    fn load(&self, id: SessionHash) -> BoxFuture<'_, Result<Option<Kept>, Error>>;
    /// Forget sessions; those that are not there are no error.
    fn delete(&self, ids: Vec<SessionHash>) -> BoxFuture<'_, Result<(), Error>>;
    /// Forget what is old, or too much.
    fn sweep(&self, leave: Leave) -> BoxFuture<'_, Result<(), Error>>;
}

/// Largest state of a session that is kept, in bytes; a larger one ends with the process.
pub const MAX_STATE: usize = 256 << 10;
// Between two writings.
const PAUSE: Duration = Duration::from_secs(1);
// Sessions written at once.
const AT_ONCE: usize = 256;
// Ends that wait to be written; beyond it they are left to the sweep.
const MAX_WAITING: usize = 100_000;
// Writings that failed in a row before each session is written for itself.
const TRIES: u32 = 3;
// Sessions read at once: whoever shows ids that nobody has holds up few others.
const READERS: usize = 16;
// A client waits this long for its session; a shutdown for what is left to write.
const PATIENCE: Duration = Duration::from_secs(5);

enum Job {
    /// To be written for the first time: nothing of it is in the store.
    New(Arc<Session>),
    Save(Arc<Session>),
    Delete,
}

#[derive(Default)]
struct Jobs {
    waiting: HashMap<SessionHash, Job>,
    writing: HashMap<SessionHash, Job>,
}

pub(super) struct Keeper {
    store: Arc<dyn SessionStore>,
    jobs: Mutex<Jobs>,
    news: Notify,
    /// Told when a writing has ended.
    rested: Notify,
    /// Writings that failed in a row.
    failures: AtomicU32,
    // One at a time reads a session, so that none is made twice, or made again while it ends; each by its id.
    reading: [Semaphore; READERS],
}

pub(super) fn hash(id: &str) -> SessionHash {
    canon::sha256(id.as_bytes())
}

impl Keeper {
    pub fn new(store: Arc<dyn SessionStore>) -> Arc<Self> {
        Arc::new(Self {
            store,
            jobs: Mutex::default(),
            news: Notify::new(),
            rested: Notify::new(),
            failures: AtomicU32::new(0),
            reading: std::array::from_fn(|_| Semaphore::new(1)),
        })
    }

    fn lock(&self) -> MutexGuard<'_, Jobs> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Write this session, which the store does not have, soon.
    pub fn create(&self, session: Arc<Session>) {
        self.put(hash(&session.id), Job::New(session));
    }

    /// Write this session soon. Not to be called for one that has ended.
    pub fn save(&self, session: Arc<Session>) {
        self.put(hash(&session.id), Job::Save(session));
    }

    /// Forget this session soon; from now on it is not read.
    pub fn delete(&self, id: &str) {
        self.put(hash(id), Job::Delete);
    }

    /// Wait until the store has forgotten this session, of which `delete` was called: a client may rely on its end from
    /// then on. `Unavailable` when that cannot be written; it is tried again.
    pub async fn forgotten(&self, id: &str) -> Result<(), Error> {
        let id = hash(id);
        let written = async {
            loop {
                // A writing that has begun may still save it.
                let rested = self.rested.notified();
                if !self.lock().writing.contains_key(&id) {
                    break;
                }
                rested.await;
            }
            if self.is_ending(&id) {
                self.store.delete(vec![id]).await?;
                self.lock().waiting.remove(&id);
            }
            Ok(())
        };
        match tokio::time::timeout(PATIENCE, written).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(unwritten(Some(&error))),
            Err(_) => Err(unwritten(None)),
        }
    }

    fn put(&self, id: SessionHash, job: Job) {
        let mut jobs = self.lock();
        match (jobs.waiting.get(&id), &job) {
            // Of one that ends before it was written there is nothing to forget.
            (Some(Job::New(_)), Job::Delete) => {
                jobs.waiting.remove(&id);
                return;
            }
            (Some(Job::New(_)), _) => return,
            (None, _) if jobs.waiting.len() >= MAX_WAITING => return,
            _ => jobs.waiting.insert(id, job),
        };
        drop(jobs);
        self.news.notify_one();
    }

    /// How many wait, and for how many there is room now.
    #[cfg(test)]
    pub fn waiting(&self) -> (usize, usize) {
        let jobs = self.lock();
        (jobs.waiting.len() + jobs.writing.len(), jobs.waiting.capacity())
    }

    fn is_ending(&self, id: &SessionHash) -> bool {
        let jobs = self.lock();
        [&jobs.waiting, &jobs.writing].iter().any(|jobs| matches!(jobs.get(id), Some(Job::Delete)))
    }

    /// Wait for the turn to read this session.
    pub async fn turn(&self, id: &str) -> Result<SemaphorePermit<'_>, Error> {
        let reader = usize::from(hash(id)[0]) % READERS;
        self.reading[reader].acquire().await.map_err(Error::internal)
    }

    /// The session of this id. `Unavailable` when the store does not say.
    pub async fn load(&self, id: &str) -> Result<Option<Kept>, Error> {
        let id = hash(id);
        if self.is_ending(&id) {
            return Ok(None);
        }
        let unavailable = || Error::new(Kind::Unavailable, "sessions cannot be read now; try again");
        match tokio::time::timeout(PATIENCE, self.store.load(id)).await {
            Ok(Ok(kept)) => Ok(kept),
            Ok(Err(error)) => {
                tracing::warn!(%error, "a session could not be read");
                Err(unavailable().retry_after(PAUSE))
            }
            Err(_) => Err(unavailable().retry_after(PAUSE)),
        }
    }

    /// Write what waits, and sweep now and then, for as long as this is polled.
    pub async fn run(&self, limits: Limits) {
        let every = (limits.idle / 4).clamp(PAUSE, Duration::from_secs(3600));
        let mut next_sweep = Instant::now();
        loop {
            tokio::select! {
                () = self.news.notified() => self.write_all().await,
                () = tokio::time::sleep_until(next_sweep) => {
                    next_sweep = Instant::now() + every;
                    let used_since = SystemTime::now() - kept_for(limits.idle);
                    let leave = Leave { used_since, per_caller: limits.per_caller, total: limits.total };
                    if let Err(error) = self.store.sweep(leave).await {
                        tracing::warn!(%error, "old sessions could not be removed");
                    }
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Write what waits now, before the end.
    pub async fn flush(&self) {
        let all = async {
            loop {
                let before = {
                    let mut jobs = self.lock();
                    // What was being written when the writing stopped.
                    let unsure: Vec<_> = jobs.writing.drain().collect();
                    for (id, job) in unsure {
                        jobs.waiting.entry(id).or_insert(job);
                    }
                    jobs.waiting.len()
                };
                if before == 0 {
                    return true;
                }
                if !self.write().await {
                    return false;
                }
            }
        };
        if !matches!(tokio::time::timeout(PATIENCE, all).await, Ok(true)) {
            tracing::warn!(
                "not every session could be written before the end; their clients will begin new ones"
            );
        }
    }

    // All that waits now, so that no more than comes within a pause ever does; what comes meanwhile is for the next round.
    async fn write_all(&self) {
        let mut left = self.lock().waiting.len();
        while left > 0 && self.write().await {
            left = left.saturating_sub(AT_ONCE);
        }
        let mut jobs = self.lock();
        // Room for the most that ever waited is not kept.
        let Jobs { waiting, writing } = &mut *jobs;
        for table in [waiting, writing] {
            table.shrink_to(AT_ONCE.max(2 * table.len()));
        }
    }

    // Some of what waits. Whether it could be written; what could not waits on.
    async fn write(&self) -> bool {
        let (mut saves, mut deletes) = (Vec::new(), Vec::new());
        {
            let mut jobs = self.lock();
            let some: Vec<_> = jobs.waiting.keys().take(AT_ONCE).copied().collect();
            for id in some {
                let Some(job) = jobs.waiting.remove(&id) else { continue };
                let job = match job {
                    // From here on it may be in the store, also when the writing fails.
                    Job::New(session) | Job::Save(session) => {
                        saves.push(session.clone());
                        Job::Save(session)
                    }
                    Job::Delete => {
                        deletes.push(id);
                        Job::Delete
                    }
                };
                jobs.writing.insert(id, job);
            }
        }
        let mut kept = Vec::new();
        for session in saves {
            match session.kept() {
                Some(state) => kept.push(state),
                None => {
                    let id = hash(&session.id);
                    self.lock().writing.insert(id, Job::Delete);
                    deletes.push(id);
                }
            }
        }
        // One that fails does not keep the other from being done.
        let saved = self.save_all(kept).await;
        let deleted = if deletes.is_empty() { Ok(()) } else { self.store.delete(deletes).await };
        let mut jobs = self.lock();
        let done: Vec<_> = jobs.writing.drain().collect();
        for (id, job) in done {
            let failed = match job {
                Job::New(_) | Job::Save(_) => saved.is_err(),
                Job::Delete => deleted.is_err(),
            };
            if failed {
                jobs.waiting.entry(id).or_insert(job);
            }
        }
        if !jobs.waiting.is_empty() {
            self.news.notify_one();
        }
        drop(jobs);
        self.rested.notify_waiters();
        let well = saved.is_ok() && deleted.is_ok();
        for error in [saved.err(), deleted.err()].into_iter().flatten() {
            tracing::warn!(%error, "sessions could not be written; trying again");
        }
        well
    }

    // All at once. When that has failed some times each for itself, so that one which the store will never take does not
    // keep the others from being written; it is let go of, when the store is well otherwise.
    async fn save_all(&self, kept: Vec<Kept>) -> Result<(), Error> {
        if kept.is_empty() {
            return Ok(());
        }
        let Err(error) = self.store.save(kept.clone()).await else {
            self.failures.store(0, Relaxed);
            return Ok(());
        };
        if self.failures.fetch_add(1, Relaxed) + 1 < TRIES {
            return Err(error);
        }
        let mut refused = Vec::new();
        for one in &kept {
            if self.store.save(vec![one.clone()]).await.is_err() {
                refused.push(one.id);
            }
        }
        if refused.len() == kept.len() && self.store.load(kept[0].id).await.is_err() {
            return Err(error);
        }
        self.failures.store(0, Relaxed);
        tracing::warn!(%error, sessions = refused.len(), "sessions that the store does not take end with this process");
        Ok(())
    }
}

fn unwritten(error: Option<&Error>) -> Error {
    tracing::warn!(?error, "the end of a session could not be written");
    let why = "the session has ended here, but that cannot be written now: it may come back if the gateway restarts \
               before that; the gateway goes on trying";
    Error::new(Kind::Unavailable, why).retry_after(PAUSE)
}

/// How long a session is kept after its last use as it was written, which may be up to a quarter of `idle` old.
pub(super) fn kept_for(idle: Duration) -> Duration {
    idle + idle / 4
}
