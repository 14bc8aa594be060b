//! Sessions of legacy MCP clients in the store: what the edge asks for, over what the store has.
//!
//! Used by `serve`. Decides nothing: whose a session is and whether it is too old is the edge's to say.

use jiff::Timestamp;
use std::sync::Arc;
use toolgate_core::Error;
use toolgate_core::tool::BoxFuture;
use toolgate_http::{Kept, Leave, SessionHash, SessionStore};
use toolgate_store::{Store, StoredSession};

/// The store as the edge wants it.
pub struct InStore(pub Arc<Store>);

impl SessionStore for InStore {
    fn save(&self, sessions: Vec<Kept>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let stored: Result<Vec<_>, Error> = sessions.into_iter().map(stored).collect();
            Ok(self.0.save_sessions(&stored?).await?)
        })
    }

    fn load(&self, id: SessionHash) -> BoxFuture<'_, Result<Option<Kept>, Error>> {
        Box::pin(async move {
            let found = self.0.load_session(&id).await?;
            Ok(found.map(|found| Kept {
                id: found.id,
                caller: found.caller,
                scope: found.scope,
                state: found.state,
                last_used: found.last_used.into(),
            }))
        })
    }

    fn delete(&self, ids: Vec<SessionHash>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { Ok(self.0.delete_sessions(&ids).await?) })
    }

    fn sweep(&self, leave: Leave) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let since = Timestamp::try_from(leave.used_since).map_err(Error::internal)?;
            self.0.sweep_sessions(since, leave.per_caller as u64, leave.total as u64).await?;
            Ok(())
        })
    }
}

fn stored(kept: Kept) -> Result<StoredSession, Error> {
    Ok(StoredSession {
        id: kept.id,
        caller: kept.caller,
        scope: kept.scope,
        state: kept.state,
        last_used: Timestamp::try_from(kept.last_used).map_err(Error::internal)?,
    })
}
