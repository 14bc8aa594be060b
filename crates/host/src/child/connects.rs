//! The gateway's answer when a confined child asks to `connect` or `listen`: judged here, and done here on a copy of the
//! child's socket, so that nothing the child changes meanwhile counts.
//!
//! One thread for each child; it ends when no process is left that the filter holds. TCP goes to the proxy only, or anywhere in a
//! network namespace in which nothing else is. Sockets of processes: only those beneath the child's own directories
//! (Landlock before ABI 9 leaves them all open, that of a container service among them). A call that cannot be
//! judged is refused; when this thread is gone, the kernel refuses.

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix, SocketFlags, SocketType, sockopt};
use rustix::process::{Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::ffi::OsStr;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Where a child may connect to.
#[derive(Debug, Clone)]
pub(super) struct Allowed {
    /// Its network has nothing but itself and the proxy.
    pub alone: bool,
    pub proxy: Option<SocketAddr>,
    /// Directories, canonical, in which sockets are its own or were given to it.
    pub sockets: Vec<PathBuf>,
    /// How a connection is made. Never `Replace` for one that is alone: the new socket would be of our network.
    pub way: Way,
}

/// How a connection is made for a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// On a copy of its socket (`pidfd_getfd`).
    Copy,
    /// On a socket of ours, which then takes the place of its own: in containers that forbid the former. What was set on
    /// its own before is lost, but for whether it waits; it cannot listen.
    Replace,
}

const RECV: libc::Ioctl = 0xC050_2100_u32 as libc::Ioctl;
const SEND: libc::Ioctl = 0xC018_2101_u32 as libc::Ioctl;
const ID_VALID: libc::Ioctl = 0x4008_2102;
const ADDFD: libc::Ioctl = 0x4018_2103;
const LONGEST: usize = 128;

/// Whether this kernel, and what stands around us, lets it be done.
#[allow(unsafe_code)]
pub(super) fn usable(known: bool) -> Result<Way, String> {
    const GET_ACTION_AVAIL: libc::c_uint = 2;
    if !known {
        return Err("there is no filter for this processor (x86_64 and aarch64 have one)".into());
    }
    let action = libc::SECCOMP_RET_USER_NOTIF;
    // SAFETY: the kernel reads the number, which outlives the call.
    if unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const action) } != 0 {
        let e = std::io::Error::last_os_error();
        return Err(format!("the kernel does not ask (seccomp user notification: {e})"));
    }
    let own = pidfd_open(rustix::process::getpid(), PidfdFlags::empty());
    match own.and_then(|own| pidfd_getfd(&own, 2, PidfdGetfdFlags::empty())) {
        Ok(_) | Err(Errno::BADF) => Ok(Way::Copy),
        Err(_) => Ok(Way::Replace),
    }
}

/// Answer until the child is gone.
pub(super) fn serve(asks: OwnedFd, allowed: Allowed) -> std::io::Result<()> {
    let work = move || {
        while let Some(asked) = next(&asks) {
            let judged = match allowed.way {
                Way::Copy => judge(&asks, &asked, &allowed),
                Way::Replace => replace(&asks, &asked, &allowed),
            };
            let error = judged.err().map_or(0, |e| -e.raw_os_error());
            answer(&asks, asked.id, error);
        }
    };
    std::thread::Builder::new().name("toolgate-connect".into()).spawn(work).map(|_| ())
}

/// The next question; `None` when no more can come.
#[allow(unsafe_code)]
fn next(asks: &OwnedFd) -> Option<libc::seccomp_notif> {
    loop {
        let mut ready = libc::pollfd { fd: asks.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one structure, which outlives the call.
        let polled = unsafe { libc::poll(&raw mut ready, 1, -1) };
        if polled < 0 {
            if std::io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) {
                continue;
            }
            return None;
        }
        if ready.revents & libc::POLLIN == 0 {
            return None;
        }
        // SAFETY: the kernel wants the structure zeroed, and fills it; it has the size that the number of the call says.
        unsafe {
            let mut asked: libc::seccomp_notif = std::mem::zeroed();
            if libc::ioctl(asks.as_raw_fd(), RECV, &raw mut asked) == 0 {
                return Some(asked);
            }
        }
        match std::io::Error::last_os_error().raw_os_error() {
            // Whoever asked was killed meanwhile.
            Some(libc::ENOENT | libc::EINTR) => {}
            _ => return None,
        }
    }
}

