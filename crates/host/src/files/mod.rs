//! Files beneath their roots.
//!
//! Used by tool servers through `Host::files`. Invariants: every path is resolved by the kernel beneath a root directory
//! that was opened once (`openat2`, RESOLVE_BENEATH), so neither `..` nor a symbolic link nor a race leads out; where
//! the kernel really arrived is what rules are asked about; only regular files are opened for reading or writing.
//! Absent on purpose: deleting, making links, changing modes and owners, expanding `~` or globs.

pub(crate) mod denied;
mod open;
mod read;
mod roots;
#[cfg(test)]
mod tests;
mod walk;
mod write;

use crate::HostError;
use roots::Roots;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::Arc;
use toolgate_core::Kind;

/// A directory that file tools may use, with everything beneath it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Absolute path of an existing directory; in a configuration file, also relative to that file.
    pub path: PathBuf,
    /// Whether files may be made and changed there.
    #[serde(default)]
    pub write: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    File,
    Directory,
    Symlink,
    Other,
}

/// Facts of one entry.
#[derive(Debug, Clone, Serialize)]
pub struct Meta {
    /// Absolute path as the caller would name it.
    pub path: String,
    pub name: String,
    pub kind: FileKind,
    /// Bytes.
    pub size: u64,
    /// RFC 3339, UTC.
    pub modified: Option<String>,
    /// Octal permissions, e.g. `644`.
    pub mode: String,
}

/// Where `write` puts the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteMode {
    /// Replace the whole file at once (temporary file in the same directory, fsync, rename); keeps the mode of the old.
    Replace,
    /// Fail with `Conflict` if it exists.
    CreateNew,
    Append,
}

/// What a walk looks for.
#[derive(Debug, Clone)]
pub struct WalkOptions {
    /// Levels below the start; 0 lists only the start's own entries.
    pub max_depth: usize,
    pub hidden: bool,
    /// Entries visited at most, whatever is found.
    pub max_entries: usize,
}

/// The roots, opened once; every path is resolved beneath one of them by the kernel.
///
/// Errors of all methods: `Invalid` for a path that cannot be one, `NotFound`, `Forbidden` (outside, closed, read only),
/// `Conflict`, `TooLarge`, and `Unavailable` when the disk or the system does not serve.
pub struct Files {
    roots: Arc<Roots>,
}

/// Whether a directory is among the places that no root opens: credential stores, `/proc` and the like.
pub fn is_closed(path: &std::path::Path) -> bool {
    denied::Denied::none().covers(path)
}

impl Files {
    /// `denied`: paths (files or directories) inside the roots that stay closed, beside the built-in list of credential
    /// stores. The gateway's own data directory belongs here. All problems are in one text.
    pub fn new(roots: Vec<Root>, denied: Vec<PathBuf>) -> Result<Self, HostError> {
        Ok(Self { roots: Arc::new(Roots::open(roots, denied)?) })
    }

    pub fn roots(&self) -> &[Root] {
        self.roots.given()
    }

    /// The first writable root: where relative paths start. Where nothing is writable they start at the first root.
    pub fn base(&self) -> Option<&std::path::Path> {
        self.roots.given().iter().find(|r| r.write).map(|r| r.path.as_path())
    }

    /// The absolute, verified path of an existing directory (for a child's working directory).
    pub async fn directory(&self, path: &str) -> Result<PathBuf, HostError> {
        self.blocking(path, read::directory).await
    }

    /// A link is followed as long as it stays beneath the roots.
    pub async fn stat(&self, path: &str) -> Result<Meta, HostError> {
        self.blocking(path, read::stat).await
    }

    /// At most `max` bytes from `offset`; with the size of the whole file. Regular files only.
    pub async fn read(&self, path: &str, offset: u64, max: usize) -> Result<(Vec<u8>, u64), HostError> {
        self.blocking(path, move |roots, path| read::read(roots, path, offset, max)).await
    }

    /// Returns the size of the file afterwards and whether directories were made.
    ///
    /// `Replace` and `CreateNew` never follow a link in the last place (`Replace` replaces the link); the file is there
    /// whole or not at all. At most 100 MiB per call.
    pub async fn write(
        &self,
        path: &str,
        bytes: Vec<u8>,
        mode: WriteMode,
        create_dirs: bool,
    ) -> Result<(u64, bool), HostError> {
        self.blocking(path, move |roots, path| write::write(roots, path, &bytes, mode, create_dirs)).await
    }

    /// With all its parents; a directory that is there already is fine.
    pub async fn create_directory(&self, path: &str) -> Result<(), HostError> {
        self.blocking(path, write::create_directory).await
    }

    /// Rename within the writable roots; never over an existing entry unless `replace`.
    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), HostError> {
        let to = to.to_owned();
        self.blocking(from, move |roots, from| write::rename(roots, from, &to, replace)).await
    }

    /// Entries of a directory, by name, directories first; symlinks shown, not followed. At most `max`; the flag says
    /// that there are more. Closed places are left out.
    pub async fn list(&self, path: &str, hidden: bool, max: usize) -> Result<(Vec<Meta>, bool), HostError> {
        self.blocking(path, move |roots, path| walk::list(roots, path, hidden, max)).await
    }

    /// Visit what is beneath a directory, depth first, by name, symlinks not followed, on a blocking thread; `visit`
    /// returns false to stop. The second argument opens the visited file for reading (bounded). Closed places and
    /// directories that cannot be opened are passed over. Dropping the future ends the walk.
    pub async fn walk<F>(&self, path: &str, options: WalkOptions, visit: F) -> Result<WalkEnd, HostError>
    where
        F: FnMut(&Meta, &dyn ReadFile) -> bool + Send + 'static,
    {
        let stop = walk::Stop::default();
        let flag = stop.flag();
        let end =
            self.blocking(path, move |roots, path| walk::walk(roots, path, &options, visit, &flag)).await;
        drop(stop);
        end
    }

    async fn blocking<T: Send + 'static>(
        &self,
        path: &str,
        work: impl FnOnce(&Roots, &str) -> Result<T, HostError> + Send + 'static,
    ) -> Result<T, HostError> {
        let (roots, path) = (Arc::clone(&self.roots), path.to_owned());
        tokio::task::spawn_blocking(move || work(&roots, &path))
            .await
            .unwrap_or_else(|_| Err(HostError::new(Kind::Internal, "the file operation broke off")))
    }
}

/// Reads the entry that a walk visits.
pub trait ReadFile {
    /// At most `max` bytes from the start.
    fn read(&self, max: usize) -> std::io::Result<Vec<u8>>;
}

/// How a walk ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WalkEnd {
    Complete,
    Stopped,
    /// `max_entries` was reached.
    Limited,
}
