//! `Places`: how many channels (WebSocket, HTTP+SSE) are open, of one caller and in all, and where their
//! answers wait.
//!
//! The bounds are those of sessions: a channel is one.

use super::Limits;
use crate::{AppState, sending};
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::quota::{Place, Quota};
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::mcp::channel::Hold;

/// Where the answers of a caller's channels have their place until they are sent.
pub(super) fn hold(app: &AppState, caller: &Caller) -> Hold {
    let (answers, caller) = (app.answers().clone(), caller.id.clone());
    Arc::new(move |answer| sending::piece(&answers, &caller, answer.into()))
}

pub(super) struct Places(Arc<Quota>);

impl Places {
    pub fn new(limits: Limits) -> Self {
        Self(Quota::new(limits.per_caller, limits.total))
    }

    pub fn take(&self, caller: &Caller) -> Result<Place, Error> {
        self.0.take(caller).map_err(|_| {
            let why = "too many channels are open; close one, or wait";
            Error::new(Kind::RateLimited, why).retry_after(Duration::from_secs(60))
        })
    }
}
