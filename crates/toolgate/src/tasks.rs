//! The engine's tasks in the store. Used by `wiring`.

use std::sync::Arc;
use toolgate_core::Error;
use toolgate_core::tool::BoxFuture;
use toolgate_engine::mcp::{Kept, TaskStatus, TaskStore};
use toolgate_store::{Store, TaskRow};

/// Keeps tasks in `toolgate.db`.
pub struct StoredTasks(pub Arc<Store>);

fn row(task: &Kept) -> TaskRow {
    TaskRow {
        id: task.id.clone(),
        caller: task.caller.clone(),
        scope: task.scope.clone(),
        node: task.node.clone(),
        status: task.status.label().to_owned(),
        created_at: task.created,
        updated_at: task.updated,
        ends_at: task.ends,
        bytes: task.bytes,
    }
}

fn task(row: TaskRow) -> Result<Kept, Error> {
    let status = TaskStatus::parse(&row.status)
        .ok_or_else(|| Error::internal(format!("a stored task has the unknown status {:?}", row.status)))?;
    Ok(Kept {
        id: row.id,
        caller: row.caller,
        scope: row.scope,
        node: row.node,
        status,
        created: row.created_at,
        updated: row.updated_at,
        ends: row.ends_at,
        bytes: row.bytes,
    })
}

impl TaskStore for StoredTasks {
    fn put<'a>(&'a self, task: &'a Kept, body: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { Ok(self.0.put_task(&row(task), body).await?) })
    }

    fn get<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<Option<(Kept, String)>, Error>> {
        Box::pin(async move {
            let found = self.0.task(id).await?;
            found.map(|(row, body)| Ok((task(row)?, body))).transpose()
        })
    }

    fn delete<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async move { Ok(self.0.delete_task(id).await?) })
    }

    fn all(&self) -> BoxFuture<'_, Result<Vec<Kept>, Error>> {
        Box::pin(async move { self.0.tasks().await?.into_iter().map(task).collect() })
    }
}
