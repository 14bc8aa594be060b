//! Making and changing files, directories and names.
//!
//! Called by `Files` on a blocking thread. Invariants: the directory is verified first and everything happens in its
//! handle; the last name is never followed if it is a link; whole files appear by a rename only.

use super::WriteMode;
use super::denied::Denied;
use super::open::{entry, fault, is_directory, is_file, readable_directory, reopen, subdirectory};
use super::roots::{Place, Roots, not_special, split};
use crate::HostError;
use rustix::fs::{AtFlags, Mode, OFlags, RenameFlags, Stat};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use toolgate_core::Kind;

const LARGEST_WRITE: usize = 100 << 20;

pub(super) fn write(
    roots: &Roots,
    path: &str,
    bytes: &[u8],
    mode: WriteMode,
    create_dirs: bool,
) -> Result<(u64, bool), HostError> {
    let shown = roots.named(path)?;
    if bytes.len() > LARGEST_WRITE {
        return Err(HostError::new(
            Kind::TooLarge,
            format!("{} bytes are too many for one write; {LARGEST_WRITE} are the most", bytes.len()),
        ));
    }
    if path.ends_with('/') {
        return Err(HostError::new(Kind::Invalid, format!("{path} ends in `/`; name a file")));
    }
    let (parent, name, made) = match roots.parent(&shown) {
        Err(e) if e.kind == Kind::NotFound && create_dirs => {
            let (above, name) = split(&shown)?;
            let parent = make_directories(roots, above)?;
            roots.allow_entry(&parent, &name)?;
            (parent, name, true)
        }
        Err(e) if e.kind == Kind::NotFound => {
            return Err(HostError::new(e.kind, format!("{e}; create the directory first, or ask for it")));
        }
        other => {
            let (parent, name) = other?;
            (parent, name, false)
        }
    };
    let size = match mode {
        WriteMode::Append => append(roots, &parent, &name, bytes, &shown)?,
        WriteMode::Replace => replace(roots, &parent, &name, bytes, &shown)?,
        WriteMode::CreateNew => create_new(&parent, &name, bytes, &shown)?,
    };
    Ok((size, made))
}

fn replace(
    roots: &Roots,
    parent: &Place,
    name: &OsStr,
    bytes: &[u8],
    shown: &Path,
) -> Result<u64, HostError> {
    let old = look(parent, name).map_err(|e| fault(e, shown))?;
    let old = match old {
        // A link is replaced, not followed.
        Some(stat) if rustix::fs::FileType::from_raw_mode(stat.st_mode) == rustix::fs::FileType::Symlink => {
            None
        }
        Some(stat) => {
            not_special(&stat, shown)?;
            if roots.denied.is_linked(&stat) {
                return Err(Denied::error());
            }
            Some(stat)
        }
        None => None,
    };
    let whole = || {
        let draft = Draft::new(parent, old.as_ref(), bytes)?;
        rustix::fs::renameat(&parent.fd, &draft.name, &parent.fd, name)?;
        draft.placed();
        sync(parent)
    };
    whole().map_err(|e| fault(e, shown))?;
    Ok(bytes.len() as u64)
}

fn create_new(parent: &Place, name: &OsStr, bytes: &[u8], shown: &Path) -> Result<u64, HostError> {
    let whole = || {
        // Before the bytes are written; the rename decides.
        if look(parent, name)?.is_some() {
            return Err(Errno::EXIST);
        }
        let draft = Draft::new(parent, None, bytes)?;
        match rustix::fs::renameat_with(&parent.fd, &draft.name, &parent.fd, name, RenameFlags::NOREPLACE) {
            Ok(()) => draft.placed(),
            // A file system without it; a hard link does not replace either. The draft's name goes with `draft`.
            Err(Errno::INVAL | Errno::NOSYS) => {
                rustix::fs::linkat(&parent.fd, &draft.name, &parent.fd, name, AtFlags::empty())?;
            }
            Err(e) => return Err(e),
        }
        sync(parent)
    };
    whole().map_err(|e| fault(e, shown))?;
    Ok(bytes.len() as u64)
}

