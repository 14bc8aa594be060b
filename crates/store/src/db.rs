//! One SQLite file: created 0600, opened, migrated, checked, copied, closed. `Store` and `Shelf` are built on it.
//!
//! `main` is the one connection that writes; it stays open, which is what makes `PRAGMA data_version` meaningful. `side`
//! opens up to two more for reads and long work, and closes them when idle. Page caches are small: the data is.

use crate::migrate::{self, Schema};
use crate::{StoreError, row};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions as _, Connection as _};
use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;
use toolgate_core::Kind;

/// How long a statement waits for another process's lock.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(30);
// 1 GiB in pages of 4 KiB: a database that grows beyond any use stops before the disk is full.
const MAX_PAGES: &str = "262144";
// Problems that a check lists before it stops.
const MAX_PROBLEMS: usize = 20;

pub(crate) struct Db {
    pub main: SqlitePool,
    pub side: SqlitePool,
    pub path: PathBuf,
}

/// Options that every connection of this crate shares.
pub(crate) fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("cache_size", "-512")
        .pragma("trusted_schema", "OFF")
        .pragma("max_page_count", MAX_PAGES)
        .statement_cache_capacity(32)
        .row_buffer_size(8)
        .thread_name(|n| format!("sqlite-{n}"))
        // A statement may be a model's, with a credential in it: no level of the log shows one, and none for being slow.
        .disable_statement_logging()
}

impl Db {
    /// Open `path`, creating its directory (0700) and the file (0600) when absent.
    pub async fn open(path: &Path, sync: SqliteSynchronous, schema: &Schema) -> Result<Self, StoreError> {
        let path = std::path::absolute(path)?;
        let made = path.clone();
        blocking(move || make_file(&made)).await?;

        let options = options(&path).synchronous(sync).foreign_keys(schema.foreign_keys);
        let main = SqlitePoolOptions::new()
            .max_connections(1)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_with(options.clone())
            .await?;
        migrate::run(&main, schema).await?;
        let side = SqlitePoolOptions::new()
            .max_connections(2)
            .acquire_timeout(ACQUIRE_TIMEOUT)
            .idle_timeout(IDLE)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options);
        Ok(Self { main, side, path })
    }

    /// Changes whenever another process has committed since the last call.
    pub async fn data_version(&self) -> Result<i64, StoreError> {
        let row = sqlx::query("PRAGMA data_version").fetch_one(&self.main).await?;
        row::int(&row, 0)
    }

    /// What is wrong with the file; empty when it is sound. At most 20 lines.
    pub async fn integrity_check(&self) -> Result<Vec<String>, StoreError> {
        // On a connection of its own: where others have changed the index since, FTS5's check trusts the structure that
        // its connection remembers, and takes the difference for damage.
        let mut conn = SqliteConnection::connect_with(&options(&self.path)).await?;
        let rows = sqlx::query("PRAGMA integrity_check(20)").fetch_all(&mut conn).await?;
        let mut problems = Vec::new();
        for row in rows.iter().take(MAX_PROBLEMS) {
            let line = row::text(row, 0)?;
            if line != "ok" {
                problems.push(line);
            }
        }
        let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut conn).await?.len();
        if orphans > 0 {
            problems.push(format!("{orphans} rows refer to rows that do not exist"));
        }
        conn.close().await?;
        Ok(problems)
    }

    /// Write a consistent copy to `target` (0600), which must not exist yet. Writers go on meanwhile.
    pub async fn backup_to(&self, target: &Path) -> Result<(), StoreError> {
        // Absolute, so that no name is taken for a `file:` URI.
        let target = std::path::absolute(target)?;
        let Some(name) = target.to_str().map(str::to_owned) else {
            return Err(StoreError::invalid("the backup's path must be UTF-8"));
        };
        let made = target.clone();
        let created = blocking(move || {
            let file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(made);
            Ok(file.map(drop)?)
        });
        match created.await {
            Ok(()) => {}
            Err(error) => return Err(name_backup_problem(error)),
        }
        let copied = sqlx::query("VACUUM INTO $1").bind(name).execute(&self.side).await;
        blocking(move || match copied {
            Ok(_) => {
                fs::File::open(&target)?.sync_all()?;
                if let Some(parent) = target.parent() {
                    fs::File::open(parent)?.sync_all()?;
                }
                Ok(())
            }
            Err(error) => {
                // The half-written copy is worth nothing; that the copying failed is what the caller must hear.
                let _ = fs::remove_file(&target);
                Err(error.into())
            }
        })
        .await
    }

    /// Bytes on disk, with what waits in the write-ahead log.
    pub async fn size(&self) -> Result<u64, StoreError> {
        let path = self.path.clone();
        blocking(move || {
            let length = |path: &Path| fs::metadata(path).map(|m| m.len()).unwrap_or(0);
            Ok(length(&path) + length(&beside(&path, "-wal")))
        })
        .await
    }

    pub async fn close(&self) {
        self.side.close().await;
        self.main.close().await;
    }
}

fn name_backup_problem(error: StoreError) -> StoreError {
    use std::error::Error as _;
    let exists = error
        .source()
        .and_then(|source| source.downcast_ref::<io::Error>())
        .is_some_and(|io| io.kind() == io::ErrorKind::AlreadyExists);
    if exists {
        return StoreError::new(Kind::Conflict, "the backup's file exists already: name a new one")
            .because(error);
    }
    error
}

fn make_file(path: &Path) -> Result<(), StoreError> {
    if let Some(directory) = path.parent() {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists {
                return StoreError::from(io::Error::from(io::ErrorKind::NotADirectory));
            }
            StoreError::from(error)
        })?;
    }
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error.into()),
    }
    let found = fs::metadata(path)?;
    if !found.is_file() {
        return Err(StoreError::invalid("the database's place is taken by something that is not a file"));
    }
    for file in [path.to_path_buf(), beside(path, "-wal"), beside(path, "-shm")] {
        let Ok(meta) = fs::metadata(&file) else { continue };
        if meta.permissions().mode() & 0o077 == 0 {
            continue;
        }
        // Some mounted volumes have fixed modes: say it and go on.
        if let Err(error) = fs::set_permissions(&file, fs::Permissions::from_mode(0o600)) {
            tracing::warn!(%error, "a database file is open to other users and could not be made 0600");
        }
    }
    Ok(())
}

fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(StoreError::internal)?
}
