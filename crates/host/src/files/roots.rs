//! `Roots`: from a path as a caller writes it to a handle, with all rules asked.
//!
//! Every operation of `Files` starts here. Invariants: a `Place` is beneath a root and not closed, by its real path; the
//! root that counts for writing is the deepest one that the real path is in, however the path was written.

use super::Root;
use super::denied::{Denied, lexical};
use super::open::{beneath, fault, is_directory, is_file, real_path};
use crate::HostError;
use rustix::fs::{Mode, OFlags, Stat};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use toolgate_core::Kind;

const LONGEST_PATH: usize = 4096;

pub(super) struct Roots {
    given: Vec<Root>,
    /// Beside `given`.
    opened: Vec<Opened>,
    pub denied: Denied,
}

struct Opened {
    dir: OwnedFd,
    real: PathBuf,
}

/// Something that exists beneath a root and may be used.
pub(super) struct Place {
    /// A path handle (`O_PATH`).
    pub fd: OwnedFd,
    pub stat: Stat,
    pub real: PathBuf,
    /// As the caller would name it.
    pub shown: PathBuf,
    root: usize,
}

impl Roots {
    pub fn open(given: Vec<Root>, denied: Vec<PathBuf>) -> Result<Self, HostError> {
        let mut problems = Vec::new();
        let denied = Denied::new(denied).unwrap_or_else(|problem| {
            problems.push(problem);
            Denied::none()
        });
        let mut opened: Vec<Opened> = Vec::new();
        let mut kept: Vec<Root> = Vec::new();
        for (index, root) in given.into_iter().enumerate() {
            match open_root(&root.path, &denied) {
                Err(why) => problems.push(format!("files.roots[{index}] `{}`: {why}", root.path.display())),
                Ok(new) if opened.iter().any(|o| o.real == new.real) => {
                    problems.push(format!("files.roots[{index}] `{}` is named twice", root.path.display()));
                }
                Ok(new) => {
                    kept.push(Root { path: lexical(&root.path), ..root });
                    opened.push(new);
                }
            }
        }
        if !problems.is_empty() {
            return Err(HostError::new(Kind::Invalid, problems.join("; ")));
        }
        Ok(Self { given: kept, opened, denied })
    }

    pub fn given(&self) -> &[Root] {
        &self.given
    }

    /// The absolute path that a caller means. No link is looked at.
    pub fn named(&self, path: &str) -> Result<PathBuf, HostError> {
        let invalid = |text: String| Err(HostError::new(Kind::Invalid, text));
        if path.is_empty() {
            return invalid("the path is empty; `.` is the directory where relative paths start".into());
        }
        if path.len() > LONGEST_PATH {
            return invalid(format!("the path is longer than {LONGEST_PATH} bytes"));
        }
        if path.contains('\0') {
            return invalid("the path has a NUL character in it".into());
        }
        if path == "~" || path.starts_with("~/") {
            return invalid(format!(
                "`~` is not expanded; write an absolute path. Allowed: {}",
                self.describe()
            ));
        }
        let path = Path::new(path);
        if path.is_absolute() {
            return Ok(path.components().collect());
        }
        match self.given.iter().find(|r| r.write).or(self.given.first()) {
            Some(base) => Ok(base.path.join(path).components().collect()),
            None => Err(self.outside(path)),
        }
    }

    /// Something that exists.
    pub fn place(&self, shown: &Path) -> Result<Place, HostError> {
        let Some((root, relative)) = self.find(shown) else { return Err(self.outside(shown)) };
        if self.denied.covers(&lexical(&self.opened[root].real.join(relative))) {
            return Err(Denied::error());
        }
        match beneath(self.opened[root].dir.as_fd(), relative, OFlags::PATH) {
            Ok(fd) => self.verified(fd, shown),
            Err(Errno::XDEV) => self.place_around(shown),
            Err(e @ (Errno::NOENT | Errno::NOTDIR)) => Err(self.missing(root, relative, shown, e)),
            Err(e) => Err(fault(e, shown)),
        }
    }

    /// The kernel stopped at the root's edge: an absolute link, or a `..` on the way into a root. Ask where the path
    /// leads, and have the kernel go there beneath a root; if that answer was a trick, the kernel stops again.
    fn place_around(&self, shown: &Path) -> Result<Place, HostError> {
        let real = std::fs::canonicalize(shown).map_err(|_| self.outside(shown))?;
        let (root, relative) = self.find(&real).ok_or_else(|| self.outside(shown))?;
        match beneath(self.opened[root].dir.as_fd(), relative, OFlags::PATH) {
            Ok(fd) => self.verified(fd, shown),
            Err(_) => Err(self.outside(shown)),
        }
    }

    /// Ask the rules about where a handle really is.
    pub fn verified(&self, fd: OwnedFd, shown: &Path) -> Result<Place, HostError> {
        let stat = rustix::fs::fstat(&fd).map_err(|e| fault(e, shown))?;
        if stat.st_nlink == 0 {
            return Err(fault(Errno::NOENT, shown));
        }
        let real = real_path(fd.as_fd()).map_err(|e| fault(e, shown))?;
        if self.denied.covers(&real) || (is_file(&stat) && self.denied.is_linked(&stat)) {
            return Err(Denied::error());
        }
        let root = self.root_of(&real).ok_or_else(|| self.outside(shown))?;
        Ok(Place { fd, stat, real, shown: shown.to_owned(), root })
    }

    /// A directory that exists.
    pub fn directory(&self, shown: &Path) -> Result<Place, HostError> {
        let place = self.place(shown)?;
        if !is_directory(&place.stat) {
            return Err(HostError::new(Kind::Invalid, format!("{} is not a directory", shown.display())));
        }
        Ok(place)
    }