#[allow(unsafe_code)]
fn answer(asks: &OwnedFd, id: u64, error: i32) {
    let answer = libc::seccomp_notif_resp { id, val: 0, error, flags: 0 };
    // SAFETY: the kernel reads the structure, which outlives the call. Fails when nobody waits any more.
    unsafe { libc::ioctl(asks.as_raw_fd(), SEND, &raw const answer) };
}

/// Whether the thread that asked still waits, so that what was opened by its number is its own.
#[allow(unsafe_code)]
fn waits(asks: &OwnedFd, id: u64) -> Result<(), Errno> {
    // SAFETY: the kernel reads the number, which outlives the call.
    if unsafe { libc::ioctl(asks.as_raw_fd(), ID_VALID, &raw const id) } == 0 {
        Ok(())
    } else {
        Err(Errno::NOENT)
    }
}

fn judge(asks: &OwnedFd, asked: &libc::seccomp_notif, allowed: &Allowed) -> Result<(), Errno> {
    let thread = asked.pid;
    let socket = socket(thread, asked.data.args[0] as i32)?;
    let memory = std::fs::File::open(format!("/proc/{thread}/mem")).map_err(os)?;
    waits(asks, asked.id)?;
    let family = sockopt::socket_domain(&socket)?;
    let number = libc::c_long::from(asked.data.nr);
    if number == libc::SYS_listen {
        if family != AddressFamily::UNIX && !allowed.alone {
            return Err(Errno::ACCESS);
        }
        return rustix::net::listen(&socket, asked.data.args[1] as i32);
    }
    if number != libc::SYS_connect {
        return Err(Errno::NOSYS);
    }
    let mut bytes = [0u8; LONGEST];
    let bytes = address(&memory, asked, &mut bytes)?;
    waits(asks, asked.id)?;
    go(&socket, bytes, thread, allowed)
}

/// The address that is asked for, copied once.
fn address<'a>(
    memory: &std::fs::File,
    asked: &libc::seccomp_notif,
    bytes: &'a mut [u8; LONGEST],
) -> Result<&'a [u8], Errno> {
    let length = usize::try_from(asked.data.args[2]).ok().filter(|n| (2..=LONGEST).contains(n));
    let bytes = &mut bytes[..length.ok_or(Errno::INVAL)?];
    memory.read_exact_at(bytes, asked.data.args[1]).map_err(|_| Errno::FAULT)?;
    Ok(bytes)
}

fn go(socket: &OwnedFd, bytes: &[u8], thread: u32, allowed: &Allowed) -> Result<(), Errno> {
    match i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) {
        libc::AF_INET | libc::AF_INET6 => {
            let to = internet(bytes).ok_or(Errno::INVAL)?;
            let plain = SocketAddr::new(to.ip().to_canonical(), to.port());
            if !allowed.alone && Some(plain) != allowed.proxy {
                return Err(Errno::ACCESS);
            }
            rustix::net::connect(socket, &to)
        }
        libc::AF_UNIX => local(thread, socket, &bytes[2..], allowed),
        _ => Err(Errno::ACCESS),
    }
}

/// As `judge`, with a socket of ours in the place of the child's.
#[allow(unsafe_code)]
fn replace(asks: &OwnedFd, asked: &libc::seccomp_notif, allowed: &Allowed) -> Result<(), Errno> {
    if libc::c_long::from(asked.data.nr) != libc::SYS_connect || allowed.alone {
        return Err(Errno::ACCESS);
    }
    let (thread, fd) = (asked.pid, asked.data.args[0] as i32);
    let link = std::fs::read_link(format!("/proc/{thread}/fd/{fd}")).map_err(|_| Errno::BADF)?;
    if !link.as_os_str().as_bytes().starts_with(b"socket:") {
        return Err(Errno::NOTSOCK);
    }
    let info = std::fs::read_to_string(format!("/proc/{thread}/fdinfo/{fd}")).map_err(|_| Errno::BADF)?;
    let flags = info.lines().find_map(|l| l.strip_prefix("flags:")).map(str::trim);
    let flags = flags.and_then(|f| i32::from_str_radix(f, 8).ok()).ok_or(Errno::BADF)?;
    let memory = std::fs::File::open(format!("/proc/{thread}/mem")).map_err(os)?;
    let mut bytes = [0u8; LONGEST];
    let bytes = address(&memory, asked, &mut bytes)?;
    waits(asks, asked.id)?;
    let family = AddressFamily::from_raw(u16::from_ne_bytes([bytes[0], bytes[1]]));
    if ![AddressFamily::INET, AddressFamily::INET6, AddressFamily::UNIX].contains(&family) {
        return Err(Errno::ACCESS);
    }
    let wait = if flags & libc::O_NONBLOCK == 0 { SocketFlags::empty() } else { SocketFlags::NONBLOCK };
    let ours = rustix::net::socket_with(family, SocketType::STREAM, wait | SocketFlags::CLOEXEC, None)?;
    let done = go(&ours, bytes, thread, allowed);
    if !matches!(done, Ok(()) | Err(Errno::INPROGRESS)) {
        return done;
    }
    let add = libc::seccomp_notif_addfd {
        id: asked.id,
        flags: libc::SECCOMP_ADDFD_FLAG_SETFD as u32,
        srcfd: ours.as_raw_fd() as u32,
        newfd: fd as u32,
        newfd_flags: (flags & libc::O_CLOEXEC) as u32,
    };
    // SAFETY: the kernel reads the structure, which outlives the call.
    if unsafe { libc::ioctl(asks.as_raw_fd(), ADDFD, &raw const add) } < 0 {
        return Err(os(std::io::Error::last_os_error()));
    }
    done
}

