//! Upstreams in `Store`: those that were added by command, through the API or by an import, and the undo of the last import.
//!
//! Their settings are JSON that the binary writes and reads; nothing here looks into them. Those of the configuration file
//! are not here.

use crate::{Store, StoreError, row};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sqlx::Sqlite;
use sqlx::sqlite::SqliteRow;

/// Largest settings, in bytes of JSON.
const MAX_SETTINGS: usize = 64 << 10;
/// Largest note on an origin, in bytes of JSON.
const MAX_ORIGIN: usize = 4 << 10;
/// Upstreams in the store.
const MAX_UPSTREAMS: usize = 1000;

/// An upstream as it is to be kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewUpstream {
    pub name: String,
    /// JSON; secrets by reference only.
    pub settings: String,
    /// `cli`, `api` or `import`.
    pub source: String,
    /// JSON: where an imported one comes from.
    pub origin: Option<String>,
    pub enabled: bool,
}

/// An upstream as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredUpstream {
    pub name: String,
    pub settings: String,
    pub source: String,
    pub origin: Option<String>,
    pub enabled: bool,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// What the undo of an import did to one upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Undone {
    /// It came with the import and is gone.
    Removed,
    /// It is as it was before the import.
    Restored,
    /// It was changed or removed after the import, and stays as it is.
    Left,
}

/// Before an import: the row that it replaces, and when the import wrote.
struct Before {
    name: String,
    was: Option<StoredUpstream>,
    imported_at: i64,
}

fn read(row: &SqliteRow) -> Result<StoredUpstream, StoreError> {
    Ok(StoredUpstream {
        name: row::text(row, 0)?,
        settings: row::text(row, 1)?,
        source: row::text(row, 2)?,
        origin: row::text_opt(row, 3)?,
        enabled: row::int(row, 4)? != 0,
        created_at: row::time(row, 5)?,
        updated_at: row::time(row, 6)?,
    })
}

fn check(upstream: &NewUpstream) -> Result<(), StoreError> {
    row::bounded("the upstream's name", &upstream.name, 128)?;
    row::bounded("the upstream's settings", &upstream.settings, MAX_SETTINGS)?;
    row::bounded("the upstream's source", &upstream.source, 32)?;
    upstream
        .origin
        .as_deref()
        .map_or(Ok(()), |origin| row::at_most("the upstream's origin", origin, MAX_ORIGIN))
}

async fn get<'e>(
    on: impl sqlx::Executor<'e, Database = Sqlite>,
    name: &str,
) -> Result<Option<StoredUpstream>, StoreError> {
    let found = sqlx::query(include_str!("../sql/upstreams_get.sql")).bind(name).fetch_optional(on).await?;
    found.as_ref().map(read).transpose()
}

async fn put<'e>(
    on: impl sqlx::Executor<'e, Database = Sqlite>,
    upstream: &NewUpstream,
    created: i64,
    updated: i64,
) -> Result<(), StoreError> {
    sqlx::query(include_str!("../sql/upstreams_put.sql"))
        .bind(&upstream.name)
        .bind(&upstream.settings)
        .bind(&upstream.source)
        .bind(&upstream.origin)
        .bind(upstream.enabled)
        .bind(created)
        .bind(updated)
        .execute(on)
        .await?;
    Ok(())
}

async fn delete<'e>(on: impl sqlx::Executor<'e, Database = Sqlite>, name: &str) -> Result<bool, StoreError> {
    let done = sqlx::query(include_str!("../sql/upstreams_delete.sql")).bind(name).execute(on).await?;
    Ok(done.rows_affected() > 0)
}

async fn list<'e>(on: impl sqlx::Executor<'e, Database = Sqlite>) -> Result<Vec<StoredUpstream>, StoreError> {
    sqlx::query(include_str!("../sql/upstreams_list.sql")).fetch_all(on).await?.iter().map(read).collect()
}

