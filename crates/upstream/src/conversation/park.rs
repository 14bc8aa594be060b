//! `Lot`: calls of legacy upstreams that wait for answers of modern clients.
//!
//! Such a client is told the questions and comes back with another request; meanwhile the call upstream stays open here,
//! under an id that only the sealed state of its client names. Bounded in number, by caller, and in time: what nobody
//! comes back to is given up upstream.

use super::fault::Rpc;
use super::pool::Lease;
use super::read::MAX_QUESTION;
use super::running::{Route, Running};
use super::session::Session;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use toolgate_core::link::Ask;
use toolgate_core::{Kind, ToolError};

/// Parked calls in all, and of one caller.
const MAX_PARKED: usize = 256;
const MAX_OF_CALLER: usize = 16;
/// Questions that are asked together.
const MAX_TOGETHER: usize = 32;
/// As long as the state is valid that leads to one.
const WAITS: Duration = Duration::from_secs(15 * 60);

/// A call with everything that belongs to it.
pub(crate) struct Carried {
    pub running: Running,
    /// Its session is in use as long as it waits.
    pub _lease: Lease<Session>,
    /// What it waits for.
    pub open: Vec<Open>,
    /// Questions so far, for keys.
    pub asked: u64,
}

impl Carried {
    /// Whether another question may be asked together with the open ones.
    pub fn has_room(&self) -> bool {
        let bytes: usize = self.open.iter().map(|open| open.bytes).sum();
        self.open.len() < MAX_TOGETHER && bytes < MAX_QUESTION
    }
}

/// A question of the upstream.
pub(crate) struct Open {
    /// JSON text of its request's id.
    pub id: String,
    pub ask: Ask,
    /// Of its text.
    pub bytes: usize,
}

impl Open {
    /// Answer it upstream.
    pub async fn answer(&self, route: &Route, answer: Result<&serde_json::Value, Rpc>) {
        let body = match answer {
            Ok(result) => super::write::answer(&self.id, result),
            Err(rpc) => super::write::refusal(&self.id, rpc.code, &rpc.message),
        };
        // An answer that does not get there shows in the call itself.
        let _ = route.send(body).await;
    }
}

/// Whose call it is: only the same comes back to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whose {
    pub caller: Arc<str>,
    pub upstream: Arc<str>,
    pub what: String,
}

struct Entry {
    whose: Whose,
    wake: oneshot::Sender<oneshot::Sender<Carried>>,
}

/// The calls that wait.
#[derive(Default)]
pub(crate) struct Lot(Mutex<HashMap<String, Entry>>);

impl Lot {
    fn lock(&self) -> MutexGuard<'_, HashMap<String, Entry>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Parked calls of an upstream.
    pub fn count(&self, upstream: &str) -> usize {
        self.lock().values().filter(|entry| &*entry.whose.upstream == upstream).count()
    }

    /// Give up all calls of an upstream.
    pub fn clear(&self, upstream: &str) {
        self.lock().retain(|_, entry| &*entry.whose.upstream != upstream);
    }

    /// Put a call away under an id that nobody else has.
    pub fn park(self: &Arc<Self>, id: String, whose: Whose, carried: Carried) -> Result<(), ToolError> {
        let (wake, woken) = oneshot::channel();
        {
            let mut lot = self.lock();
            let own = lot.values().filter(|entry| entry.whose.caller == whose.caller).count();
            if lot.len() >= MAX_PARKED || own >= MAX_OF_CALLER {
                let why = format!(
                    "upstream {}: the call asks its user, and too many calls wait for answers already \
                     ({own} of this caller, at most {MAX_OF_CALLER}; {} in all, at most {MAX_PARKED}); answer those first",
                    whose.upstream,
                    lot.len(),
                );
                return Err(ToolError::new(Kind::RateLimited, why));
            }
            lot.insert(id.clone(), Entry { whose, wake });
        }
        tokio::spawn(wait(self.clone(), id, carried, woken));
        Ok(())
    }

    /// Take a call back. `None`: it is not there (any more), or another's.
    pub async fn take(&self, id: &str, whose: &Whose) -> Option<Carried> {
        let entry = {
            let mut lot = self.lock();
            if lot.get(id)?.whose != *whose {
                return None;
            }
            lot.remove(id)?
        };
        let (give, given) = oneshot::channel();
        entry.wake.send(give).ok()?;
        given.await.ok()
    }
}

async fn wait(
    lot: Arc<Lot>,
    id: String,
    mut carried: Carried,
    woken: oneshot::Receiver<oneshot::Sender<Carried>>,
) {
    let end = tokio::time::Instant::now() + WAITS;
    let mut woken = std::pin::pin!(woken);
    let mut over = false;
    loop {
        tokio::select! {
            biased;
            give = &mut woken => {
                if let Ok(give) = give {
                    let _ = give.send(carried);
                }
                return;
            }
            () = tokio::time::sleep_until(end) => break,
            () = carried.running.idle(), if !over => over = true,
        }
    }
    lot.lock().remove(&id);
}