fn append(roots: &Roots, parent: &Place, name: &OsStr, bytes: &[u8], shown: &Path) -> Result<u64, HostError> {
    let wrong = |e| fault(e, shown);
    let handle = match entry(parent.fd.as_fd(), name) {
        Ok(handle) => Some(handle),
        Err(Errno::NOENT) => None,
        Err(e) => return Err(wrong(e)),
    };
    let file = match handle {
        Some(handle) => {
            let stat = rustix::fs::fstat(&handle).map_err(wrong)?;
            not_special(&stat, shown)?;
            roots
                .verified(handle, shown)
                .and_then(|place| reopen(place.fd.as_fd(), OFlags::WRONLY | OFlags::APPEND).map_err(wrong))?
        }
        None => {
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW;
            let mode = Mode::from_raw_mode(0o666);
            rustix::fs::openat(&parent.fd, name, flags | OFlags::CLOEXEC, mode).map_err(wrong)?
        }
    };
    let whole = || {
        put(&file, bytes)?;
        rustix::fs::fdatasync(&file)?;
        Ok(rustix::fs::fstat(&file)?.st_size)
    };
    let size = whole().map_err(wrong)?;
    Ok(u64::try_from(size).unwrap_or(0))
}

pub(super) fn create_directory(roots: &Roots, path: &str) -> Result<(), HostError> {
    let shown = roots.named(path)?;
    match roots.place(&shown) {
        Ok(place) if is_directory(&place.stat) => Ok(()),
        Ok(_) => {
            Err(HostError::new(Kind::Conflict, format!("{} exists and is not a directory", shown.display())))
        }
        Err(e) if e.kind == Kind::NotFound => make_directories(roots, &shown).map(drop),
        Err(e) => Err(e),
    }
}

/// Make a directory and what is missing above it, one at a time, each in its parent's handle.
fn make_directories(roots: &Roots, shown: &Path) -> Result<Place, HostError> {
    let mut missing = Vec::new();
    let mut above = shown;
    let mut at = loop {
        match roots.place(above) {
            Ok(place) if is_directory(&place.stat) => break place,
            Ok(_) => {
                return Err(HostError::new(
                    Kind::Conflict,
                    format!("{} exists and is not a directory", above.display()),
                ));
            }
            Err(e) if e.kind == Kind::NotFound => {
                let (parent, name) = split(above)?;
                missing.push(name);
                above = parent;
            }
            Err(e) => return Err(e),
        }
    };
    // Judge the whole way before the first directory is made.
    let rest: std::path::PathBuf = missing.iter().rev().collect();
    let whole = at.real.join(rest);
    if roots.denied.covers(&whole) {
        return Err(Denied::error());
    }
    if Denied::is_started(&whole) {
        return Err(Denied::started_error());
    }
    for name in missing.iter().rev() {
        roots.allow_entry(&at, name)?;
        let shown = at.shown.join(name);
        match rustix::fs::mkdirat(&at.fd, name, Mode::from_raw_mode(0o777)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(fault(e, &shown)),
        }
        // Not followed: a link that leads nowhere, or that appeared just now, ends it.
        let below = subdirectory(at.fd.as_fd(), name).map_err(|e| match e {
            Errno::NOTDIR | Errno::LOOP => fault(Errno::EXIST, &shown),
            e => fault(e, &shown),
        })?;
        at = roots.verified(below, &shown)?;
    }
    Ok(at)
}

