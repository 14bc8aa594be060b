//! Tasks in `Store`: calls whose result is fetched later, kept over restarts until their time ends.
//!
//! Written when a task is made and when it has ended. What a status means, and who may see a task, is the engine's.

use crate::{Store, StoreError, row};
use jiff::Timestamp;
use sqlx::sqlite::SqliteRow;

// Longest id, caller, scope, node and status, in bytes.
const MAX_NAME: usize = 256;
/// Longest body of a task, in bytes.
const MAX_BODY: usize = 16 << 20;

/// A stored task, without its body. Times to the microsecond.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    pub id: String,
    pub caller: String,
    pub scope: Option<String>,
    pub node: String,
    pub status: String,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub ends_at: Timestamp,
    /// Bytes of its body; not read when it is stored.
    pub bytes: usize,
}

impl Store {
    /// Store a task. Of one that exists its status, time of change and body are replaced.
    pub async fn put_task(&self, task: &TaskRow, body: &str) -> Result<(), StoreError> {
        let scope = task.scope.as_deref().unwrap_or("-");
        for (what, text) in [
            ("a task's id", task.id.as_str()),
            ("its caller", &task.caller),
            ("its scope", scope),
            ("its node", &task.node),
            ("its status", &task.status),
        ] {
            row::bounded(what, text, MAX_NAME)?;
        }
        row::at_most("a task's body", body, MAX_BODY)?;
        sqlx::query(include_str!("../sql/tasks_put.sql"))
            .bind(&task.id)
            .bind(&task.caller)
            .bind(&task.scope)
            .bind(&task.node)
            .bind(&task.status)
            .bind(task.created_at.as_microsecond())
            .bind(task.updated_at.as_microsecond())
            .bind(task.ends_at.as_microsecond())
            .bind(body)
            .execute(&self.db.main)
            .await?;
        Ok(())
    }

    /// A task and its body.
    pub async fn task(&self, id: &str) -> Result<Option<(TaskRow, String)>, StoreError> {
        let found =
            sqlx::query(include_str!("../sql/tasks_get.sql")).bind(id).fetch_optional(&self.db.main).await?;
        found.map(|found| Ok((read_task(&found)?, row::text(&found, 9)?))).transpose()
    }

    /// Every task, oldest first.
    pub async fn tasks(&self) -> Result<Vec<TaskRow>, StoreError> {
        let rows = sqlx::query(include_str!("../sql/tasks_list.sql")).fetch_all(&self.db.main).await?;
        rows.iter().map(read_task).collect()
    }

    /// Delete a task, if it is there.
    pub async fn delete_task(&self, id: &str) -> Result<(), StoreError> {
        sqlx::query(include_str!("../sql/tasks_delete.sql")).bind(id).execute(&self.db.main).await?;
        Ok(())
    }
}

fn read_task(row: &SqliteRow) -> Result<TaskRow, StoreError> {
    Ok(TaskRow {
        id: row::text(row, 0)?,
        caller: row::text(row, 1)?,
        scope: row::text_opt(row, 2)?,
        node: row::text(row, 3)?,
        status: row::text(row, 4)?,
        created_at: row::time(row, 5)?,
        updated_at: row::time(row, 6)?,
        ends_at: row::time(row, 7)?,
        bytes: usize::try_from(row::int(row, 8)?).unwrap_or_default(),
    })
}