async fn before<'e>(on: impl sqlx::Executor<'e, Database = Sqlite>) -> Result<Vec<Before>, StoreError> {
    let rows = sqlx::query(include_str!("../sql/upstreams_undo_list.sql")).fetch_all(on).await?;
    rows.iter()
        .map(|row| {
            let was =
                row::text_opt(row, 1)?.map(|text| serde_json::from_str(&text).map_err(StoreError::internal));
            Ok(Before { name: row::text(row, 0)?, was: was.transpose()?, imported_at: row::int(row, 2)? })
        })
        .collect()
}

impl Store {
    /// All, by name.
    pub async fn upstreams(&self) -> Result<Vec<StoredUpstream>, StoreError> {
        list(&self.db.main).await
    }

    pub async fn upstream(&self, name: &str) -> Result<Option<StoredUpstream>, StoreError> {
        get(&self.db.main, name).await
    }

    /// Keep one, in place of the one of this name. Invalid or TooLarge: a bound; Conflict: there are too many.
    pub async fn put_upstream(&self, upstream: &NewUpstream) -> Result<(), StoreError> {
        check(upstream)?;
        let mut tx = self.db.main.begin().await?;
        let now = row::now();
        put(&mut *tx, upstream, now, now).await?;
        bounded(&list(&mut *tx).await?)?;
        tx.commit().await?;
        Ok(())
    }

    /// Remove one; says whether there was one.
    pub async fn delete_upstream(&self, name: &str) -> Result<bool, StoreError> {
        delete(&self.db.main, name).await
    }

    /// Keep all of these or none, and what it takes to undo that, in place of the undo of the import before.
    pub async fn import_upstreams(&self, upstreams: &[NewUpstream]) -> Result<(), StoreError> {
        upstreams.iter().try_for_each(check)?;
        let now = row::now();
        let mut tx = self.db.main.begin().await?;
        sqlx::query(include_str!("../sql/upstreams_undo_clear.sql")).execute(&mut *tx).await?;
        for upstream in upstreams {
            let was = get(&mut *tx, &upstream.name).await?;
            let was = was.map(|was| serde_json::to_string(&was).map_err(StoreError::internal)).transpose()?;
            sqlx::query(include_str!("../sql/upstreams_undo_put.sql"))
                .bind(&upstream.name)
                .bind(was)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            put(&mut *tx, upstream, now, now).await?;
        }
        bounded(&list(&mut *tx).await?)?;
        tx.commit().await?;
        Ok(())
    }

    /// The rows that the last import replaced, for as long as it can be undone.
    pub async fn imported_over(&self) -> Result<Vec<StoredUpstream>, StoreError> {
        Ok(before(&self.db.main).await?.into_iter().filter_map(|before| before.was).collect())
    }

    /// Undo the last import; what became of each upstream of it. Nothing when there is none to undo.
    pub async fn undo_upstream_import(&self) -> Result<Vec<(String, Undone)>, StoreError> {
        let mut tx = self.db.main.begin().await?;
        let mut all = Vec::new();
        for Before { name, was, imported_at } in before(&mut *tx).await? {
            let now = get(&mut *tx, &name).await?;
            let untouched = now.is_some_and(|now| now.updated_at.as_microsecond() == imported_at);
            let done = match was {
                _ if !untouched => Undone::Left,
                None => {
                    delete(&mut *tx, &name).await?;
                    Undone::Removed
                }
                Some(was) => {
                    let created = was.created_at.as_microsecond();
                    let was = NewUpstream {
                        name: was.name,
                        settings: was.settings,
                        source: was.source,
                        origin: was.origin,
                        enabled: was.enabled,
                    };
                    put(&mut *tx, &was, created, row::now()).await?;
                    Undone::Restored
                }
            };
            all.push((name, done));
        }
        sqlx::query(include_str!("../sql/upstreams_undo_clear.sql")).execute(&mut *tx).await?;
        tx.commit().await?;
        Ok(all)
    }
}

fn bounded(all: &[StoredUpstream]) -> Result<(), StoreError> {
    if all.len() > MAX_UPSTREAMS {
        let message = format!("there are {MAX_UPSTREAMS} upstreams already; remove some first");
        return Err(StoreError::new(toolgate_core::Kind::Conflict, message));
    }
    Ok(())
}
