//! `Store`: the gateway's state in `toolgate.db`. Opened by the binary, once; handed on by reference.
//!
//! Writes are on disk when a call returns (synchronous=FULL). Several processes may have it open: the command line
//! changes keys beside a running server, which notices through [`Store::data_version`]. Keys, servers and
//! tasks have files of their own. Asked on the data path for tasks only.

use crate::db::Db;
use crate::{STATE_FILE, StoreError, migrate, row};
use sqlx::sqlite::SqliteSynchronous;
use std::path::Path;

/// The gateway's state.
pub struct Store {
    pub(crate) db: Db,
}

impl Store {
    /// Open `toolgate.db` in the data directory. Creates the directory (0700) and the file (0600) when absent, brings
    /// an older schema up to date and refuses a newer one.
    pub async fn open(data_dir: impl AsRef<Path>) -> Result<Self, StoreError> {
        let path = data_dir.as_ref().join(STATE_FILE);
        Ok(Self { db: Db::open(&path, SqliteSynchronous::Full, &migrate::STATE).await? })
    }

    /// A number that changes when another process has changed the database since the last call. Only differences
    /// between two answers of the same `Store` mean something; own writes do not change it.
    pub async fn data_version(&self) -> Result<i64, StoreError> {
        self.db.data_version().await
    }

    /// What is wrong with the file; empty when it is sound.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        self.db.integrity_check().await
    }

    /// Write a consistent, compact copy to a new file (0600). Conflict when the file exists.
    pub async fn backup_to(&self, path: impl AsRef<Path>) -> Result<(), StoreError> {
        self.db.backup_to(path.as_ref()).await
    }

    /// A named fact, if it was set.
    pub async fn meta(&self, name: &str) -> Result<Option<String>, StoreError> {
        let found =
            sqlx::query(include_str!("../sql/meta_get.sql")).bind(name).fetch_optional(&self.db.main).await?;
        found.map(|found| row::text(&found, 0)).transpose()
    }

    /// Set a named fact: name at most 128 bytes, value at most 64 KiB.
    pub async fn set_meta(&self, name: &str, value: &str) -> Result<(), StoreError> {
        row::bounded("the name", name, 128)?;
        row::at_most("the value", value, 64 * 1024)?;
        sqlx::query(include_str!("../sql/meta_set.sql"))
            .bind(name)
            .bind(value)
            .execute(&self.db.main)
            .await?;
        Ok(())
    }

    /// Finish what is running and close. Later calls answer that the database is closed.
    pub async fn close(&self) {
        self.db.close().await;
    }
}
