//! What a child does between fork and exec: own session, limits, no new privileges, no capabilities, Landlock. With
//! `child::enter` and its neighbours the only unsafe code of this crate.
//!
//! Between fork and exec only system calls are allowed: another thread may have held the allocator's lock.

use super::ExecRules;
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Resource, Rlimit, Signal};
use rustix::thread::{CapabilitySet, CapabilitySets};
use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::time::Duration;

const MAX_FILE: u64 = 4 << 30;
const MAX_OPEN: u64 = 4096;
/// Counts all processes of the user; does not bind root.
const MAX_PROCESSES: u64 = 4096;

/// Limits of one child, each at most what this process has itself.
pub(super) fn limits(rules: &ExecRules, lifetime: Duration) -> Vec<(Resource, Rlimit)> {
    // CPU time counts every thread of a process, so a program that uses all cores for the whole time stays within it.
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get() as u64);
    let cpu = lifetime.as_secs().saturating_add(10).saturating_mul(cores);
    let mut wanted = vec![
        (Resource::Core, 0),
        (Resource::Cpu, cpu),
        (Resource::Fsize, MAX_FILE),
        (Resource::Nofile, MAX_OPEN),
        (Resource::Nproc, MAX_PROCESSES),
    ];
    if let Some(memory) = rules.max_memory {
        wanted.push((Resource::As, memory.0));
    }
    at_most_own(wanted)
}

/// The limits, each at most what this process has itself.
pub(crate) fn at_most_own(wanted: Vec<(Resource, u64)>) -> Vec<(Resource, Rlimit)> {
    wanted
        .into_iter()
        .map(|(resource, value)| {
            let own = rustix::process::getrlimit(resource).maximum.unwrap_or(u64::MAX);
            let value = Some(value.min(own));
            (resource, Rlimit { current: value, maximum: value })
        })
        .collect()
}

/// Have the child do its part. `ruleset` must stay open until it is spawned.
#[allow(unsafe_code)]
pub(super) fn prepare(
    process: &mut tokio::process::Command,
    limits: Vec<(Resource, Rlimit)>,
    ruleset: Option<&OwnedFd>,
) {
    let parent = rustix::process::getpid();
    let ruleset = ruleset.map(AsRawFd::as_raw_fd);
    // SAFETY: `child` makes system calls only; it allocates nothing, takes no lock and touches no memory but its own.
    unsafe { process.pre_exec(move || child(parent, &limits, ruleset)) };
}

fn child(parent: Pid, limits: &[(Resource, Rlimit)], ruleset: Option<RawFd>) -> io::Result<()> {
    own_session(parent)?;
    set_limits(limits)?;
    rustix::thread::set_no_new_privs(true)?;
    drop_capabilities()?;
    if let Some(ruleset) = ruleset {
        landlock(ruleset, c"/proc/self")?;
    }
    close_inherited();
    Ok(())
}

/// A session of its own, which ends with the thread that forked it.
pub(crate) fn own_session(parent: Pid) -> io::Result<()> {
    rustix::process::setsid()?;
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    if rustix::process::getppid() != Some(parent) {
        // The gateway died before the line above: nobody will send the signal.
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    rustix::process::umask(Mode::from_raw_mode(0o022));
    Ok(())
}

pub(crate) fn set_limits(limits: &[(Resource, Rlimit)]) -> io::Result<()> {
    for (resource, limit) in limits {
        rustix::process::setrlimit(*resource, *limit)?;
    }
    Ok(())
}

/// A child of root is root still, but no more than the owner of root's files: what others own, and the memory and
/// environment of processes with capabilities, stay closed. The bounding set first, since exec gives root what is in it.
pub(crate) fn drop_capabilities() -> io::Result<()> {
    for bit in 0..64 {
        // A gateway that is not root may not, and its children gain nothing by exec; above the kernel's last one there
        // is nothing to drop. What counts is checked by the last line.
        let _ =
            rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(1 << bit));
    }
    // Kernels before 4.3 have no ambient set.
    let _ = rustix::thread::clear_ambient_capability_set();
    let none = CapabilitySet::empty();
    rustix::thread::set_capabilities(
        None,
        CapabilitySets { effective: none, permitted: none, inheritable: none },
    )?;
    Ok(())
}

#[repr(C, packed)]
struct PathBeneathAttr {
    allowed_access: u64,
    parent_fd: i32,
}

const READ_FILES: u64 = (1 << 2) | (1 << 3);
/// Read, write, list, make and remove files and directories, cut files.
pub(crate) const WRITE_FILES: u64 =
    READ_FILES | (1 << 1) | (1 << 4) | (1 << 5) | (1 << 7) | (1 << 8) | (1 << 9) | (1 << 14);

/// Grant what does not exist before the fork. A failure grants less.
#[allow(unsafe_code)]
pub(crate) fn grant(ruleset: RawFd, path: &CStr, access: u64) {
    const PATH_BENEATH: libc::c_int = 1;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    if let Ok(own) = rustix::fs::open(path, flags, Mode::empty()) {
        let attr = PathBeneathAttr { allowed_access: access, parent_fd: own.as_raw_fd() };
        // SAFETY: `attr` has the layout that the kernel reads (struct landlock_path_beneath_attr) and outlives the call.
        unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, PATH_BENEATH, &raw const attr, 0) };
    }
}

/// Enter the rule set, after granting what can be read of `proc`: the child's own /proc/self, or all of a /proc.
#[allow(unsafe_code)]
pub(crate) fn landlock(ruleset: RawFd, proc: &CStr) -> io::Result<()> {
    grant(ruleset, proc, READ_FILES);
    // SAFETY: takes two integers.
    if unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) } == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Mark every descriptor above the three standard ones close-on-exec. All of ours are; a library's might not be.
#[allow(unsafe_code)]
pub(crate) fn close_inherited() {
    // SAFETY: takes integers; marks, and so leaves the descriptor on which std reports a failed exec usable. Kernels
    // before 5.11 refuse it.
    unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC) };
}
