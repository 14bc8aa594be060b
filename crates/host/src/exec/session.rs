//! A long process: started, read in pages, written to, ended.
//!
//! One task owns the child and ends it; two read its output into the ring; one writes its input. A `Session` is a handle
//! on what they share.

use super::child::Child;
use super::ring::Ring;
use super::run::closed;
use super::{OutputPage, SessionInfo};
use crate::HostError;
use rustix::process::Signal;
use std::os::unix::process::ExitStatusExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::ChildStdin;
use tokio::sync::{mpsc, oneshot, watch};
use toolgate_core::Kind;

/// Between SIGTERM and SIGKILL.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// How long after the end of a child its output is still waited for.
pub(super) const DRAIN: Duration = Duration::from_secs(1);
/// No session lives longer.
pub(super) const LIFETIME: Duration = Duration::from_secs(24 * 3600);
const MAX_INPUT: usize = 1 << 20;
const INPUT_TIMEOUT: Duration = Duration::from_secs(10);
const MAX_WAIT: Duration = Duration::from_secs(600);

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Order {
    Live,
    Terminate,
    Kill,
}

struct Ended {
    exit_code: Option<i32>,
    signal: Option<i32>,
    runtime: Duration,
}

type Input = (String, oneshot::Sender<std::io::Result<()>>);

struct Shared {
    id: u64,
    owner: String,
    pid: u32,
    command: String,
    confinement: String,
    started: Instant,
    ring: Mutex<Ring>,
    ended: Mutex<Option<Ended>>,
    /// Counts what happened: output and the end.
    news: watch::Sender<u64>,
    /// The count when output was last read.
    seen: AtomicU64,
    order: watch::Sender<Order>,
    input: mpsc::Sender<Input>,
}

