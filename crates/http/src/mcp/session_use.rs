//! `Use`: a session for as long as a request or a stream needs it, with the calls that run in it.
//!
//! Made by `Sessions::find`. Calls are entered here, so that they can be cancelled, are counted, and end with the session.

use super::{MAX_RUNNING, Session, lock};
use futures_util::future::{AbortHandle, AbortRegistration};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use toolgate_wire::Id;

/// A session in use. Dropping it ends the use, and forgets the calls that it was used for.
pub struct Use {
    pub session: Arc<Session>,
    calls: Vec<Id>,
}

impl Use {
    pub(super) fn begin(session: Arc<Session>) -> Self {
        lock(&session.state).uses += 1;
        Self { session, calls: Vec::new() }
    }

    /// Enter a call that `notifications/cancelled` can cancel. The error says why it cannot run.
    pub fn call(&mut self, id: &Id) -> Result<AbortRegistration, &'static str> {
        let mut state = lock(&self.session.state);
        if state.ended {
            return Err("the session has ended");
        }
        if state.running.contains_key(id) {
            return Err("a request with this id is still running");
        }
        if state.running.len() >= MAX_RUNNING {
            return Err("256 requests of this session are running; wait for one to end");
        }
        let (handle, registration) = AbortHandle::new_pair();
        state.running.insert(id.clone(), handle);
        self.calls.push(id.clone());
        Ok(registration)
    }

    /// The same for a batch. When one of them cannot run none does: the use ends with the refusal, and its calls with it.
    pub fn batch(&mut self, ids: &[Id]) -> Result<Vec<AbortRegistration>, &'static str> {
        ids.iter().map(|id| self.call(id)).collect()
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = lock(&self.session.state);
        state.uses -= 1;
        state.last_used = Instant::now();
        for id in &self.calls {
            state.running.remove(id);
        }
        self.session.keep(&mut state, Duration::MAX);
    }
}
