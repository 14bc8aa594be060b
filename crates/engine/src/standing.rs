//! Whether a caller still is somebody: sessions and streams outlive the request that presented the key, and must not
//! outlive the key.
//!
//! Asked by `Engine::call` for what runs, on every transport, and by whoever holds something open for a caller
//! (`mcp::notice`, `mcp::tasks`, sessions, streams and channels of the edge, stdio). A key ends
//! by revocation, by replacement with other roles, and by expiry; a caller without a key (the operator's own command
//! line) never does.

use crate::trail::Answer;
use crate::{Engine, Inner};
use jiff::Timestamp;
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio::sync::watch;
use toolgate_core::{Caller, Error, Kind};

/// Begins the id of every caller that holds a key.
pub(crate) const KEY: &str = "key:";
// The clock of the wall may be set, so that no wait for a point on it is longer.
const LOOK_AFTER: Duration = Duration::from_secs(60);

enum Standing {
    Gone,
    /// Seconds since the Unix epoch; `None` has no end in sight.
    Until(Option<i64>),
}

impl Engine {
    fn standing(&self, id: &str, roles: Option<&Caller>) -> Standing {
        let Some(key) = id.strip_prefix(KEY) else { return Standing::Until(None) };
        let snapshot = self.0.snapshot.load();
        match snapshot.keys.get(key) {
            Some(key) if key.expires_at.is_some_and(|end| end <= Timestamp::now().as_second()) => {
                Standing::Gone
            }
            Some(key) if roles.is_none_or(|caller| caller.roles == key.caller.roles) => {
                Standing::Until(key.expires_at)
            }
            _ => Standing::Gone,
        }
    }

    /// Whether this caller's key is still good, and still has the roles that the caller has.
    pub fn is_known(&self, caller: &Caller) -> bool {
        matches!(self.standing(&caller.id, Some(caller)), Standing::Until(_))
    }

    /// The same for whom only the id is known.
    pub fn knows(&self, caller: &str) -> bool {
        matches!(self.standing(caller, None), Standing::Until(_))
    }

    /// Ends when this caller is known no more.
    pub async fn gone(&self, caller: &Caller) {
        gone_from(Arc::downgrade(&self.0), caller).await;
    }

    /// What this work comes to, unless its caller is gone before. Work that need not wait asks nothing.
    pub(crate) async fn while_known(&self, caller: &Caller, work: impl Future<Output = Answer>) -> Answer {
        tokio::select! {
            biased;
            answer = work => answer,
            () = self.gone(caller) => Err(Error::new(
                Kind::Unauthenticated,
                "the key of this call was revoked, has expired or has other roles now",
            )),
        }
    }

    /// To be told when keys end, whosever.
    pub fn keys(&self) -> Keys {
        Keys { engine: self.clone(), changes: self.0.keys_changed.subscribe(), looked: now() }
    }
}

/// Tells that callers may be gone.
pub struct Keys {
    engine: Engine,
    changes: watch::Receiver<u64>,
    looked: i64,
}

impl Keys {
    /// Ends when keys were replaced or one has expired since the last time; now and then without either.
    pub async fn changed(&mut self) {
        let next = {
            let snapshot = self.engine.0.snapshot.load();
            snapshot.keys.values().filter_map(|key| key.expires_at).filter(|end| *end > self.looked).min()
        };
        wait(&mut self.changes, next).await;
        self.looked = now();
    }
}

/// `Engine::gone` for whoever must not keep the engine open; ends with the engine too.
pub(crate) async fn gone_from(engine: Weak<Inner>, caller: &Caller) {
    let Some(mut changes) = engine.upgrade().map(|inner| inner.keys_changed.subscribe()) else { return };
    loop {
        let Some(inner) = engine.upgrade() else { return };
        let Standing::Until(end) = Engine(inner).standing(&caller.id, Some(caller)) else { return };
        wait(&mut changes, end).await;
    }
}

fn now() -> i64 {
    Timestamp::now().as_second()
}

// Until keys were replaced, or that second has begun.
async fn wait(changes: &mut watch::Receiver<u64>, end: Option<i64>) {
    let left = end.map(|end| {
        let left = end.saturating_mul(1000).saturating_sub(Timestamp::now().as_millisecond());
        Duration::from_millis(u64::try_from(left).unwrap_or_default()).min(LOOK_AFTER)
    });
    let expiry = async {
        match left {
            Some(left) => tokio::time::sleep(left).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        // An error means that the engine is gone, which whoever waits sees.
        _ = changes.changed() => {}
        () = expiry => {}
    }
}
