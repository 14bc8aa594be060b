//! Namespaces of a child: a network with nothing but a loopback, processes that end together, a /proc that shows only
//! them, a /dev/shm of its own.
//!
//! Used by `enter`, between fork and exec: system calls only. A gateway without the right to make namespaces makes
//! them in a user namespace, in which it keeps its own number. The process that forks (`waiter`) stays outside and is what
//! the gateway knows; the first inside (`init`) does nothing but collect the dead, and all of them end with it.

use super::channel;
use rustix::net::{AddressFamily, SocketType};
use std::ffi::CStr;
use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr::null;

/// Where the proxy listens inside: nothing else is there.
pub(super) const PROXY_PORT: u16 = 3128;

/// What to write into the maps of a user namespace.
#[derive(Debug, Clone)]
pub(super) struct Maps {
    user: Vec<u8>,
    group: Vec<u8>,
}

impl Maps {
    /// Ourselves as ourselves.
    pub fn own() -> Self {
        let (user, group) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        Self { user: format!("{user} {user} 1").into(), group: format!("{group} {group} 1").into() }
    }
}

/// Make the namespaces.
#[allow(unsafe_code)]
pub(super) fn unshare(maps: Option<&Maps>) -> io::Result<()> {
    let user = if maps.is_some() { libc::CLONE_NEWUSER } else { 0 };
    let flags = user | libc::CLONE_NEWNET | libc::CLONE_NEWNS | libc::CLONE_NEWPID | libc::CLONE_NEWIPC;
    // SAFETY: takes an integer; this process has one thread.
    if unsafe { libc::unshare(flags) } != 0 {
        return Err(io::Error::last_os_error());
    }
    if let Some(maps) = maps {
        // Without it an unprivileged process may not write its groups.
        write(c"/proc/self/setgroups", b"deny")?;
        write(c"/proc/self/uid_map", &maps.user)?;
        write(c"/proc/self/gid_map", &maps.group)?;
    }
    Ok(())
}

pub(super) fn write(path: &CStr, bytes: &[u8]) -> io::Result<()> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(&file, bytes)?;
    Ok(())
}

/// Fork twice. Returns in the process that becomes the program; the two others never return.
#[allow(unsafe_code)]
pub(super) fn descend(channel: BorrowedFd<'_>) -> io::Result<()> {
    let before = block_signals()?;
    // SAFETY: this process has one thread, and what runs in the new ones makes system calls only.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        init => waiter(init),
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // SAFETY: as above.
    match unsafe { libc::fork() } {
        -1 => return Err(io::Error::last_os_error()),
        0 => {}
        program => init(program, channel),
    }
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
    // SAFETY: restores the set that was read before.
    unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut()) };
    Ok(())
}

/// A signal to the group is for the program; what waits for it must not end before it.
#[allow(unsafe_code)]
pub(super) fn block_signals() -> io::Result<libc::sigset_t> {
    // SAFETY: both sets are initialised by the calls that are given them, and outlive them.
    unsafe {
        let mut all: libc::sigset_t = std::mem::zeroed();
        let mut before: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&raw mut all);
        if libc::sigprocmask(libc::SIG_SETMASK, &raw const all, &raw mut before) != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(before)
    }
}

/// Memory and descriptors here are copies of the gateway's: nobody shall look at the one, nothing wait for the other.
#[allow(unsafe_code)]
pub(super) fn forget(keep: Option<BorrowedFd<'_>>) {
    use std::os::fd::AsRawFd;
    let keep = keep.map(|fd| fd.as_raw_fd() as libc::c_uint);
    // SAFETY: takes integers; nothing here uses what is closed.
    unsafe {
        libc::prctl(libc::PR_SET_DUMPABLE, 0, 0, 0, 0);
        match keep {
            Some(fd) => {
                if fd > 0 {
                    libc::syscall(libc::SYS_close_range, 0, fd - 1, 0);
                }
                libc::syscall(libc::SYS_close_range, fd + 1, libc::c_uint::MAX, 0);
            }
            None => {
                libc::syscall(libc::SYS_close_range, 0, libc::c_uint::MAX, 0);
            }
        }
    }
    let _ = rustix::thread::set_no_new_privs(true);
    let _ = crate::exec::enter::drop_capabilities();
}

#[allow(unsafe_code)]
fn waiter(init: libc::pid_t) -> ! {
    forget(None);
    let mut status = 0;
    // SAFETY: `status` outlives the calls; `_exit` runs nothing of ours.
    unsafe {
        while libc::waitpid(init, &raw mut status, 0) == -1
            && io::Error::last_os_error().raw_os_error() == Some(libc::EINTR)
        {}
        libc::_exit(0)
    }
}

#[allow(unsafe_code)]
fn init(program: libc::pid_t, channel: BorrowedFd<'_>) -> ! {
    forget(Some(channel));
    let mut status = 0;
    // SAFETY: `status` outlives the calls; `_exit` runs nothing of ours.
    unsafe {
        loop {
            let ended = libc::waitpid(-1, &raw mut status, 0);
            if ended == program {
                channel::send_ended(channel, status);
                libc::_exit(0)
            }
            if ended == -1 && io::Error::last_os_error().raw_os_error() != Some(libc::EINTR) {
                libc::_exit(0)
            }
        }
    }
}

/// Whether a part of the file system could be made the child's own.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Own {
    pub proc: bool,
    pub shm: bool,
}

/// Mounts of its own. Some containers forbid a new /proc; then the old one stays, and less of it is granted.
pub(super) fn mounts() -> io::Result<Own> {
    mount(None, c"/", None, libc::MS_REC | libc::MS_PRIVATE, None)?;
    let plain = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    let proc = mount(Some(c"proc"), c"/proc", Some(c"proc"), plain, None).is_ok();
    let options = Some(c"size=64m,mode=1777");
    let shm = mount(Some(c"tmpfs"), c"/dev/shm", Some(c"tmpfs"), plain, options).is_ok();
    Ok(Own { proc, shm })
}

#[allow(unsafe_code)]
fn mount(
    source: Option<&CStr>,
    target: &CStr,
    kind: Option<&CStr>,
    flags: libc::c_ulong,
    options: Option<&CStr>,
) -> io::Result<()> {
    let text = |t: Option<&CStr>| t.map_or(null(), CStr::as_ptr);
    // SAFETY: texts end with NUL and outlive the call; the kernel takes null for what is not said.
    let done = unsafe { libc::mount(text(source), target.as_ptr(), text(kind), flags, text(options).cast()) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Switch the loopback on.
#[allow(unsafe_code)]
pub(super) fn loopback() -> io::Result<()> {
    use std::os::fd::AsRawFd;
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::DGRAM, None)?;
    // SAFETY: `request` is a plain structure that outlives the calls.
    unsafe {
        let mut request: libc::ifreq = std::mem::zeroed();
        request.ifr_name[0] = b'l' as libc::c_char;
        request.ifr_name[1] = b'o' as libc::c_char;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCGIFFLAGS as _, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
        request.ifr_ifru.ifru_flags |= libc::IFF_UP as libc::c_short;
        if libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Listen for the proxy, and hand the socket out.
pub(super) fn listen(channel: BorrowedFd<'_>) -> io::Result<()> {
    let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
    rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, PROXY_PORT))?;
    rustix::net::listen(&socket, 64)?;
    channel::send_fd(channel, channel::LISTENER, socket.as_fd())
}

/// Adopt a descriptor that the kernel just made.
#[allow(unsafe_code)]
pub(super) fn adopt(fd: libc::c_long) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: only called with the result of a call that makes a descriptor, which nobody else has.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as libc::c_int) })
}
