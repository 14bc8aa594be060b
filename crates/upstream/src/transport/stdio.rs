//! A child process over its pipes: one JSON text a line, many requests at once.
//!
//! Made by whoever opens transports, from a `host::child::Plan`. One task writes, one reads (`read`), the table of what waits
//! is `pending`. Invariants: a request that waits gets its response or one failure; a child that does not read delays nobody
//! beyond the write deadline; what a child sends is kept within bounds. Dropped: the child's input is closed and the child ended.
//! Absent on purpose: what messages mean, starting again.

mod pending;
mod plan;
mod read;
#[cfg(test)]
mod tests;

pub use plan::{Ground, plan};

use super::{Exchange, Failure, Outgoing, Transport};
use pending::{Pending, Waiting};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use toolgate_core::Kind;
use toolgate_core::tool::BoxFuture;
use toolgate_host::child::{Child, Plan};

/// How long a message may wait to be read by the child.
const WRITE_DEADLINE: Duration = Duration::from_secs(10);
/// Messages that wait to be written.
const MOST_UNWRITTEN: usize = 64;

/// A running server.
pub struct Stdio {
    shared: Arc<Shared>,
    child: Arc<Child>,
    lines: mpsc::Sender<Write>,
    deadline: Duration,
    tasks: [JoinHandle<()>; 2],
}

struct Shared {
    name: String,
    pending: Mutex<Pending>,
    gone: watch::Sender<Option<Failure>>,
}

impl Shared {
    fn pending(&self) -> MutexGuard<'_, Pending> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// End everything that waits, for this reason or an earlier one.
    fn say_gone(&self, failure: Failure) {
        self.gone.send_if_modified(|gone| {
            let first = gone.is_none();
            gone.get_or_insert(failure);
            first
        });
        let failure = self.gone.borrow().clone();
        if let Some(failure) = failure {
            self.pending().fail_all(&failure);
        }
    }

    fn failure(&self, kind: Kind, what: impl std::fmt::Display) -> Failure {
        Failure {
            kind,
            message: format!("the server `{}` {what}", self.name),
            unseen: false,
            status: None,
            wait: None,
            body: None,
        }
    }
}

/// One line to write.
struct Write {
    line: bytes::Bytes,
    state: Arc<AtomicU8>,
    done: oneshot::Sender<std::io::Result<()>>,
}

// States of a line.
const WAITS: u8 = 0;
const BEGUN: u8 = 1;
const GIVEN_UP: u8 = 2;

impl Stdio {
    /// Start the server. `max_message`: bytes of the longest line that it may send.
    pub async fn start(plan: Plan, max_message: usize) -> Result<Arc<Self>, Failure> {
        Self::start_with(plan, max_message, WRITE_DEADLINE).await.map(Arc::new)
    }

    async fn start_with(plan: Plan, max_message: usize, deadline: Duration) -> Result<Self, Failure> {
        let shared = Arc::new(Shared {
            name: plan.name.clone(),
            pending: Mutex::default(),
            gone: watch::Sender::new(None),
        });
        let mut child = Child::start(plan).await.map_err(|e| Failure {
            kind: e.kind,
            message: e.message.into_owned(),
            unseen: true,
            status: None,
            wait: None,
            body: None,
        })?;
        let lost = || shared.failure(Kind::Internal, "has no pipes");
        let stdin = child.take_stdin().ok_or_else(lost)?;
        let stdout = child.take_stdout().ok_or_else(lost)?;
        let (lines, unwritten) = mpsc::channel(MOST_UNWRITTEN);
        let child = Arc::new(child);
        let tasks = [
            tokio::spawn(write(stdin, unwritten)),
            tokio::spawn(read::read(stdout, max_message, shared.clone(), child.clone())),
        ];
        Ok(Self { shared, child, lines, deadline, tasks })
    }

    /// Number of its process, for the operator.
    pub fn pid(&self) -> u32 {
        self.child.pid()
    }

    /// By what it is confined, in words.
    pub fn confinement(&self) -> &str {
        self.child.confinement()
    }

    /// Requests that wait for their response.
    pub fn waiting(&self) -> usize {
        self.shared.pending().len()
    }

    /// End it and wait until nothing of it is left.
    pub async fn stop(&self) {
        self.shared.say_gone(self.shared.failure(Kind::Unavailable, "was stopped"));
        self.tasks[0].abort();
        self.child.stop();
        self.child.ended().await;
    }

