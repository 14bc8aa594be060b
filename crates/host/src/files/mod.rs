//! Files beneath their roots. (signatures)

use crate::HostError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// A directory that file tools may use, with everything beneath it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Absolute path of an existing directory.
    pub path: PathBuf,
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
pub struct Files {}

impl Files {
    /// `denied`: paths (files or directories) inside the roots that stay closed, beside the built-in list of credential
    /// stores. The gateway's own data directory belongs here.
    pub fn new(roots: Vec<Root>, denied: Vec<PathBuf>) -> Result<Self, HostError> {
        let _ = (roots, denied);
        todo!()
    }

    pub fn roots(&self) -> &[Root] {
        todo!()
    }

    /// The first writable root: where relative paths start.
    pub fn base(&self) -> Option<&std::path::Path> {
        todo!()
    }

    /// The absolute, verified path of an existing directory (for a child's working directory).
    pub async fn directory(&self, path: &str) -> Result<PathBuf, HostError> {
        let _ = path;
        todo!()
    }

    pub async fn stat(&self, path: &str) -> Result<Meta, HostError> {
        let _ = path;
        todo!()
    }

    /// At most `max` bytes from `offset`; with the size of the whole file. Regular files only.
    pub async fn read(&self, path: &str, offset: u64, max: usize) -> Result<(Vec<u8>, u64), HostError> {
        let _ = (path, offset, max);
        todo!()
    }

    /// Returns the size of the file afterwards and whether directories were made.
    pub async fn write(
        &self,
        path: &str,
        bytes: Vec<u8>,
        mode: WriteMode,
        create_dirs: bool,
    ) -> Result<(u64, bool), HostError> {
        let _ = (path, bytes, mode, create_dirs);
        todo!()
    }

    pub async fn create_directory(&self, path: &str) -> Result<(), HostError> {
        let _ = path;
        todo!()
    }

    /// Rename within the writable roots; never over an existing entry unless `replace`.
    pub async fn rename(&self, from: &str, to: &str, replace: bool) -> Result<(), HostError> {
        let _ = (from, to, replace);
        todo!()
    }

    /// Entries of a directory, by name, directories first; symlinks shown, not followed.
    pub async fn list(&self, path: &str, hidden: bool, max: usize) -> Result<(Vec<Meta>, bool), HostError> {
        let _ = (path, hidden, max);
        todo!()
    }

    /// Visit what is beneath a directory, depth first, by name, symlinks not followed, on a blocking thread; `visit`
    /// returns false to stop. The second argument opens the visited file for reading (bounded).
    pub async fn walk<F>(&self, path: &str, options: WalkOptions, visit: F) -> Result<WalkEnd, HostError>
    where
        F: FnMut(&Meta, &dyn ReadFile) -> bool + Send + 'static,
    {
        let _ = (path, options, visit);
        todo!()
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
