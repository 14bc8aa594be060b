//! Memories: a value under a key, in a category. The newest come first.

use super::{Shelf, limit};
use crate::{StoreError, row};
use jiff::Timestamp;
use serde::Serialize;
use sqlx::sqlite::SqliteRow;

pub(crate) const MAX_KEY: usize = 512;
pub(crate) const MAX_VALUE: usize = 1 << 20;
pub(crate) const MAX_CATEGORY: usize = 128;
// An answer holds at most this many bytes of values, and always its first row.
const MAX_ANSWER: usize = 4 << 20;

/// One memory. Times are RFC 3339 when serialised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memory {
    pub key: String,
    pub value: String,
    pub category: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// Memories, newest first. `truncated`: there are more than the limit or the answer's size allowed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Memories {
    pub items: Vec<Memory>,
    pub truncated: bool,
}

impl Shelf {
    /// Store a value, replacing the one under the same key. Key at most 512 bytes, value 1 MiB, category 128 bytes. True
    /// when the key is a new one.
    pub async fn remember(&self, key: &str, value: &str, category: &str) -> Result<bool, StoreError> {
        row::bounded("key", key, MAX_KEY)?;
        row::at_most("value", value, MAX_VALUE)?;
        row::bounded("category", category, MAX_CATEGORY)?;
        let stored = sqlx::query(include_str!("../../sql/memory_put.sql"))
            .bind(key)
            .bind(value)
            .bind(category)
            .bind(row::now())
            // To its end, where it commits; the first row comes before.
            .fetch_all(&self.db.main)
            .await?;
        Ok(stored.first().map(|row| row::int(row, 0)).transpose()? == Some(1))
    }

    /// Keys that begin with these characters, the newest first. `limit` is 1 to 1000.
    pub async fn keys(&self, beginning: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query(include_str!("../../sql/memory_keys.sql"));
        let rows = query.bind(beginning).bind(self::limit(limit)).fetch_all(&self.db.side).await?;
        rows.iter().map(|row| row::text(row, 0)).collect()
    }

    /// Categories in alphabetical order, at most 1000.
    pub async fn categories(&self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query(include_str!("../../sql/memory_categories.sql"));
        let rows = query.bind(self::limit(u32::MAX)).fetch_all(&self.db.side).await?;
        rows.iter().map(|row| row::text(row, 0)).collect()
    }

    /// The memory of that key, else those of that category, else the newest. `limit` is 1 to 1000.
    pub async fn recall(
        &self,
        key: Option<&str>,
        category: Option<&str>,
        limit: u32,
    ) -> Result<Memories, StoreError> {
        let Some(key) = key else { return self.list(category, limit).await };
        let found = sqlx::query(include_str!("../../sql/memory_get.sql"))
            .bind(key)
            .fetch_optional(&self.db.side)
            .await?;
        let items = found.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Memories { items, truncated: false })
    }

    /// The newest memories, of one category or of all. `limit` is 1 to 1000.
    pub async fn list(&self, category: Option<&str>, limit: u32) -> Result<Memories, StoreError> {
        use futures_util::TryStreamExt as _;
        let limit = self::limit(limit);
        // One more than asked for says whether there is more.
        let query = match category {
            None => sqlx::query(include_str!("../../sql/memory_list.sql")).bind(limit + 1),
            Some(category) => {
                sqlx::query(include_str!("../../sql/memory_list_category.sql")).bind(limit + 1).bind(category)
            }
        };
        let mut rows = query.fetch(&self.db.side);
        let (mut items, mut size, mut truncated) = (Vec::new(), 0, false);
        while let Some(row) = rows.try_next().await? {
            let memory = read(&row)?;
            size += memory.value.len();
            if items.len() as i64 == limit || (size > MAX_ANSWER && !items.is_empty()) {
                truncated = true;
                break;
            }
            items.push(memory);
        }
        Ok(Memories { items, truncated })
    }

    /// Remove a memory. False when there is none of that key.
    pub async fn forget(&self, key: &str) -> Result<bool, StoreError> {
        let done =
            sqlx::query(include_str!("../../sql/memory_delete.sql")).bind(key).execute(&self.db.main).await?;
        Ok(done.rows_affected() > 0)
    }
}

fn read(row: &SqliteRow) -> Result<Memory, StoreError> {
    Ok(Memory {
        key: row::text(row, 0)?,
        value: row::text(row, 1)?,
        category: row::text(row, 2)?,
        created_at: row::time(row, 3)?,
        updated_at: row::time(row, 4)?,
    })
}