    async fn write(&self, message: &Outgoing) -> Result<(), Failure> {
        if let Some(failure) = self.shared.gone.borrow().clone() {
            return Err(Failure { unseen: true, ..failure });
        }
        if message.body.contains(&b'\n') {
            return Err(self.shared.failure(Kind::Internal, "was to be sent a message with a line break"));
        }
        let mut line = Vec::with_capacity(message.body.len() + 1);
        line.extend_from_slice(&message.body);
        line.push(b'\n');
        let state = Arc::new(AtomicU8::new(WAITS));
        let given_up = GiveUp(state.clone());
        let (done, written) = oneshot::channel();
        let write = Write { line: line.into(), state: state.clone(), done };
        let all = async {
            self.lines.send(write).await.ok()?;
            written.await.ok()?.ok()
        };
        let mut gone = self.shared.gone.subscribe();
        let done = tokio::select! {
            biased;
            done = tokio::time::timeout(self.deadline, all) => done,
            failed = gone.wait_for(Option::is_some) => {
                let failure = failed.ok().and_then(|f| f.clone());
                let failure = failure.unwrap_or_else(|| self.shared.failure(Kind::Unavailable, "is gone"));
                return Err(Failure { unseen: given_up.unseen(), ..failure });
            }
        };
        match done {
            Ok(Some(())) => Ok(()),
            Ok(None) => {
                // The pipe is broken: what ended the child is known in a moment.
                let known = tokio::time::timeout(self.deadline, gone.wait_for(Option::is_some)).await;
                let failure = known.ok().and_then(Result::ok).and_then(|f| f.clone());
                let unseen = given_up.unseen();
                let failure = failure.unwrap_or_else(|| {
                    self.shared.failure(Kind::Unavailable, "has closed its standard input")
                });
                Err(Failure { unseen, ..failure })
            }
            Err(_) => {
                let what = format_args!(
                    "did not read its standard input within {:?}: it is busy with something else, or hangs",
                    self.deadline
                );
                Err(Failure { unseen: given_up.unseen(), ..self.shared.failure(Kind::Timeout, what) })
            }
        }
    }
}

/// Gives a line up that nobody waits for any more; one that is begun is written to its end.
struct GiveUp(Arc<AtomicU8>);

impl GiveUp {
    /// Whether the child cannot have seen anything of it.
    fn unseen(&self) -> bool {
        self.0.compare_exchange(WAITS, GIVEN_UP, Ordering::AcqRel, Ordering::Acquire).is_ok()
    }
}

impl Drop for GiveUp {
    fn drop(&mut self) {
        self.unseen();
    }
}

async fn write(mut stdin: ChildStdin, mut lines: mpsc::Receiver<Write>) {
    while let Some(Write { line, state, done }) = lines.recv().await {
        if state.compare_exchange(WAITS, BEGUN, Ordering::AcqRel, Ordering::Acquire).is_err() {
            continue;
        }
        let written = stdin.write_all(&line).await;
        let broken = written.is_err();
        let _ = done.send(written);
        if broken {
            return;
        }
    }
}

impl Transport for Stdio {
    fn exchange<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            let Some(id) = message.id.clone() else {
                return Err(self.shared.failure(Kind::Internal, "was to be sent a request without an id"));
            };
            let listens = pending::listens(&message.body);
            let added = self.shared.pending().add(id.clone(), message.token.clone(), listens);
            let (number, messages) = added
                .map_err(|why| Failure { unseen: true, ..self.shared.failure(Kind::RateLimited, why) })?;
            // From here on: dropped, it is forgotten.
            let guard = Waiting { id, number, shared: Arc::downgrade(&self.shared) };
            self.write(&message).await?;
            Ok(Exchange { messages: messages.into(), session: None, status: 200, guard: Box::new(guard) })
        })
    }

    fn send<'a>(&'a self, message: Outgoing) -> BoxFuture<'a, Result<(), Failure>> {
        Box::pin(async move { self.write(&message).await })
    }

    fn unsolicited<'a>(&'a self, _: http::HeaderMap) -> BoxFuture<'a, Result<Exchange, Failure>> {
        Box::pin(async move {
            if let Some(failure) = self.shared.gone.borrow().clone() {
                return Err(failure);
            }
            let messages = self.shared.pending().listen();
            Ok(Exchange { messages: messages.into(), session: None, status: 200, guard: Box::new(()) })
        })
    }

    fn end<'a>(&'a self, _: http::HeaderMap) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }

    fn has_headers(&self) -> bool {
        false
    }

    fn gone<'a>(&'a self) -> BoxFuture<'a, Failure> {
        Box::pin(async move {
            let mut gone = self.shared.gone.subscribe();
            let failure = gone.wait_for(Option::is_some).await.ok().and_then(|f| f.clone());
            failure.unwrap_or_else(|| self.shared.failure(Kind::Unavailable, "is gone"))
        })
    }
}

impl Drop for Stdio {
    fn drop(&mut self) {
        // With them go its pipes and the last holds on the child.
        for task in &self.tasks {
            task.abort();
        }
        self.shared.say_gone(self.shared.failure(Kind::Unavailable, "was stopped"));
    }
}
