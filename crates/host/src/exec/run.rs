//! `Exec::run`, `start`, `shutdown` and what they share: a slot, a start on the thread, an end for certain.

use super::capture::Capture;
use super::child::Child;
use super::session::{DRAIN, GRACE, LIFETIME, Session};
use super::spawn::{Job, Start};
use super::{Command, Exec, Finished};
use crate::HostError;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{oneshot, watch};
use toolgate_core::Kind;

/// Live sessions of one owner.
const MAX_LIVE: usize = 16;
/// Ended sessions whose output is kept, of all owners.
const MAX_ENDED: usize = 50;
const MAX_OUTPUT: usize = 64 << 20;

impl Exec {
    /// Run to the end. Dropping the future kills the whole process group.
    pub async fn run(&self, command: Command) -> Result<Finished, HostError> {
        let max = command.max_output.min(MAX_OUTPUT);
        let timeout = command.timeout.min(LIFETIME);
        let mut closing = self.closing.subscribe();
        let mut child = self.spawn(command, false, timeout).await?;
        let started = Instant::now();
        let stdout = Capture::start(child.stdout.take(), max);
        let stderr = Capture::start(child.stderr.take(), max);
        let timed_out = tokio::select! {
            biased;
            () = closed(&mut closing) => None,
            ended = tokio::time::timeout(timeout, child.exited()) => Some(ended.is_err()),
        };
        let Some(timed_out) = timed_out else {
            child.end().await;
            return Err(shutting_down());
        };
        if timed_out {
            child.signal(Signal::TERM);
            let _ = tokio::time::timeout(GRACE, child.exited()).await;
        }
        let (confined, confinement) = (child.confined, std::mem::take(&mut child.confinement));
        let status = child.end().await;
        let duration = started.elapsed();
        let drained = tokio::time::Instant::now() + DRAIN;
        let (stdout, cut_out) = stdout.finish(drained).await;
        let (stderr, cut_err) = stderr.finish(drained).await;
        Ok(Finished {
            exit_code: status.and_then(|s| s.code()),
            signal: status.and_then(|s| s.signal()),
            stdout,
            stderr,
            cut: cut_out + cut_err,
            timed_out,
            duration,
            confined,
            confinement,
        })
    }

    /// Start a long process; its output is kept in a ring and read in pages.
    pub async fn start(&self, command: Command, owner: &str) -> Result<Session, HostError> {
        let full = || {
            HostError::new(
                Kind::RateLimited,
                format!("{MAX_LIVE} of your processes are running; end one of them first"),
            )
        };
        if self.live(owner) >= MAX_LIVE {
            return Err(full());
        }
        let line = command.line();
        let child = self.spawn(command, true, LIFETIME).await?;
        let mut sessions = self.lock();
        // Others may have started meanwhile.
        if sessions.iter().filter(|s| s.belongs_to(owner) && s.running()).count() >= MAX_LIVE {
            return Err(full());
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let session = Session::begin(id, owner, line, child, self.closing.subscribe());
        sessions.push(session.clone());
        let mut over = sessions.iter().filter(|s| !s.running()).count().saturating_sub(MAX_ENDED);
        sessions.retain(|s| {
            let drop = over > 0 && !s.running();
            over -= usize::from(drop);
            !drop
        });
        Ok(session)
    }

    fn live(&self, owner: &str) -> usize {
        self.lock().iter().filter(|s| s.belongs_to(owner) && s.running()).count()
    }

    /// A running or just finished process started by `owner`. One of somebody else's is not found.
    pub fn session(&self, id: u64, owner: &str) -> Option<Session> {
        self.lock().iter().find(|s| s.id() == id && s.belongs_to(owner)).cloned()
    }

    /// Sessions of `owner`, oldest first.
    pub fn sessions(&self, owner: &str) -> Vec<Session> {
        self.lock().iter().filter(|s| s.belongs_to(owner)).cloned().collect()
    }

    /// Kill every child (shutdown), and start no other. Returns when they are gone, after five seconds at most.
    pub async fn shutdown(&self) {
        self.closing.send_replace(true);
        let all = u32::try_from(self.ground.rules.max_children).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(Duration::from_secs(5), self.slots.acquire_many(all)).await;
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn spawn(&self, command: Command, stdin: bool, lifetime: Duration) -> Result<Child, HostError> {
        if *self.closing.borrow() {
            return Err(shutting_down());
        }
        let command = self.without_filters(command).await?;
        let permit = self.slots.clone().try_acquire_owned().map_err(|_| {
            HostError::new(
                Kind::RateLimited,
                format!(
                    "{} child processes are running; try again when one has ended",
                    self.ground.rules.max_children
                ),
            )
        })?;
        let (answer, started) = oneshot::channel();
        let start = Start {
            command,
            stdin,
            lifetime,
            permit,
            runtime: tokio::runtime::Handle::current(),
            jobs: self.jobs.clone(),
        };
        let gone = || HostError::new(Kind::Internal, "the thread that starts children is gone");
        self.jobs.send(Job::Start(Box::new(start), answer)).map_err(|_| gone())?;
        started.await.map_err(|_| gone())?
    }
}

/// Shutdown has begun, or `Exec` is gone and nobody could end a child later.
pub(super) async fn closed(closing: &mut watch::Receiver<bool>) {
    // What this returns holds a lock and must not be kept.
    let _ = closing.wait_for(|c| *c).await.is_ok();
}

fn shutting_down() -> HostError {
    HostError::new(Kind::Unavailable, "the gateway is shutting down")
}
