//! Looking into directories: one level (`list`) or all of them (`walk`).
//!
//! Called by `Files` on a blocking thread. Invariants: no link is followed; each directory is opened from its parent's
//! handle and judged by its real path; closed places are not shown.

use super::open::{
    entry, fault, is_directory, is_file, meta, read_at, readable_directory, reopen, subdirectory,
};
use super::roots::{Place, Roots};
use super::{Meta, ReadFile, WalkEnd, WalkOptions};
use crate::HostError;
use rustix::fs::{AtFlags, Dir, FileType, OFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Names read of one directory; beyond that it is shown in part.
const MOST_NAMES: usize = 200_000;
/// One handle is open per level.
const DEEPEST: usize = 128;
const LARGEST_READ: usize = 64 << 20;

struct Name {
    name: OsString,
    /// By the directory's word; `None` where the file system does not say.
    directory: Option<bool>,
}

/// Open names of a directory that are not closed, unsorted; with whether some are left out for their number.
fn names(roots: &Roots, dir: &OwnedFd, real: &Path, hidden: bool) -> Result<(Vec<Name>, bool), Errno> {
    let mut found = Vec::new();
    for item in Dir::read_from(dir)? {
        let item = item?;
        let bytes = item.file_name().to_bytes();
        if matches!(bytes, b"." | b"..") || (!hidden && bytes.starts_with(b".")) {
            continue;
        }
        let name = OsStr::from_bytes(bytes);
        if roots.denied.covers(&real.join(name)) {
            continue;
        }
        if found.len() == MOST_NAMES {
            return Ok((found, true));
        }
        let directory = match item.file_type() {
            FileType::Unknown => None,
            kind => Some(kind == FileType::Directory),
        };
        found.push(Name { name: name.to_owned(), directory });
    }
    Ok((found, false))
}

pub(super) fn list(
    roots: &Roots,
    path: &str,
    hidden: bool,
    max: usize,
) -> Result<(Vec<Meta>, bool), HostError> {
    let place = roots.directory(&roots.named(path)?)?;
    let wrong = |e| fault(e, &place.shown);
    let dir = readable_directory(place.fd.as_fd()).map_err(wrong)?;
    let (mut found, mut more) = names(roots, &dir, &place.real, hidden).map_err(wrong)?;
    for name in &mut found {
        if name.directory.is_none() {
            let stat = rustix::fs::statat(&dir, &name.name, AtFlags::SYMLINK_NOFOLLOW);
            name.directory = Some(stat.is_ok_and(|s| is_directory(&s)));
        }
    }
    found.sort_unstable_by(|a, b| b.directory.cmp(&a.directory).then_with(|| a.name.cmp(&b.name)));
    more |= found.len() > max;
    let metas = found.iter().take(max).filter_map(|name| {
        // Gone since: not an entry any more.
        let stat = rustix::fs::statat(&dir, &name.name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        Some(meta(&place.shown.join(&name.name), &stat))
    });
    Ok((metas.collect(), more))
}

/// Ends a walk when its future is dropped.
#[derive(Default)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    pub fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for Stop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

pub(super) fn walk<F>(
    roots: &Roots,
    path: &str,
    options: &WalkOptions,
    visit: F,
    stop: &AtomicBool,
) -> Result<WalkEnd, HostError>
where
    F: FnMut(&Meta, &dyn ReadFile) -> bool,
{
    let place = roots.directory(&roots.named(path)?)?;
    let dir = readable_directory(place.fd.as_fd()).map_err(|e| fault(e, &place.shown))?;
    let mut walk = Walk { roots, options, visit, stop, left: options.max_entries, cut: false };
    let end = walk.enter(&dir, &place.real, &place.shown, 0);
    Ok(match end {
        WalkEnd::Complete if walk.cut => WalkEnd::Limited,
        end => end,
    })
}

struct Walk<'a, F> {
    roots: &'a Roots,
    options: &'a WalkOptions,
    visit: F,
    stop: &'a AtomicBool,
    left: usize,
    /// Something was left out by our own bounds.
    cut: bool,
}

impl<F: FnMut(&Meta, &dyn ReadFile) -> bool> Walk<'_, F> {
    fn enter(&mut self, dir: &OwnedFd, real: &Path, shown: &Path, depth: usize) -> WalkEnd {
        let Ok((mut found, cut)) = names(self.roots, dir, real, self.options.hidden) else {
            return WalkEnd::Complete;
        };
        self.cut |= cut;
        found.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        for Name { name, .. } in found {
            if self.stop.load(Ordering::Relaxed) {
                return WalkEnd::Stopped;
            }
            if self.left == 0 {
                return WalkEnd::Limited;
            }
            let Ok(stat) = rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            self.left -= 1;
            let shown = shown.join(&name);
            let file = Entry { roots: self.roots, dir: dir.as_fd(), name: &name };
            if !(self.visit)(&meta(&shown, &stat), &file) {
                return WalkEnd::Stopped;
            }
            if !is_directory(&stat) || depth >= self.options.max_depth {
                continue;
            }
            if depth + 1 >= DEEPEST {
                self.cut = true;
                continue;
            }
            let Ok(below) = subdirectory(dir.as_fd(), &name) else { continue };
            // The real path again: the directory may have been moved out or into a closed place meanwhile.
            let Ok(Place { fd, real, .. }) = self.roots.verified(below, &shown) else { continue };
            match self.enter(&fd, &real, &shown, depth + 1) {
                WalkEnd::Complete => {}
                end => return end,
            }
        }
        WalkEnd::Complete
    }
}

struct Entry<'a> {
    roots: &'a Roots,
    dir: BorrowedFd<'a>,
    name: &'a OsStr,
}

impl ReadFile for Entry<'_> {
    fn read(&self, max: usize) -> std::io::Result<Vec<u8>> {
        let handle = entry(self.dir, self.name)?;
        let stat = rustix::fs::fstat(&handle)?;
        if !is_file(&stat) {
            return Err(std::io::Error::other("not a regular file"));
        }
        if self.roots.denied.is_linked(&stat) {
            return Err(std::io::ErrorKind::PermissionDenied.into());
        }
        let file = reopen(handle.as_fd(), OFlags::RDONLY)?;
        Ok(read_at(&file, 0, max.min(LARGEST_READ))?)
    }
}