pub(super) fn rename(roots: &Roots, from: &str, to: &str, replace: bool) -> Result<(), HostError> {
    let (from, to) = (roots.named(from)?, roots.named(to)?);
    let (old_parent, old_name) = roots.parent(&from)?;
    let (new_parent, new_name) = roots.parent(&to)?;
    let stat = look(&old_parent, &old_name)
        .and_then(|found| found.ok_or(Errno::NOENT))
        .map_err(|e| fault(e, &from))?;
    if is_file(&stat) && roots.denied.is_linked(&stat) {
        return Err(Denied::error());
    }
    for (parent, name) in [(&old_parent, &old_name), (&new_parent, &new_name)] {
        if is_directory(&stat) && roots.holds_fixed_place(&parent.real.join(name)) {
            return Err(Denied::error());
        }
    }
    let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
    let renamed = match rustix::fs::renameat_with(&old_parent.fd, &old_name, &new_parent.fd, &new_name, flags)
    {
        Err(Errno::INVAL) if new_parent.real.starts_with(old_parent.real.join(&old_name)) => {
            let text = format!("{} cannot be moved into itself", from.display());
            return Err(HostError::new(Kind::Invalid, text));
        }
        Err(Errno::INVAL) if !replace => {
            let text = "the file system cannot rename without replacing; ask for replacing if that is meant";
            return Err(HostError::new(Kind::Unsupported, text));
        }
        Err(Errno::XDEV) => {
            let text = "the two places are on different file systems; write the file there instead";
            return Err(HostError::new(Kind::Invalid, text));
        }
        other => other,
    };
    renamed.map_err(|e| fault(e, &to))?;
    sync(&old_parent).and_then(|()| sync(&new_parent)).map_err(|e| fault(e, &to))
}

/// The entry itself, not what a link leads to.
fn look(parent: &Place, name: &OsStr) -> rustix::io::Result<Option<Stat>> {
    match rustix::fs::statat(&parent.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

fn put(file: &OwnedFd, mut bytes: &[u8]) -> rustix::io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(file, bytes) {
            Ok(0) => return Err(Errno::IO),
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A name is on disk when its directory is.
fn sync(place: &Place) -> rustix::io::Result<()> {
    match rustix::fs::fsync(readable_directory(place.fd.as_fd())?) {
        // Not offered for directories by every file system.
        Err(Errno::INVAL) => Ok(()),
        other => other,
    }
}

/// A file under a name of ours, whole and on disk; removed unless it was given its place.
struct Draft<'a> {
    parent: &'a Place,
    name: OsString,
}

impl<'a> Draft<'a> {
    fn new(parent: &'a Place, old: Option<&Stat>, bytes: &[u8]) -> rustix::io::Result<Self> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        // What replaces a private file is never readable by others, not even for a moment.
        let mode = Mode::from_raw_mode(if old.is_some() { 0o600 } else { 0o666 });
        let mut tries = 0;
        let (draft, file) = loop {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let now = jiff::Timestamp::now().as_nanosecond();
            let name = OsString::from(format!(".toolgate-{}-{count}-{now:x}.tmp", std::process::id()));
            match rustix::fs::openat(&parent.fd, &name, flags, mode) {
                Ok(file) => break (Self { parent, name }, file),
                Err(Errno::EXIST) if tries < 8 => tries += 1,
                Err(e) => return Err(e),
            }
        };
        put(&file, bytes)?;
        if let Some(old) = old {
            let new = rustix::fs::fstat(&file)?;
            if (old.st_uid, old.st_gid) != (new.st_uid, new.st_gid) {
                let (user, group) =
                    (rustix::fs::Uid::from_raw(old.st_uid), rustix::fs::Gid::from_raw(old.st_gid));
                // Only a privileged gateway can; then the file stays its owner's.
                let _ = rustix::fs::fchown(&file, Some(user), Some(group));
            }
            // Never setuid, setgid or sticky.
            rustix::fs::fchmod(&file, Mode::from_raw_mode(old.st_mode & 0o777))?;
        }
        rustix::fs::fsync(&file)?;
        Ok(draft)
    }

    /// The name is no longer ours to remove.
    fn placed(mut self) {
        self.name.clear();
    }
}

impl Drop for Draft<'_> {
    fn drop(&mut self) {
        if !self.name.is_empty() {
            let _ = rustix::fs::unlinkat(&self.parent.fd, &self.name, AtFlags::empty());
        }
    }
}
