//! One child and the duty to end it: whatever happens to `Child`, its whole process group ends, and what left the group
//! is looked for.

use super::Confined;
use super::environment::MARK;
use super::spawn::Job;
use rustix::process::{Pid, Signal};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

/// A live child. Dropped: SIGKILL to its group at once, the rest on the thread of spawn.rs.
pub(super) struct Child {
    pub pid: i32,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    pub confined: Confined,
    /// The same in words.
    pub confinement: String,
    pub(super) pidfd: Option<AsyncFd<OwnedFd>>,
    pub(super) jobs: mpsc::Sender<Job>,
    pub(super) runtime: tokio::runtime::Handle,
    /// `None` once it has ended and was reaped.
    pub(super) parts: Option<Parts>,
}

/// What must be cleared up.
pub(super) struct Parts {
    pub inner: tokio::process::Child,
    pub pid: i32,
    pub mark: String,
    pub temp: PathBuf,
    pub permit: OwnedSemaphorePermit,
}

impl Child {
    /// Wait until the leader has ended. It is not reaped (where the kernel has pidfds, Linux 5.3), so that its number
    /// still names its group.
    pub(super) async fn exited(&mut self) {
        match (&self.pidfd, &mut self.parts) {
            (Some(fd), _) => {
                let _ = fd.readable().await;
            }
            (None, Some(parts)) => {
                let _ = parts.inner.wait().await;
            }
            (None, None) => {}
        }
    }

    /// Signal the whole group.
    pub(super) fn signal(&self, signal: Signal) {
        if self.parts.is_some() {
            group(self.pid, signal);
        }
    }

    /// Kill what is left of the group and what left the group, reap the leader, give back what it held.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.signal(Signal::KILL);
        let parts = self.parts.as_mut()?;
        let (done, swept) = oneshot::channel();
        let sweep = Job::Sweep { pid: parts.pid, mark: parts.mark.clone(), done };
        if self.jobs.send(sweep).is_ok() {
            let _ = swept.await;
        }
        let status = parts.inner.wait().await.ok();
        if let Some(parts) = self.parts.take() {
            let _ = self.jobs.send(Job::Remove(parts.temp));
        }
        status
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if let Some(parts) = self.parts.take() {
            group(parts.pid, Signal::KILL);
            if let Err(mpsc::SendError(Job::Abandon(parts, _))) =
                self.jobs.send(Job::Abandon(Box::new(parts), self.runtime.clone()))
            {
                parts.abandon();
            }
        }
    }
}

impl Parts {
    /// End it all. Blocks for some milliseconds.
    pub(super) fn abandon(mut self) {
        group(self.pid, Signal::KILL);
        sweep(self.pid, &self.mark);
        for _ in 0..50 {
            if !matches!(self.inner.try_wait(), Ok(None)) {
                break;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        let _ = std::fs::remove_dir_all(&self.temp);
        drop(self.permit);
    }
}

pub(crate) fn group(pid: i32, signal: Signal) {
    // 0 and 1 would mean our own group and everything.
    if let Some(pid) = Pid::from_raw(pid).filter(|p| p.as_raw_nonzero().get() > 1) {
        let _ = rustix::process::kill_process_group(pid, signal);
    }
}

/// Kill what still belongs to the session of `leader`, or carries its mark in the environment: processes that made a
/// group or session of their own. One that also cleared its environment escapes (and stays confined).
/// Whether there was something.
pub(crate) fn sweep(leader: i32, mark: &str) -> bool {
    let needle = format!("{MARK}={mark}");
    let mut any = false;
    for _ in 0..3 {
        let mut found = false;
        let Ok(entries) = std::fs::read_dir("/proc") else { return any };
        for entry in entries.flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<i32>().ok()) else { continue };
            if pid == leader || pid <= 1 || !belongs(pid, leader, &needle) {
                continue;
            }
            if let Some(pid) = Pid::from_raw(pid) {
                found |= rustix::process::kill_process(pid, Signal::KILL).is_ok();
            }
        }
        if !found {
            return any;
        }
        any = true;
    }
    any
}

fn belongs(pid: i32, leader: i32, needle: &str) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    // pid (name) state ppid pgrp session ...; the name may hold anything, so look behind its last parenthesis.
    let mut fields = stat.rsplit(')').next().unwrap_or_default().split_ascii_whitespace();
    let state = fields.next().unwrap_or_default();
    if matches!(state, "Z" | "X") {
        return false;
    }
    if fields.nth(2).and_then(|s| s.parse::<i32>().ok()) == Some(leader) {
        return true;
    }
    let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    environ.split(|b| *b == 0).any(|v| v == needle.as_bytes())
}
