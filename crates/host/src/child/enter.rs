//! What a child does between fork and exec, in order: own session, control group, limits, namespaces, no privileges,
//! Landlock, filter of system calls. Made by `spawn`; the parts shared with short commands are `exec::enter`'s.
//!
//! System calls only: another thread may have held the allocator's lock at the fork. A step that fails is named on the
//! channel and nothing is executed.

use super::channel::{self, Step};
use super::keeper;
use super::spaces::{self, Maps};
use crate::exec::enter as shared;
use rustix::process::{Pid, Resource, Rlimit};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;

/// Everything that is decided before the fork.
pub(super) struct Entry {
    pub limits: Vec<(Resource, Rlimit)>,
    pub channel: OwnedFd,
    /// `cgroup.procs` of its control group.
    pub group: Option<OwnedFd>,
    pub spaces: Option<Spaces>,
    pub ruleset: Option<OwnedFd>,
    pub filter: Option<Vec<libc::sock_filter>>,
    /// Whether the /proc of the machine is granted where there is none of its own; else what is its own in it.
    pub proc: bool,
}

pub(super) struct Spaces {
    /// Of a user namespace; `None` makes the others without one.
    pub maps: Option<Maps>,
    /// Whether a proxy listens inside.
    pub listen: bool,
}

/// Have the child do its part.
#[allow(unsafe_code)]
pub(super) fn prepare(command: &mut std::process::Command, entry: Entry) {
    let parent = rustix::process::getpid();
    let work = move || {
        let mut step = Step::Session;
        let done = enter(&entry, parent, &mut step);
        if done.is_err() {
            channel::send_failed(entry.channel.as_fd(), step);
        }
        done
    };
    // SAFETY: `enter` makes system calls only; it allocates nothing, takes no lock and touches no memory but its own.
    unsafe { command.pre_exec(work) };
}

fn enter(entry: &Entry, parent: Pid, step: &mut Step) -> io::Result<()> {
    let channel = entry.channel.as_fd();
    shared::own_session(parent)?;
    // Out of memory, the kernel shall take the child, not the gateway. Best effort.
    let _ = spaces::write(c"/proc/self/oom_score_adj", b"500");
    *step = Step::Group;
    if let Some(group) = &entry.group {
        rustix::io::write(group, b"0")?;
    }
    *step = Step::Limits;
    shared::set_limits(&entry.limits)?;
    let mut own = spaces::Own::default();
    if let Some(wanted) = &entry.spaces {
        *step = Step::Namespaces;
        spaces::unshare(wanted.maps.as_ref())?;
        *step = Step::Fork;
        spaces::descend(channel)?;
        *step = Step::Mounts;
        own = spaces::mounts()?;
        *step = Step::Network;
        spaces::loopback()?;
        if wanted.listen {
            spaces::listen(channel)?;
        }
    } else {
        *step = Step::Fork;
        keeper::stay(channel)?;
    }
    *step = Step::Privileges;
    rustix::thread::set_no_new_privs(true)?;
    *step = Step::Landlock;
    if let Some(ruleset) = &entry.ruleset {
        shared::drop_capabilities()?;
        if own.shm {
            shared::grant(ruleset.as_raw_fd(), c"/dev/shm", shared::WRITE_FILES);
        }
        let all = own.proc || entry.proc;
        shared::landlock(ruleset.as_raw_fd(), if all { c"/proc" } else { c"/proc/self" })?;
    }
    shared::close_inherited();
    *step = Step::Filter;
    if let Some(filter) = &entry.filter {
        let asks = install(filter)?;
        channel::send_fd(channel, channel::ASKS, asks.as_fd())?;
    }
    *step = Step::Exec;
    Ok(())
}

/// Enter the filter; what comes back is where the kernel asks.
#[allow(unsafe_code)]
fn install(filter: &[libc::sock_filter]) -> io::Result<OwnedFd> {
    const SET_MODE_FILTER: libc::c_uint = 1;
    const NEW_LISTENER: libc::c_ulong = 1 << 3;
    // Once asked, only a signal that kills interrupts: a connection is not made twice.
    const WAIT_KILLABLE: libc::c_ulong = 1 << 5;
    let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the kernel copies the program, which outlives the call and has the length that is said.
    let fd = unsafe {
        libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, NEW_LISTENER | WAIT_KILLABLE, &raw const program)
    };
    spaces::adopt(fd)
}

/// The trial of a step: what the system says to it, in a process that executes nothing.
#[allow(unsafe_code)]
pub(super) fn trial(work: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> io::Result<()> {
    let done = move || work().and(Err(io::Error::from_raw_os_error(libc::ECANCELED)));
    let mut command = std::process::Command::new("/");
    // SAFETY: only called with steps of this module and of `spaces`, which make system calls only.
    unsafe { command.pre_exec(done) };
    match command.spawn() {
        Err(e) if e.raw_os_error() == Some(libc::ECANCELED) => Ok(()),
        Err(e) => Err(e),
        Ok(_) => Err(io::Error::other("a directory was executed")),
    }
}

/// As `write`, for a descriptor.
pub(super) fn join(group: BorrowedFd<'_>) -> io::Result<()> {
    rustix::io::write(group, b"0")?;
    Ok(())
}
