//! Legacy MCP sessions in `Store`, so that they outlive the process: written behind by the edge, read when a client comes
//! back with an id that is not in memory.
//!
//! Holds only a hash of a session's id. Whose a session is, is checked by the reader.

use crate::{Store, StoreError, row};
use jiff::Timestamp;

const MAX_NAME: usize = 256;
/// Largest state of one session, in bytes.
pub const MAX_SESSION: usize = 256 << 10;

/// A session as it is stored. `caller` and `scope` at most 256 bytes, `state` at most [`MAX_SESSION`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSession {
    /// SHA-256 of the id that the client shows.
    pub id: [u8; 32],
    pub caller: String,
    /// The server of the door it was opened at; `None` is the door of all.
    pub scope: Option<String>,
    /// JSON; what it means is the writer's.
    pub state: String,
    pub last_used: Timestamp,
}

impl Store {
    /// Store sessions, all or none; one that is there gets the new state and time, and stays its caller's.
    pub async fn save_sessions(&self, sessions: &[StoredSession]) -> Result<(), StoreError> {
        for session in sessions {
            row::bounded("the session's caller", &session.caller, MAX_NAME)?;
            row::at_most("the session's scope", session.scope.as_deref().unwrap_or_default(), MAX_NAME)?;
            row::at_most("the session's state", &session.state, MAX_SESSION)?;
        }
        let mut tx = self.db.main.begin().await?;
        for session in sessions {
            sqlx::query(include_str!("../sql/sessions_save.sql"))
                .bind(&session.id[..])
                .bind(&session.caller)
                .bind(&session.scope)
                .bind(&session.state)
                .bind(session.last_used.as_microsecond())
                .execute(&mut *tx)
                .await?;
        }
        Ok(tx.commit().await?)
    }

    /// The session of this hash, should there be one.
    pub async fn load_session(&self, id: &[u8; 32]) -> Result<Option<StoredSession>, StoreError> {
        let found = sqlx::query(include_str!("../sql/sessions_load.sql"))
            .bind(&id[..])
            .fetch_optional(&self.db.main)
            .await?;
        let Some(found) = found else { return Ok(None) };
        Ok(Some(StoredSession {
            id: *id,
            caller: row::text(&found, 1)?,
            scope: row::text_opt(&found, 2)?,
            state: row::text(&found, 3)?,
            last_used: row::time(&found, 4)?,
        }))
    }

    /// Forget sessions. Those that are not there are no error.
    pub async fn delete_sessions(&self, ids: &[[u8; 32]]) -> Result<(), StoreError> {
        let mut tx = self.db.main.begin().await?;
        for id in ids {
            sqlx::query(include_str!("../sql/sessions_delete.sql")).bind(&id[..]).execute(&mut *tx).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Forget sessions last used before a time, and the longest unused beyond so many of one caller and in all. Says how
    /// many went.
    pub async fn sweep_sessions(
        &self,
        before: Timestamp,
        per_caller: u64,
        total: u64,
    ) -> Result<u64, StoreError> {
        let most = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let done = sqlx::query(include_str!("../sql/sessions_sweep.sql"))
            .bind(before.as_microsecond())
            .bind(most(per_caller))
            .bind(most(total))
            .execute(&self.db.main)
            .await?;
        Ok(done.rows_affected())
    }
}
