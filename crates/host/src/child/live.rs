//! The life of a child: one task that waits for its end, or brings it about, and reports it when nothing is left.

use super::channel::{self, Word};
use super::group::Group;
use super::home::Hold;
use super::proxy::Proxy;
use super::runfile::RunFile;
use super::usage::Usage;
use crate::exec::child as shared;
use rustix::process::Signal;
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::io::unix::AsyncFd;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// How long after the end its last words are waited for.
const DRAIN: Duration = Duration::from_secs(1);
/// Between two looks at what a child takes.
const LOOK: Duration = Duration::from_secs(1);
/// How long the process that keeps a child may take to end all that it keeps.
const KEEPER: Duration = Duration::from_secs(3);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Live,
    Stop,
    Kill,
}

/// How a child ended.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ended {
    pub code: Option<i32>,
    pub signal: Option<i32>,
    /// The kernel ended it for want of memory, as far as can be known.
    pub out_of_memory: bool,
    /// We ended it.
    pub asked: bool,
    /// The rule that it broke, for which we ended it.
    pub broke: Option<String>,
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(rule) = &self.broke {
            return write!(f, "the gateway ended it: {rule}");
        }
        match (self.out_of_memory, self.code, self.signal) {
            (true, ..) => f.write_str("it was ended because it used more memory than it may"),
            (_, Some(127), _) => {
                f.write_str("it exited with status 127 (usually: a program that it needs is not there)")
            }
            (_, Some(code), _) => write!(f, "it exited with status {code}"),
            (_, _, Some(signal)) if self.asked => write!(f, "the gateway ended it (signal {signal})"),
            (_, _, Some(signal)) => write!(f, "it was ended by signal {signal} ({})", name(signal)),
            _ => f.write_str("it ended"),
        }
    }
}

fn name(signal: i32) -> &'static str {
    match signal {
        libc::SIGKILL => "SIGKILL: perhaps for want of memory",
        libc::SIGSEGV => "SIGSEGV: a fault in the program",
        libc::SIGABRT => "SIGABRT: the program gave up",
        libc::SIGTERM => "SIGTERM",
        libc::SIGSYS => "SIGSYS: a system call that is not allowed",
        libc::SIGILL => "SIGILL: a fault in the program",
        libc::SIGBUS => "SIGBUS: a fault in the program",
        libc::SIGPIPE => "SIGPIPE",
        _ => "see `kill -l`",
    }
}

/// What must be cleared up when a child has ended. Order matters: the run-file goes last.
pub(super) struct Remains {
    pub group: Option<Group>,
    /// Directories of its own that go with it.
    pub directories: Vec<PathBuf>,
    /// Its directory, where that is kept.
    pub home: Option<Hold>,
    pub file: Option<RunFile>,
}

impl Drop for Remains {
    fn drop(&mut self) {
        self.group = None;
        for directory in &self.directories {
            let _ = std::fs::remove_dir_all(directory);
        }
        self.home = None;
        self.file = None;
    }
}

/// A child and the duty to end it. Dropped (no task has it any more): killed at once, cleared up by a thread.
pub(super) struct Life {
    pub parts: Option<Parts>,
    pub pidfd: AsyncFd<OwnedFd>,
    /// Wait status of the program, told by the process that keeps it.
    pub status: Option<i32>,
    pub proxy: Option<Proxy>,
}

pub(super) struct Parts {
    /// The process that keeps the program: the waiter of its namespaces, or its keeper.
    pub inner: std::process::Child,
    pub channel: OwnedFd,
    /// Whether it ends with what it keeps when the channel does (keeper.rs), and must not be killed before.
    pub keeps: bool,
    pub mark: String,
    pub remains: Remains,
}

impl Parts {
    fn pid(&self) -> i32 {
        i32::try_from(self.inner.id()).unwrap_or_default()
    }

    /// Does not wait.
    fn kill(&self) {
        let _ = rustix::net::shutdown(&self.channel, rustix::net::Shutdown::Write);
        if !self.keeps {
            shared::group(self.pid(), Signal::KILL);
        }
        if let Some(group) = &self.remains.group {
            group.kill();
        }
    }