fn os(error: std::io::Error) -> Errno {
    Errno::from_io_error(&error).unwrap_or(Errno::ACCESS)
}

/// A copy of the child's descriptor.
fn socket(thread: u32, fd: i32) -> Result<OwnedFd, Errno> {
    let status = std::fs::read_to_string(format!("/proc/{thread}/status")).map_err(os)?;
    let process = status.lines().find_map(|l| l.strip_prefix("Tgid:")).and_then(|n| n.trim().parse().ok());
    let process = process.and_then(Pid::from_raw).ok_or(Errno::SRCH)?;
    let process = pidfd_open(process, PidfdFlags::empty())?;
    let copy = pidfd_getfd(&process, fd, PidfdGetfdFlags::empty())?;
    let kind = rustix::fs::fstat(&copy).map(|s| FileType::from_raw_mode(s.st_mode))?;
    if kind == FileType::Socket { Ok(copy) } else { Err(Errno::NOTSOCK) }
}

fn internet(bytes: &[u8]) -> Option<SocketAddr> {
    let port = u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?);
    if i32::from(u16::from_ne_bytes([bytes[0], bytes[1]])) == libc::AF_INET {
        let address: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
        return (bytes.len() >= 16).then(|| SocketAddr::new(Ipv4Addr::from(address).into(), port));
    }
    let address: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
    Some(SocketAddr::new(Ipv6Addr::from(address).into(), port))
}

/// A socket of a process, by its path as the child sees it. An abstract one has none, and is one of the namespace's.
fn local(thread: u32, socket: &OwnedFd, name: &[u8], allowed: &Allowed) -> Result<(), Errno> {
    if name.first().is_none_or(|b| *b == 0) {
        if !allowed.alone || name.len() < 2 {
            return Err(Errno::ACCESS);
        }
        return rustix::net::connect(socket, &SocketAddrUnix::new_abstract_name(&name[1..])?);
    }
    let end = name.iter().position(|b| *b == 0).unwrap_or(name.len());
    let path = Path::new(OsStr::from_bytes(&name[..end]));
    let base = PathBuf::from(format!("/proc/{thread}/cwd"));
    // An absolute path takes the place of the base: the child has no root of its own.
    let file = rustix::fs::open(base.join(path), OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    let own = format!("/proc/self/fd/{}", file.as_raw_fd());
    let real = std::fs::read_link(&own).map_err(os)?;
    if !allowed.sockets.iter().any(|directory| real.starts_with(directory)) {
        return Err(Errno::ACCESS);
    }
    let address: SocketAddrAny = SocketAddrUnix::new(own.as_str())?.into();
    rustix::net::connect(socket, &address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_kernel_does() {
        let mut v4 = [0u8; 16];
        v4[..8].copy_from_slice(&[2, 0, 0x0c, 0x38, 127, 0, 0, 1]);
        assert_eq!(internet(&v4), Some("127.0.0.1:3128".parse().unwrap()));
        assert_eq!(internet(&v4[..8]), None, "too short");
        let mut v6 = [0u8; 28];
        v6[..4].copy_from_slice(&[10, 0, 0, 80]);
        v6[23] = 1;
        assert_eq!(internet(&v6), Some("[::1]:80".parse().unwrap()));
    }
}
