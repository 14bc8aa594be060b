//! `StoreError`: a database refuses or fails. Made in this crate only; one table maps SQLite's result codes.
//!
//! The message is public: what is wrong and what to do, without paths. The source is for the operator's log.

use std::borrow::Cow;
use std::io;
use toolgate_core::Kind;

type Source = Box<dyn std::error::Error + Send + Sync>;

/// A database refuses or fails.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct StoreError {
    kind: Kind,
    message: Cow<'static, str>,
    #[source]
    source: Option<Source>,
}

// Primary result codes of SQLite, <https://www.sqlite.org/rescode.html>.
pub(crate) const ERROR: i32 = 1;
const PERM: i32 = 3;
pub(crate) const BUSY: i32 = 5;
const LOCKED: i32 = 6;
pub(crate) const NOMEM: i32 = 7;
pub(crate) const READONLY: i32 = 8;
pub(crate) const INTERRUPT: i32 = 9;
const IOERR: i32 = 10;
const CORRUPT: i32 = 11;
const FULL: i32 = 13;
const CANTOPEN: i32 = 14;
pub(crate) const TOOBIG: i32 = 18;
pub(crate) const CONSTRAINT: i32 = 19;
pub(crate) const MISMATCH: i32 = 20;
pub(crate) const AUTH: i32 = 23;
pub(crate) const RANGE: i32 = 25;
const NOTADB: i32 = 26;

const DISK_FULL: &str = "the disk (or the size allowed to this database) is full: free some space and try again; \
                         nothing was changed";
const READ_ONLY: &str = "the database cannot be written: check the owner and permissions of the data directory and \
                         its files, and that the file system is not mounted read-only";

impl StoreError {
    pub(crate) fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    pub(crate) fn invalid(message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Kind::Invalid, message)
    }

    pub(crate) fn because(mut self, source: impl Into<Source>) -> Self {
        self.source = Some(source.into());
        self
    }

    pub(crate) fn internal(source: impl Into<Source>) -> Self {
        Self::new(Kind::Internal, "the database failed; the operator's log has the details").because(source)
    }

    /// Class of the error.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Public text: what is wrong and what to do. No path, no secret.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Primary result code of an SQLite error, if it is one.
pub(crate) fn code(error: &sqlx::Error) -> Option<i32> {
    let sqlx::Error::Database(inner) = error else { return None };
    inner.code()?.parse::<i32>().ok().map(|extended| extended & 0xff)
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        let (kind, message) = match (&error, code(&error)) {
            (_, Some(BUSY | LOCKED)) => {
                (Kind::Unavailable, "the database is locked by another process: try again in a moment")
            }
            (_, Some(READONLY | PERM)) => (Kind::Unavailable, READ_ONLY),
            (_, Some(CANTOPEN)) => (
                Kind::Unavailable,
                "the database file cannot be opened: check that the data directory exists and that this user may \
                 read and write it",
            ),
            (_, Some(FULL)) => (Kind::Unavailable, DISK_FULL),
            (_, Some(IOERR)) => (
                Kind::Unavailable,
                "the disk failed while the database was used: check the disk and its free space",
            ),
            (_, Some(CORRUPT | NOTADB)) => (
                Kind::Internal,
                "the database file is damaged or not a database: stop the gateway, keep a copy of the file, and put \
                 back the last backup",
            ),
            (_, Some(CONSTRAINT)) => (Kind::Conflict, "this contradicts what the database already holds"),
            (_, Some(TOOBIG)) => (Kind::TooLarge, "a value is too large for the database"),
            (_, Some(INTERRUPT)) => (Kind::Timeout, "the database took too long and was stopped"),
            (sqlx::Error::PoolTimedOut, _) => {
                (Kind::Unavailable, "the database is busy with other work: try again in a moment")
            }
            (sqlx::Error::PoolClosed, _) => {
                (Kind::Unavailable, "the database is closed: the gateway is stopping")
            }
            _ => return Self::internal(error),
        };
        Self::new(kind, message).because(error)
    }
}

impl From<io::Error> for StoreError {
    fn from(error: io::Error) -> Self {
        let (kind, message) = match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => (Kind::Unavailable, DISK_FULL),
            io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => {
                (Kind::Unavailable, READ_ONLY)
            }
            io::ErrorKind::NotADirectory => {
                (Kind::Invalid, "the data directory is a file: name a directory, or remove the file")
            }
            _ => return Self::internal(error),
        };
        Self::new(kind, message).because(error)
    }
}

impl From<StoreError> for toolgate_core::Error {
    fn from(error: StoreError) -> Self {
        let made = toolgate_core::Error::new(error.kind, error.message);
        match error.source {
            Some(source) => made.because(source),
            None => made,
        }
    }
}