    /// Kill all there is and wait for it. Blocks.
    pub fn end(mut self) -> (Option<ExitStatus>, bool) {
        self.kill();
        let deadline = Instant::now() + KEEPER;
        while self.keeps && Instant::now() < deadline && matches!(self.inner.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
        if matches!(self.inner.try_wait(), Ok(None)) {
            shared::group(self.pid(), Signal::KILL);
        }
        shared::sweep(self.pid(), &self.mark);
        let mut status = self.inner.wait().ok();
        while let Some(word) = channel::receive(&self.channel) {
            if let Word::Ended(raw) = word {
                status = Some(ExitStatus::from_raw(raw));
            }
        }
        let ran_out = self.remains.group.as_ref().is_some_and(Group::ran_out);
        (status, ran_out)
    }
}

impl Life {
    pub fn pid(&self) -> i32 {
        self.parts.as_ref().map_or(0, Parts::pid)
    }

    async fn exited(&self) {
        let _ = self.pidfd.readable().await;
    }

    fn signal(&self, signal: Signal) {
        if self.parts.is_some() {
            shared::group(self.pid(), signal);
        }
    }

    async fn end(mut self, asked: bool) -> Ended {
        self.proxy = None;
        let Some(parts) = self.parts.take() else { return Ended::default() };
        parts.kill();
        let (status, out_of_memory) =
            tokio::task::spawn_blocking(move || parts.end()).await.unwrap_or((None, false));
        let status = self.status.map(ExitStatus::from_raw).or(status);
        let (code, signal) = (status.and_then(|s| s.code()), status.and_then(|s| s.signal()));
        Ended { code, signal, out_of_memory, asked, broke: None }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            parts.kill();
            // Should there be no thread, the parts are dropped here: files go, the dead wait for the gateway's end.
            let _ = std::thread::Builder::new().name("toolgate-end".into()).spawn(move || parts.end());
        }
    }
}

/// Until the end.
pub(super) async fn live(
    life: Life,
    mut orders: watch::Receiver<Order>,
    report: watch::Sender<Option<Ended>>,
    captured: Option<JoinHandle<()>>,
    grace: Duration,
    name: Arc<str>,
    usage: Option<Usage>,
) {
    let usage = usage.map(Arc::new);
    let mut look = tokio::time::interval(LOOK);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut broke = None;
    let asked = loop {
        tokio::select! {
            biased;
            () = life.exited() => break false,
            changed = orders.changed() => {
                let order = *orders.borrow_and_update();
                match order {
                    Order::Kill => break true,
                    Order::Live if changed.is_ok() => {}
                    // Stopped, or nobody has it any more.
                    Order::Live | Order::Stop => {
                        ladder(&life, &mut orders, grace).await;
                        break true;
                    }
                }
            }
            _ = look.tick(), if usage.is_some() => {
                let usage = usage.clone();
                let looked = tokio::task::spawn_blocking(move || usage.and_then(|usage| usage.look())).await;
                broke = looked.ok().flatten();
                if broke.is_some() {
                    break false;
                }
            }
        }
    };
    let ended = Ended { broke, ..life.end(asked).await };
    if let Some(mut captured) = captured
        && tokio::time::timeout(DRAIN, &mut captured).await.is_err()
    {
        captured.abort();
    }
    if asked {
        tracing::debug!(server = %name, "a server is stopped: {ended}");
    } else {
        tracing::warn!(server = %name, "a server has ended: {ended}");
    }
    report.send_replace(Some(ended));
}

/// Its input is closed by now: a well-behaved one ends by itself, another at a signal.
async fn ladder(life: &Life, orders: &mut watch::Receiver<Order>, grace: Duration) {
    // What is there after the second has SIGKILL before it, from `end`.
    for signal in [Some(Signal::TERM), None] {
        let killed = async {
            if orders.wait_for(|order| *order == Order::Kill).await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            () = life.exited() => return,
            () = killed => return,
            () = tokio::time::sleep(grace) => {
                if let Some(signal) = signal {
                    life.signal(signal);
                }
            }
        }
    }
}