    /// A regular file that exists.
    pub fn file(&self, shown: &Path) -> Result<Place, HostError> {
        let place = self.place(shown)?;
        not_special(&place.stat, shown)?;
        Ok(place)
    }

    /// The existing directory of an entry that is to be made or changed, and the entry's name; both open to writing.
    pub fn parent(&self, shown: &Path) -> Result<(Place, OsString), HostError> {
        let (above, name) = split(shown)?;
        if self.find(shown).is_some_and(|(_, relative)| relative.as_os_str().is_empty()) {
            return Err(HostError::new(
                Kind::Invalid,
                format!("{} is an allowed directory itself; name something in it", shown.display()),
            ));
        }
        if self.find(shown).is_none() {
            return Err(self.outside(shown));
        }
        let parent = self.directory(above)?;
        self.allow_entry(&parent, &name)?;
        Ok((parent, name))
    }

    /// Whether an entry of this directory may be made or changed.
    pub fn allow_entry(&self, parent: &Place, name: &OsString) -> Result<(), HostError> {
        if self.denied.covers(&parent.real.join(name)) {
            return Err(Denied::error());
        }
        if Denied::is_started(&parent.real.join(name)) {
            return Err(Denied::started_error());
        }
        let root = &self.given[parent.root];
        if !root.write {
            return Err(HostError::forbidden(format!(
                "{} is read only; writable: {}",
                root.path.display(),
                self.describe_writable()
            )));
        }
        Ok(())
    }

    /// Whether a root or a closed place is at or beneath a real path: such an entry is never moved or replaced.
    pub fn holds_fixed_place(&self, real: &Path) -> bool {
        self.denied.is_above(real) || self.opened.iter().any(|o| o.real.starts_with(real))
    }

    fn find<'p>(&self, shown: &'p Path) -> Option<(usize, &'p Path)> {
        let both =
            self.given.iter().map(|r| r.path.as_path()).zip(self.opened.iter().map(|o| o.real.as_path()));
        both.enumerate()
            .flat_map(|(index, (given, real))| [(index, given), (index, real)])
            .filter_map(|(index, top)| Some((top.components().count(), index, shown.strip_prefix(top).ok()?)))
            .max_by_key(|(depth, ..)| *depth)
            .map(|(_, index, relative)| (index, relative))
    }

    fn root_of(&self, real: &Path) -> Option<usize> {
        (0..self.opened.len())
            .filter(|&i| real.starts_with(&self.opened[i].real))
            .max_by_key(|&i| self.opened[i].real.components().count())
    }

    /// Missing, or beneath a closed place, where everything answers alike.
    fn missing(&self, root: usize, relative: &Path, shown: &Path, error: Errno) -> HostError {
        for above in relative.ancestors().skip(1) {
            if let Ok(fd) = beneath(self.opened[root].dir.as_fd(), above, OFlags::PATH) {
                return match real_path(fd.as_fd()) {
                    Ok(real) if self.denied.covers(&real) => Denied::error(),
                    _ => fault(error, shown),
                };
            }
        }
        fault(error, shown)
    }

    pub fn outside(&self, shown: &Path) -> HostError {
        HostError::forbidden(if self.given.is_empty() {
            "no directory is open to file tools; an operator adds one under files.roots".to_owned()
        } else {
            format!(
                "{} is outside of the allowed directories: {}; an operator adds more under files.roots",
                shown.display(),
                self.describe()
            )
        })
    }

    fn describe(&self) -> String {
        let mut text = String::new();
        for root in self.given.iter().take(20) {
            let comma = if text.is_empty() { "" } else { ", " };
            let access = if root.write { "read-write" } else { "read only" };
            let _ = write!(text, "{comma}{} ({access})", root.path.display());
        }
        if self.given.len() > 20 {
            text.push_str(", ...");
        }
        if text.is_empty() { "no directory".into() } else { text }
    }

    fn describe_writable(&self) -> String {
        let paths: Vec<_> =
            self.given.iter().filter(|r| r.write).take(20).map(|r| r.path.display().to_string()).collect();
        if paths.is_empty() {
            "no directory (an operator sets files.roots[].write)".into()
        } else {
            paths.join(", ")
        }
    }
}

/// The directory above and the last name.
pub(super) fn split(shown: &Path) -> Result<(&Path, OsString), HostError> {
    match (shown.parent(), shown.file_name()) {
        (Some(above), Some(name)) => Ok((above, name.to_owned())),
        _ => Err(HostError::new(Kind::Invalid, format!("{} does not end in a name", shown.display()))),
    }
}

pub(super) fn not_special(stat: &Stat, shown: &Path) -> Result<(), HostError> {
    if is_file(stat) {
        Ok(())
    } else if is_directory(stat) {
        Err(fault(Errno::ISDIR, shown))
    } else {
        Err(HostError::forbidden(format!(
            "{} is not a regular file; links in the last place, pipes, sockets and devices are not opened",
            shown.display()
        )))
    }
}

fn open_root(path: &Path, denied: &Denied) -> Result<Opened, String> {
    if !path.is_absolute() {
        return Err("the path is not absolute".into());
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|e| match e {
        Errno::NOENT => "there is no such directory".to_owned(),
        Errno::NOTDIR => "it is not a directory".to_owned(),
        other => std::io::Error::from(other).to_string(),
    })?;
    beneath(dir.as_fd(), Path::new("."), OFlags::PATH)
        .map_err(|e| format!("the kernel does not offer openat2 (Linux 5.6 or later is needed): {e}"))?;
    let real = real_path(dir.as_fd()).map_err(|e| format!("/proc is needed and does not answer: {e}"))?;
    if denied.covers(&real) {
        return Err("it is in a closed place (credentials, or the gateway's own data)".into());
    }
    Ok(Opened { dir, real })
}
