//! `Shelf`: what the `a2a-unified` tool server keeps, in `a2a-unified.db`. Opened by the binary, used by that server.
//!
//! Memories and knowledge share one full-text index, kept true by triggers, so that it stays right whichever way a row
//! changes. Statements that a model wrote run in `sql`, on connections of their own behind `guard`.

mod guard;
pub mod knowledge;
pub mod memory;
pub mod search;
pub mod sql;
pub mod stats;

use crate::db::{self, Db};
use crate::{StoreError, migrate};
use sqlx::sqlite::{SqlitePool, SqliteSynchronous};
use std::path::Path;

/// The private database of the `a2a-unified` tool server.
pub struct Shelf {
    pub(crate) db: Db,
    // Connections for `sql`, opened at the first statement and closed when idle.
    read: SqlitePool,
    write: SqlitePool,
}

impl Shelf {
    /// Open the file at `path`. Creates its directory (0700) and the file (0600) when absent, brings an older schema up
    /// to date and refuses a newer one. Survives a crash of the process; the last moments before a power cut may be
    /// lost (synchronous=NORMAL).
    pub async fn open(path: impl AsRef<Path>) -> Result<Self, StoreError> {
        let db = Db::open(path.as_ref(), SqliteSynchronous::Normal, &migrate::SHELF).await?;
        let read = sql::pool(db::options(&db.path), false);
        let write = sql::pool(db::options(&db.path), true);
        Ok(Self { db, read, write })
    }

    /// What is wrong with the file; empty when it is sound.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.db.integrity_check().await
    }

    /// Write a consistent, compact copy to a new file (0600). Conflict when the file exists.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<(), StoreError> {
        self.db.backup_to(path.as_ref()).await
    }

    /// Finish what is running and close.
    pub async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
        self.db.close().await;
    }
}

// Rows an answer holds at most, whatever limit was asked for.
const MAX_LIMIT: u32 = 1000;

fn limit(asked: u32) -> i64 {
    i64::from(asked.clamp(1, MAX_LIMIT))
}
