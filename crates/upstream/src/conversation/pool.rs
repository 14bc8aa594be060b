//! `Pool`: the sessions of a legacy upstream, or the processes of a modern one, by who they belong to and what their
//! clients can do. Both are called sessions here.
//!
//! Made lazily, ended when idle, bounded in number: when all are in use a call is refused, never queued behind a stranger's.
//! One caller has a share of them, so that nobody can keep all others out.

use super::Place;
use crate::settings::Share;
use crate::transport::{Failure, Transport};
use serde_json::Value;
use std::any::Any;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::OnceCell;
use tokio::time::Instant;
use toolgate_core::caller::Caller;
use toolgate_core::{Ctx, Kind};

/// Whom a session belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Owner {
    /// The gateway itself: lists and subscriptions.
    Watcher,
    All,
    Caller(Arc<str>),
    /// A session of a client, by its address while it lives.
    Session(usize, Arc<str>),
}

pub(crate) type Alive = Weak<dyn Any + Send + Sync>;

impl Owner {
    /// Whose session a call uses, and what must live for it to go on.
    pub fn of(share: Share, ctx: &Ctx) -> (Self, Option<Alive>) {
        match (share, ctx.link().and_then(|link| link.session())) {
            (Share::All, _) => (Self::All, None),
            (Share::Session, Some(session)) => {
                let address = Arc::as_ptr(&session).cast::<()>() as usize;
                (Self::Session(address, ctx.caller.id.clone()), Some(Arc::downgrade(&session)))
            }
            _ => (Self::Caller(ctx.caller.id.clone()), None),
        }
    }

    /// The one whose it is, unless it is everybody's.
    pub fn caller(&self) -> Option<&str> {
        match self {
            Self::Watcher | Self::All => None,
            Self::Caller(caller) | Self::Session(_, caller) => Some(caller),
        }
    }

    // The sessions that its caller may have, of so many. Each client session that has one of its own is a use that somebody
    // chose; sessions that differ by what is declared are not.
    fn share(&self, most: usize) -> usize {
        match self {
            Self::Watcher | Self::All => most,
            Self::Caller(_) => most / 8,
            Self::Session(..) => most / 2,
        }
        .max(1)
    }

    pub fn of_caller(share: Share, caller: &Caller) -> Self {
        match share {
            Share::All => Self::All,
            _ => Self::Caller(caller.id.clone()),
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    owner: Owner,
    /// Canonical text of the capabilities declared.
    abilities: String,
}

/// What a pool holds.
pub(crate) trait Held: Send + Sync + 'static {
    /// It is of no use any more.
    fn is_lost(&self) -> bool;
    /// Somebody hears from it without using it.
    fn is_watching(&self) -> bool {
        false
    }
}

/// What a session is made of.
pub(crate) struct Begin {
    pub transport: Arc<dyn Transport>,
    /// Whether all its calls are of one owner.
    pub only: bool,
    /// Whether it is the gateway's own.
    pub watcher: bool,
}

struct Slot<S> {
    session: OnceCell<Arc<S>>,
    uses: AtomicUsize,
    used: Mutex<Instant>,
    alive: Option<Alive>,
}

/// The use of a session; while one lasts the session is not idle.
pub(crate) struct Lease<S: Held> {
    slot: Arc<Slot<S>>,
    pub session: Arc<S>,
}

impl<S: Held> Drop for Lease<S> {
    fn drop(&mut self) {
        self.slot.release();
    }
}

// Counts a use from before the session is made.
struct Use<S: Held>(Arc<Slot<S>>);

impl<S: Held> Drop for Use<S> {
    fn drop(&mut self) {
        self.0.release();
    }
}

impl<S: Held> Slot<S> {
    fn release(&self) {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.uses.fetch_sub(1, Ordering::AcqRel);
    }

    fn used(&self) -> Instant {
        *self.used.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_idle(&self) -> bool {
        self.uses.load(Ordering::Acquire) == 0
    }

    fn is_orphan(&self) -> bool {
        self.alive.as_ref().is_some_and(|alive| alive.strong_count() == 0)
    }
}

/// The sessions of one upstream.
pub(crate) struct Pool<S: Held> {
    place: Arc<Place>,
    /// What all sessions share over HTTP; over pipes each has a process of its own.
    shared: Option<Arc<dyn Transport>>,
    /// The process that was asked for its era, and when: it serves the first session, if that comes before it is idle.
    first: Mutex<Option<(Arc<dyn Transport>, Instant)>>,
    slots: Mutex<HashMap<Key, Arc<Slot<S>>>>,
}

impl<S: Held> Pool<S> {
    /// `transport`: what the era was found out on.
    pub fn new(place: Arc<Place>, transport: Arc<dyn Transport>) -> Self {
        let (shared, first) = if transport.one_session() {
            (None, Some((transport, Instant::now())))
        } else {
            (Some(transport), None)
        };
        Self { place, shared, first: Mutex::new(first), slots: Mutex::default() }
    }

