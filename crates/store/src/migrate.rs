//! Forward-only migrations, embedded in the binary. Called by `db` once per open.
//!
//! The schema version is SQLite's `user_version`; `application_id` says whose file it is. A warm open costs one query.
//! Migrations run under `BEGIN IMMEDIATE`, so of several processes that open a new file at once, one migrates and the
//! others see it done. A released migration is never edited: the next number changes what it left.

use crate::db::BUSY_TIMEOUT;
use crate::{StoreError, error, row};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::{SqliteConnection, SqlitePool};
use std::time::{Duration, Instant};
use toolgate_core::Kind;

/// One database's schema: whose it is, and its migrations from version 1 on.
pub(crate) struct Schema {
    pub application_id: i32,
    /// Whether foreign keys are enforced for this crate's own statements.
    pub foreign_keys: bool,
    pub migrations: &'static [&'static str],
}

// "TgSt" and "TgSh".
pub(crate) const STATE: Schema = Schema {
    application_id: 0x5467_5374,
    foreign_keys: true,
    migrations: &[
        include_str!("../migrations/sqlite/0001_keys_and_servers.sql"),
        include_str!("../migrations/sqlite/0002_tasks.sql"),
        include_str!("../migrations/sqlite/0003_sessions.sql"),
        include_str!("../migrations/sqlite/0004_upstreams.sql"),
    ],
};
pub(crate) const SHELF: Schema = Schema {
    application_id: 0x5467_5368,
    // The schema has none. A user's table may refer to ours, and must not be able to stop us from removing a row.
    foreign_keys: false,
    migrations: &[
        include_str!("../migrations/shelf/0001_shelf.sql"),
        include_str!("../migrations/shelf/0002_error_caller.sql"),
    ],
};

impl Schema {
    fn latest(&self) -> i64 {
        self.migrations.len() as i64
    }
}

/// Bring the database to the latest version; refuse a newer one and a file that is not ours.
pub(crate) async fn run(pool: &SqlitePool, schema: &Schema) -> Result<(), StoreError> {
    let mut conn = pool.acquire().await?;
    // What is refused stays as it is, so the check comes before the journal mode.
    let version = check(&mut conn, schema).await?;
    write_ahead(&mut conn).await?;
    if version == schema.latest() {
        return Ok(());
    }
    let mut tx = sqlx::Connection::begin_with(&mut *conn, "BEGIN IMMEDIATE").await?;
    let from = check(&mut tx, schema).await?;
    for (index, migration) in schema.migrations.iter().enumerate().skip(from as usize) {
        sqlx::raw_sql(*migration).execute(&mut *tx).await?;
        let version = index + 1;
        let stamp =
            format!("PRAGMA application_id = {}; PRAGMA user_version = {version}", schema.application_id);
        sqlx::raw_sql(AssertSqlSafe(stamp)).execute(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

// Use the write-ahead log. Kept in the file, so this changes something only once. Changing it fails at once, without the
// busy timeout, when another process does the same.
async fn write_ahead(conn: &mut SqliteConnection) -> Result<(), StoreError> {
    let deadline = Instant::now() + BUSY_TIMEOUT;
    loop {
        match sqlx::query("PRAGMA journal_mode = WAL").fetch_one(&mut *conn).await {
            Ok(found) if row::text(&found, 0)? == "wal" => return Ok(()),
            Ok(_) => {
                let text = "the file system under the data directory does not support SQLite's write-ahead log (a \
                            network file system?): put the data directory on a local disk";
                return Err(StoreError::new(Kind::Unavailable, text));
            }
            Err(e) if error::code(&e) == Some(error::BUSY) && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            Err(e) => return Err(e.into()),
        }
    }
}

// The version the file has, 0 for an empty one.
async fn check(conn: &mut SqliteConnection, schema: &Schema) -> Result<i64, StoreError> {
    let found = sqlx::query(
        "SELECT a.application_id, v.user_version, EXISTS (SELECT 1 FROM sqlite_master) \
         FROM pragma_application_id a, pragma_user_version v",
    )
    .fetch_one(conn)
    .await?;
    let (owner, version, filled) = (row::int(&found, 0)?, row::int(&found, 1)?, row::int(&found, 2)? != 0);
    if version == 0 && owner == 0 && !filled {
        return Ok(0);
    }
    if owner != i64::from(schema.application_id) || version < 1 {
        let text =
            "the database file was not made by Toolgate for this purpose: move it away and start again";
        return Err(StoreError::new(Kind::Conflict, text));
    }
    if version > schema.latest() {
        let text = format!(
            "the database has schema version {version}, this Toolgate knows versions up to {}: run the newer \
             Toolgate that wrote it, or put back a backup from before the upgrade",
            schema.latest()
        );
        return Err(StoreError::new(Kind::Unsupported, text));
    }
    Ok(version)
}