/// A long process. Cheap to clone.
#[derive(Clone)]
pub struct Session(Arc<Shared>);

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    pub(super) fn begin(
        id: u64,
        owner: &str,
        command: String,
        mut child: Child,
        closing: watch::Receiver<bool>,
    ) -> Self {
        let (input, inputs) = mpsc::channel(16);
        let (order, orders) = watch::channel(Order::Live);
        let session = Self(Arc::new(Shared {
            id,
            owner: owner.to_owned(),
            pid: child.pid.unsigned_abs(),
            command,
            confinement: child.confinement.clone(),
            started: Instant::now(),
            ring: Mutex::default(),
            ended: Mutex::default(),
            news: watch::Sender::new(0),
            seen: AtomicU64::new(0),
            order,
            input,
        }));
        tokio::spawn(write(child.stdin.take(), inputs));
        let readers = [
            tokio::spawn(read(child.stdout.take(), 0, session.clone())),
            tokio::spawn(read(child.stderr.take(), 1, session.clone())),
        ];
        tokio::spawn(session.clone().live(child, readers, orders, closing));
        session
    }

    async fn live(
        self,
        mut child: Child,
        readers: [tokio::task::JoinHandle<()>; 2],
        mut orders: watch::Receiver<Order>,
        mut closing: watch::Receiver<bool>,
    ) {
        let mut deadline = tokio::time::Instant::now() + LIFETIME;
        loop {
            tokio::select! {
                () = child.exited() => break,
                () = closed(&mut closing) => break,
                () = tokio::time::sleep_until(deadline) => break,
                changed = orders.changed() => match (changed, *orders.borrow_and_update()) {
                    (Ok(()), Order::Terminate) => {
                        child.signal(Signal::TERM);
                        deadline = tokio::time::Instant::now() + GRACE;
                    }
                    (Ok(()), Order::Live) => {}
                    _ => break,
                },
            }
        }
        let status = child.end().await;
        let drained = tokio::time::Instant::now() + DRAIN;
        for mut reader in readers {
            if tokio::time::timeout_at(drained, &mut reader).await.is_err() {
                reader.abort();
            }
        }
        lock(&self.0.ring).close();
        *lock(&self.0.ended) = Some(Ended {
            exit_code: status.and_then(|s| s.code()),
            signal: status.and_then(|s| s.signal()),
            runtime: self.0.started.elapsed(),
        });
        self.0.news.send_modify(|n| *n += 1);
    }

    pub fn id(&self) -> u64 {
        self.0.id
    }

    /// How it is confined, in words.
    pub fn confinement(&self) -> &str {
        &self.0.confinement
    }

    pub(super) fn belongs_to(&self, owner: &str) -> bool {
        self.0.owner == owner
    }

    pub(super) fn running(&self) -> bool {
        lock(&self.0.ended).is_none()
    }

    pub fn info(&self) -> SessionInfo {
        let (lines, first_kept) = {
            let ring = lock(&self.0.ring);
            (ring.total(), ring.first())
        };
        let ended = lock(&self.0.ended);
        let runtime = ended.as_ref().map_or_else(|| self.0.started.elapsed(), |e| e.runtime);
        SessionInfo {
            id: self.0.id,
            pid: self.0.pid,
            command: self.0.command.clone(),
            running: ended.is_none(),
            exit_code: ended.as_ref().and_then(|e| e.exit_code),
            signal: ended.as_ref().and_then(|e| e.signal),
            runtime_ms: u64::try_from(runtime.as_millis()).unwrap_or(u64::MAX),
            lines,
            first_kept,
        }
    }

    /// Lines from `from` (negative: counted from the end), at most `max`, waiting up to `wait` for something new. An
    /// unfinished last line (a prompt) is given as it stands, and again when `next` is asked for.
    pub async fn read(&self, from: i64, max: usize, wait: Duration) -> OutputPage {
        let mut news = self.0.news.subscribe();
        let deadline = tokio::time::Instant::now() + wait.min(MAX_WAIT);
        let mut waited = false;
        loop {
            let count = *news.borrow_and_update();
            let unseen = count > self.0.seen.load(Ordering::Relaxed);
            let found = {
                let ring = lock(&self.0.ring);
                ring.has(from) || (ring.unfinished() && unseen)
            };
            if found || !self.running() || wait.is_zero() {
                break;
            }
            waited = true;
            if tokio::time::timeout_at(deadline, news.changed()).await.is_err() {
                break;
            }
        }
        // What a program writes at once may arrive in pieces: give it a moment of quiet.
        for _ in 0..10 {
            let quiet = deadline.min(tokio::time::Instant::now() + Duration::from_millis(15));
            if !waited || !self.running() || tokio::time::timeout_at(quiet, news.changed()).await.is_err() {
                break;
            }
        }
        let count = *news.borrow_and_update();
        self.0.seen.fetch_max(count, Ordering::Relaxed);
        let page = lock(&self.0.ring).page(from, max);
        OutputPage {
            lines: page.lines,
            from: page.from,
            next: page.next,
            dropped: page.dropped,
            info: self.info(),
        }
    }

    /// Write to its standard input; a last character U+0004 (Ctrl-D) closes it. At most 1 MiB at once.
    pub async fn send(&self, text: &str) -> Result<(), HostError> {
        let gone = || HostError::new(Kind::Conflict, "the process has ended or its input is closed");
        if text.len() > MAX_INPUT {
            return Err(HostError::new(Kind::TooLarge, "at most 1 MiB can be sent at once"));
        }
        if !self.running() {
            return Err(gone());
        }
        let (done, answer) = oneshot::channel();
        let written = async {
            self.0.input.send((text.to_owned(), done)).await.map_err(|_| gone())?;
            answer.await.map_err(|_| gone())?.map_err(|_| gone())
        };
        let late = |_| HostError::new(Kind::Timeout, "the process does not read its input");
        tokio::time::timeout(INPUT_TIMEOUT, written).await.map_err(late)?
    }

    /// SIGTERM to its process group, SIGKILL after two seconds; `force`: SIGKILL at once.
    pub async fn terminate(&self, force: bool) -> SessionInfo {
        let mut news = self.0.news.subscribe();
        let order = if force { Order::Kill } else { Order::Terminate };
        self.0.order.send_if_modified(|o| {
            let stronger = order > *o;
            *o = (*o).max(order);
            stronger
        });
        let ended = async {
            while self.running() {
                if news.changed().await.is_err() {
                    break;
                }
            }
        };
        let _ = tokio::time::timeout(GRACE + DRAIN * 3, ended).await;
        self.info()
    }
}

async fn read(stream: Option<impl AsyncRead + Unpin>, number: usize, session: Session) {
    let Some(mut stream) = stream else { return };
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(n @ 1..) = stream.read(&mut buffer).await {
        lock(&session.0.ring).push(number, &buffer[..n]);
        session.0.news.send_modify(|n| *n += 1);
    }
}

async fn write(stdin: Option<ChildStdin>, mut inputs: mpsc::Receiver<Input>) {
    let Some(mut stdin) = stdin else { return };
    while let Some((text, done)) = inputs.recv().await {
        let last = text.ends_with('\u{4}');
        let bytes = text.strip_suffix('\u{4}').unwrap_or(&text).as_bytes();
        let written = async {
            stdin.write_all(bytes).await?;
            stdin.flush().await
        };
        let failed = {
            let result = written.await;
            let failed = result.is_err();
            let _ = done.send(result);
            failed
        };
        if last || failed {
            return;
        }
    }
}
