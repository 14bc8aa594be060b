//! What a child tells the gateway between fork and exec, and its init afterwards: over a pair of sockets, one message at a time.
//!
//! The child sends with system calls only (no allocation). The gateway reads what is there after the start, and the last
//! message after the end.

use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// A message.
#[derive(Debug)]
pub(super) enum Word {
    /// The socket on which the proxy listens, in the child's network namespace.
    Listener(OwnedFd),
    /// The descriptor on which the kernel asks about `connect`.
    Asks(OwnedFd),
    /// A step failed.
    Failed(Step),
    /// Wait status of the program, from the process that keeps it.
    Ended(i32),
}

/// What a child does before it becomes the program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Step {
    Session,
    Group,
    Limits,
    Namespaces,
    Fork,
    Mounts,
    Network,
    Privileges,
    Landlock,
    Filter,
    Exec,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Session,
        Self::Group,
        Self::Limits,
        Self::Namespaces,
        Self::Fork,
        Self::Mounts,
        Self::Network,
        Self::Privileges,
        Self::Landlock,
        Self::Filter,
        Self::Exec,
    ];

    pub fn words(self) -> &'static str {
        match self {
            Self::Session => "making a session of its own",
            Self::Group => "entering its control group",
            Self::Limits => "setting its limits",
            Self::Namespaces => "making namespaces",
            Self::Fork => "making the process that keeps it",
            Self::Mounts => "mounting /proc and /dev/shm of its own",
            Self::Network => "setting up its network",
            Self::Privileges => "giving up privileges",
            Self::Landlock => "entering its Landlock rules",
            Self::Filter => "entering its filter of system calls",
            Self::Exec => "executing the program",
        }
    }
}

pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

/// Send a descriptor. System calls only.
pub(super) fn send_fd(channel: BorrowedFd<'_>, tag: u8, fd: BorrowedFd<'_>) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
    }
    sendmsg(channel, &[IoSlice::new(&[tag])], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

pub(super) const LISTENER: u8 = b'L';
pub(super) const ASKS: u8 = b'A';

pub(super) fn send_failed(channel: BorrowedFd<'_>, step: Step) {
    let _ = rustix::net::send(channel, &[b'F', step as u8], SendFlags::NOSIGNAL);
}

pub(super) fn send_ended(channel: BorrowedFd<'_>, status: i32) {
    let [a, b, c, d] = status.to_ne_bytes();
    let _ = rustix::net::send(channel, &[b'E', a, b, c, d], SendFlags::NOSIGNAL);
}

/// The next message that is there already.
pub(super) fn receive(channel: impl AsFd) -> Option<Word> {
    let mut bytes = [0u8; 8];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    let got = recvmsg(channel, &mut [IoSliceMut::new(&mut bytes)], &mut control, flags).ok()?;
    let fd = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    match (bytes[0], got.bytes, fd) {
        (LISTENER, 1, Some(fd)) => Some(Word::Listener(fd)),
        (ASKS, 1, Some(fd)) => Some(Word::Asks(fd)),
        (b'F', 2, _) => Step::ALL.get(usize::from(bytes[1])).map(|step| Word::Failed(*step)),
        (b'E', 5, _) => Some(Word::Ended(i32::from_ne_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]))),
        _ => None,
    }
}