    async fn transport(&self, owner: &Owner) -> Result<Arc<dyn Transport>, Failure> {
        if let Some(shared) = &self.shared {
            return Ok(shared.clone());
        }
        let apart = matches!(self.place.settings.share, Share::Caller | Share::Session);
        let caller = owner.caller().filter(|_| apart);
        // What was begun for nobody does not have a caller's directory.
        let first = self.first.lock().unwrap_or_else(PoisonError::into_inner).take_if(|_| caller.is_none());
        match first {
            Some((transport, _)) => Ok(transport),
            None => self.place.open(caller).await,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Arc<Slot<S>>>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// All that are there, with whose they are.
    pub fn sessions(&self) -> Vec<(Owner, Arc<S>)> {
        let slots = self.lock();
        let made =
            slots.iter().filter_map(|(key, slot)| Some((key.owner.clone(), slot.session.get()?.clone())));
        made.filter(|(_, session)| !session.is_lost()).collect()
    }

    /// Whether the gateway's own session is there.
    pub fn is_awake(&self) -> bool {
        self.lock().keys().any(|key| key.owner == Owner::Watcher)
    }

    /// A session of an owner that is there already, whatever it declared.
    pub fn existing(&self, owner: &Owner) -> Option<Lease<S>> {
        let slots = self.lock();
        let mut of_owner = slots.iter().filter(|(key, _)| key.owner == *owner);
        of_owner.find_map(|(_, slot)| {
            let session = slot.session.get().filter(|session| !session.is_lost())?.clone();
            slot.uses.fetch_add(1, Ordering::AcqRel);
            Some(Lease { slot: slot.clone(), session })
        })
    }

    /// The session of an owner with these abilities, made with `make` when there is none.
    pub async fn lease<F>(
        &self,
        (owner, alive): (Owner, Option<Alive>),
        abilities: &Value,
        make: impl FnOnce(Begin) -> F + Send,
    ) -> Result<Lease<S>, Failure>
    where
        F: Future<Output = Result<S, Failure>> + Send,
    {
        let key = Key { owner, abilities: toolgate_core::canon::to_string(abilities) };
        let used = Use(self.slot(&key, alive)?);
        let only = !matches!(key.owner, Owner::All | Owner::Watcher);
        let made = used.0.session.get_or_try_init(|| async {
            let transport = self.transport(&key.owner).await?;
            make(Begin { transport, only, watcher: key.owner == Owner::Watcher }).await.map(Arc::new)
        });
        let limit = self.place.settings.start.0;
        let made = tokio::time::timeout(limit, made).await.unwrap_or_else(|_| {
            let why = format!("no session within {} s (start)", limit.as_secs_f64());
            Err(Failure::new(Kind::Timeout, why).unseen())
        });
        let session = match made {
            Ok(session) => session.clone(),
            Err(failure) => {
                self.forget(&key, &used.0);
                return Err(failure);
            }
        };
        let slot = used.0.clone();
        // The count goes over to the lease.
        slot.uses.fetch_add(1, Ordering::AcqRel);
        drop(used);
        Ok(Lease { slot, session })
    }

    // The slot of a key, with one use counted.
    fn slot(&self, key: &Key, alive: Option<Alive>) -> Result<Arc<Slot<S>>, Failure> {
        let mut slots = self.lock();
        let lost =
            |slot: &Slot<S>| slot.session.get().is_some_and(|session| session.is_lost()) || slot.is_orphan();
        if slots.get(key).is_some_and(|slot| lost(slot)) {
            slots.remove(key);
        }
        if let Some(slot) = slots.get(key) {
            slot.uses.fetch_add(1, Ordering::AcqRel);
            return Ok(slot.clone());
        }
        if key.owner != Owner::Watcher {
            make_room(&mut slots, &key.owner, self.place.settings.max_sessions)?;
        }
        let used = Mutex::new(Instant::now());
        let slot = Arc::new(Slot { session: OnceCell::new(), uses: AtomicUsize::new(1), used, alive });
        slots.insert(key.clone(), slot.clone());
        Ok(slot)
    }

    fn forget(&self, key: &Key, slot: &Arc<Slot<S>>) {
        let mut slots = self.lock();
        if slots.get(key).is_some_and(|there| Arc::ptr_eq(there, slot) && there.session.get().is_none()) {
            slots.remove(key);
        }
    }

    /// End what nobody used for so long, and what belonged to a session that is gone.
    /// The gateway's own stays where it costs no process.
    pub fn reap(&self, idle: Duration) {
        let keep_watcher = self.shared.is_some();
        let now = Instant::now();
        let unused = self
            .first
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take_if(|(_, asked)| now.duration_since(*asked) >= idle);
        drop(unused);
        self.lock().retain(|key, slot| {
            let watching = slot.session.get().is_some_and(|session| session.is_watching());
            let kept = watching || (key.owner == Owner::Watcher && keep_watcher);
            let old = now.duration_since(slot.used()) >= idle;
            let lost = slot.session.get().is_some_and(|session| session.is_lost());
            !(slot.is_idle() && ((old && !kept) || slot.is_orphan() || lost))
        });
    }
}

/// Room for another session of an owner: within its caller's share, and within all, which the gateway's own come on top of.
/// What is idle makes room, the caller's own before a stranger's.
fn make_room<S: Held>(
    slots: &mut HashMap<Key, Arc<Slot<S>>>,
    owner: &Owner,
    most: usize,
) -> Result<(), Failure> {
    let own = |key: &Key| match owner.caller() {
        Some(caller) => key.owner.caller() == Some(caller),
        None => key.owner == *owner,
    };
    let count = slots.keys().filter(|key| key.owner != Owner::Watcher).count();
    let (owned, share) = (slots.keys().filter(|key| own(key)).count(), owner.share(most));
    let shared_out = owned >= share;
    if !shared_out && count < most {
        return Ok(());
    }
    let idle = slots
        .iter()
        .filter(|(key, slot)| slot.is_idle() && key.owner != Owner::Watcher && (own(key) || !shared_out));
    let watching = |slot: &Slot<S>| slot.session.get().is_some_and(|session| session.is_watching());
    let Some((oldest, _)) = idle.min_by_key(|(key, slot)| (!own(key), watching(slot), slot.used())) else {
        let why = match shared_out && share < most {
            true => format!(
                "all {share} of its {most} sessions (max_sessions) that one caller may have are in use; try again when a \
                 call has ended"
            ),
            false => {
                format!("all its {most} sessions are in use (max_sessions); try again when a call has ended")
            }
        };
        return Err(Failure::new(Kind::RateLimited, why).unseen());
    };
    let oldest = oldest.clone();
    slots.remove(&oldest);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::process::Process;
    use super::*;
    use crate::transport::{Exchange, Outgoing};
    use toolgate_core::tool::BoxFuture;

    /// A process that does nothing but live.
    struct Idle(#[expect(dead_code, reason = "held")] Arc<()>);

    impl Transport for Idle {
        fn exchange(&self, _: Outgoing) -> BoxFuture<'_, Result<Exchange, Failure>> {
            Box::pin(std::future::pending())
        }
        fn send(&self, _: Outgoing) -> BoxFuture<'_, Result<(), Failure>> {
            Box::pin(std::future::pending())
        }
        fn unsolicited(&self, _: http::HeaderMap) -> BoxFuture<'_, Result<Exchange, Failure>> {
            Box::pin(std::future::pending())
        }
        fn end(&self, _: http::HeaderMap) -> BoxFuture<'_, ()> {
            Box::pin(std::future::ready(()))
        }
        fn has_headers(&self) -> bool {
            false
        }
        fn gone(&self) -> BoxFuture<'_, Failure> {
            Box::pin(std::future::pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_was_only_asked_for_its_era_ends_when_nobody_comes() {
        let life = Arc::new(());
        let open: crate::transport::Open = Arc::new(|_, _, _| Box::pin(std::future::pending()));
        let place = Arc::new(Place::new("up", crate::Upstream::default(), open, Arc::default()));
        let pool = Pool::<Process>::new(place, Arc::new(Idle(life.clone())));
        let idle = Duration::from_secs(600);
        tokio::time::advance(idle / 2).await;
        pool.reap(idle);
        assert_eq!(Arc::strong_count(&life), 2, "its first session may still come");
        tokio::time::advance(idle).await;
        pool.reap(idle);
        assert_eq!(Arc::strong_count(&life), 1);
    }
}
