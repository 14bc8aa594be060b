//! Processes: the list, and the ending of one.

use super::{Process, memory, unavailable};
use crate::HostError;
use rustix::process::{Pid, PidfdFlags, Signal};
use std::collections::HashSet;
use sysinfo::{MINIMUM_CPU_UPDATE_INTERVAL, ProcessRefreshKind, ProcessesToUpdate, UpdateKind, Users};
use toolgate_core::Kind;

pub(super) fn list(filter: &str, max: usize) -> Result<(Vec<Process>, usize), HostError> {
    let failed = |e: &dyn std::fmt::Display| unavailable("the list of processes", e);
    let mut system = sysinfo::System::new().map_err(|e| failed(&e))?;
    let users = Users::new_with_refreshed_list().map_err(|e| failed(&e))?;
    let what = ProcessRefreshKind::nothing()
        .with_cpu()
        .with_memory()
        .with_user(UpdateKind::OnlyIfNotSet)
        .without_tasks();
    // A share of the processor is a difference of two readings.
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    std::thread::sleep(MINIMUM_CPU_UPDATE_INTERVAL);
    system.refresh_processes_specifics(ProcessesToUpdate::All, true, what);
    let total = memory::memory()?.total.max(1);
    let mut found: Vec<_> = system
        .processes()
        .values()
        .filter(|p| p.name().to_string_lossy().to_lowercase().contains(filter))
        .map(|p| Process {
            pid: p.pid().as_u32(),
            name: p.name().to_string_lossy().into_owned(),
            username: p.user_id().and_then(|id| users.get_user_by_id(id)).map(|u| u.name().to_owned()),
            memory_percent: round(p.memory() as f64 / total as f64 * 100.0),
            cpu_percent: round(f64::from(p.cpu_usage())),
            status: p.status().to_string().to_lowercase(),
        })
        .collect();
    found.sort_by(|a, b| {
        let order = b.cpu_percent.total_cmp(&a.cpu_percent);
        order.then(b.memory_percent.total_cmp(&a.memory_percent)).then(a.pid.cmp(&b.pid))
    });
    let count = found.len();
    found.truncate(max);
    Ok((found, count))
}

fn round(value: f64) -> f32 {
    if value.is_finite() { ((value * 100.0).round() / 100.0) as f32 } else { 0.0 }
}

/// Name and parent of a process.
fn facts(pid: u32) -> Option<(String, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (head, tail) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some((name.to_owned(), tail.split_ascii_whitespace().nth(1)?.parse().ok()?))
}

/// The gateway and the processes above it.
fn line_of_the_gateway() -> HashSet<u32> {
    let mut line = HashSet::new();
    let mut pid = std::process::id();
    while line.insert(pid)
        && let Some((_, parent)) = facts(pid)
    {
        pid = parent;
    }
    line
}

pub(super) fn kill(pid: u32, force: bool) -> Result<String, HostError> {
    let refuse = |why: &str| Err(HostError::forbidden(format!("process {pid} is not ended: {why}")));
    let gone = || HostError::new(Kind::NotFound, format!("there is no process {pid}"));
    if pid <= 1 {
        return refuse("0 and 1 are the system itself");
    }
    let target = i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(gone)?;
    // Taken before anything is looked at: what is examined and what is signalled are the same process, or the signal
    // finds nobody.
    let pidfd = rustix::process::pidfd_open(target, PidfdFlags::empty()).map_err(|e| match e {
        rustix::io::Errno::SRCH | rustix::io::Errno::INVAL => gone(),
        e => unavailable("the process cannot be opened", &e),
    })?;
    let (name, parent) = facts(pid).ok_or_else(gone)?;
    if line_of_the_gateway().contains(&pid) {
        return refuse("it is the gateway or what started the gateway");
    }
    if matches!(name.as_str(), "init" | "systemd" | "launchd" | "dumb-init" | "tini" | "s6-svscan" | "runit")
    {
        return refuse("it runs the system");
    }
    if pid == 2 && parent == 0 || parent == 2 {
        return refuse("it is a thread of the kernel");
    }
    let signal = if force { Signal::KILL } else { Signal::TERM };
    rustix::process::pidfd_send_signal(&pidfd, signal).map_err(|e| match e {
        rustix::io::Errno::SRCH => gone(),
        rustix::io::Errno::PERM => {
            HostError::forbidden(format!("process {pid} belongs to another user; the gateway may not end it"))
        }
        e => unavailable("the signal was not sent", &e),
    })?;
    Ok(name)
}
