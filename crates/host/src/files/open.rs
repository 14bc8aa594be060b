//! The system calls, each in its one safe form, and what their errors mean to a caller.
//!
//! Used by the other files of this folder. Invariant: nothing but a directory or a path handle (`O_PATH`) is opened
//! before it is known to be a regular file, so no device is touched and no pipe waited for.

use super::{FileKind, Meta};
use crate::HostError;
use rustix::fs::{FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use toolgate_core::Kind;

/// Open `relative` beneath `dir` as the kernel resolves it; nothing can lead out (`XDEV` then).
pub(super) fn beneath(dir: BorrowedFd<'_>, relative: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
    // AGAIN: a rename elsewhere kept the kernel from being sure of a `..`.
    for _ in 0..32 {
        let opened = rustix::fs::openat2(
            dir,
            relative,
            flags | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS,
        );
        if !matches!(opened, Err(Errno::AGAIN | Errno::INTR)) {
            return opened;
        }
    }
    Err(Errno::AGAIN)
}

/// One entry of a directory, not followed, as a path handle.
pub(super) fn entry(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// One subdirectory, not followed, readable.
pub(super) fn subdirectory(dir: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::empty())
}

/// A readable handle of a directory from its path handle.
pub(super) fn readable_directory(dir: BorrowedFd<'_>) -> rustix::io::Result<OwnedFd> {
    subdirectory(dir, OsStr::new("."))
}

/// Where a handle is now, by the kernel's word.
pub(super) fn real_path(fd: BorrowedFd<'_>) -> rustix::io::Result<PathBuf> {
    let path = rustix::fs::readlink(format!("/proc/self/fd/{}", fd.as_raw_fd()), Vec::new())?;
    Ok(PathBuf::from(std::ffi::OsString::from_vec(path.into_bytes())))
}

/// The same file again with other access; only for what is known to be a regular file.
pub(super) fn reopen(fd: BorrowedFd<'_>, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    rustix::fs::open(format!("/proc/self/fd/{}", fd.as_raw_fd()), flags, Mode::empty())
}

pub(super) fn is_file(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

pub(super) fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}

/// Fills at most `max` bytes from `offset`.
pub(super) fn read_at(fd: impl AsFd, offset: u64, max: usize) -> rustix::io::Result<Vec<u8>> {
    const STEP: usize = 256 << 10;
    let mut bytes = Vec::new();
    while bytes.len() < max {
        let start = bytes.len();
        bytes.resize(start + STEP.min(max - start), 0);
        match rustix::io::pread(&fd, &mut bytes[start..], offset.saturating_add(start as u64)) {
            Ok(0) => {
                bytes.truncate(start);
                break;
            }
            Ok(n) => bytes.truncate(start + n),
            Err(Errno::INTR) => bytes.truncate(start),
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

pub(super) fn meta(shown: &Path, stat: &Stat) -> Meta {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => FileKind::File,
        FileType::Directory => FileKind::Directory,
        FileType::Symlink => FileKind::Symlink,
        _ => FileKind::Other,
    };
    let modified = jiff::Timestamp::new(stat.st_mtime, i32::try_from(stat.st_mtime_nsec).unwrap_or(0)).ok();
    Meta {
        path: shown.to_string_lossy().into_owned(),
        name: shown.file_name().unwrap_or(shown.as_os_str()).to_string_lossy().into_owned(),
        kind,
        size: u64::try_from(stat.st_size).unwrap_or(0),
        modified: modified.map(|t| t.to_string()),
        mode: format!("{:03o}", stat.st_mode & 0o7777),
    }
}

/// What an error of the system means for the path that the caller named.
pub(super) fn fault(error: Errno, shown: &Path) -> HostError {
    let path = shown.display();
    let (kind, text) = match error {
        Errno::NOENT => (Kind::NotFound, format!("{path} does not exist")),
        Errno::NOTDIR => {
            (Kind::NotFound, format!("{path} does not exist: a part of the path is not a directory"))
        }
        Errno::ACCESS | Errno::PERM => {
            (Kind::Forbidden, format!("{path}: the operating system does not permit this to the gateway"))
        }
        Errno::LOOP => (Kind::Forbidden, format!("{path}: too many or forbidden symbolic links")),
        Errno::ISDIR => (Kind::Invalid, format!("{path} is a directory")),
        Errno::NAMETOOLONG => (Kind::Invalid, format!("{path}: a name of the path is too long")),
        Errno::INVAL => (Kind::Invalid, format!("{path}: the file system does not accept this")),
        Errno::EXIST => (Kind::Conflict, format!("{path} exists already")),
        Errno::NOTEMPTY => (Kind::Conflict, format!("{path} is a directory that is not empty")),
        Errno::BUSY | Errno::TXTBSY => (Kind::Conflict, format!("{path} is in use")),
        Errno::AGAIN => (Kind::Conflict, format!("{path} changed while it was being opened; try again")),
        Errno::FBIG => (Kind::TooLarge, format!("{path}: the file system does not hold a file this large")),
        Errno::NOSPC | Errno::DQUOT => (Kind::Unavailable, format!("{path}: the disk is full")),
        Errno::ROFS => (Kind::Unavailable, format!("{path}: the file system is mounted read-only")),
        Errno::MFILE | Errno::NFILE => (Kind::Unavailable, "too many open files; try again later".into()),
        other => (
            Kind::Unavailable,
            format!("{path}: {}", std::io::Error::from_raw_os_error(other.raw_os_error())),
        ),
    };
    HostError::new(kind, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_disk_refuses_is_told_from_what_the_caller_may_not() {
        let path = Path::new("/w/a");
        for (error, kind, part) in [
            (Errno::NOSPC, Kind::Unavailable, "full"),
            (Errno::DQUOT, Kind::Unavailable, "full"),
            (Errno::ROFS, Kind::Unavailable, "read-only"),
            (Errno::IO, Kind::Unavailable, "/w/a"),
            (Errno::ACCESS, Kind::Forbidden, "/w/a"),
            (Errno::NOENT, Kind::NotFound, "/w/a"),
            (Errno::EXIST, Kind::Conflict, "/w/a"),
        ] {
            let fault = fault(error, path);
            assert!(fault.kind == kind && fault.message.contains(part), "{fault:?}");
        }
    }
}
