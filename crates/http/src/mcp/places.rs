//! `Places`: how many channels (WebSocket, HTTP+SSE) are open, of one caller and in all, and where their
//! answers wait.
//!
//! The bounds are those of sessions: a channel is one.

use super::Limits;
use crate::{AppState, sending};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::mcp::channel::Hold;

pub(super) struct Places {
    limits: Limits,
    open: Mutex<HashMap<Arc<str>, usize>>,
}

/// Where the answers of a caller's channels have their place until they are sent.
pub(super) fn hold(app: &AppState, caller: &Caller) -> Hold {
    let (answers, caller) = (app.answers().clone(), caller.id.clone());
    Arc::new(move |answer| sending::piece(&answers, &caller, answer.into()))
}

/// One open channel; dropping it gives the place back.
pub(super) struct Place {
    places: Arc<Places>,
    caller: Arc<str>,
}

impl Places {
    pub fn new(limits: Limits) -> Self {
        Self { limits, open: Mutex::default() }
    }

    pub fn take(self: &Arc<Self>, caller: &Caller) -> Result<Place, Error> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let own = open.get(&caller.id).copied().unwrap_or(0);
        if own >= self.limits.per_caller || open.values().sum::<usize>() >= self.limits.total {
            let why = "too many channels are open; close one, or wait";
            return Err(Error::new(Kind::RateLimited, why).retry_after(Duration::from_secs(60)));
        }
        open.insert(caller.id.clone(), own + 1);
        Ok(Place { places: self.clone(), caller: caller.id.clone() })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.places.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = open.get_mut(&self.caller) {
            *own -= 1;
            if *own == 0 {
                open.remove(&self.caller);
            }
        }
    }
}
