//! Sessions of legacy clients, in memory, and behind them in a store when there is one (`keep`).
//!
//! A session belongs to one caller and one door: anyone else who shows its id, or shows it elsewhere, is told that there
//! is no such session. It ends by DELETE, with its caller's key, after a time without use, or to make room for a newer one
//! of the same caller; ending it cancels its calls and closes its streams. While a request or a stream is open it is in
//! use.

#[path = "session_use.rs"]
mod in_use;

pub(super) use in_use::Use;

use super::keep::{Keeper, Kept, SessionStore, hash, kept_for};
use super::room::Room;
use super::stream::Stream;
use futures_util::future::AbortHandle;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::time::Instant;
use toolgate_core::name::Door;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::mcp;
use toolgate_engine::{ConnectionGuard, Engine};
use toolgate_wire::Id;

/// Bounds on sessions.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// A session ends after this time without use.
    pub idle: Duration,
    /// Sessions of one caller; a further one takes the place of its oldest unused.
    pub per_caller: usize,
    /// Sessions of all callers.
    pub total: usize,
    /// Bytes of the events in the streams of all sessions.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), per_caller: 100, total: 10_000, events: 64 << 20 }
    }
}

// Streams of one session that are kept for a client that comes back, beside those that are not over.
const ENDED_STREAMS: usize = 16;
// The session's own stream (GET).
pub(super) const OWN_STREAM: u64 = 0;
// Calls of one session running at once.
const MAX_RUNNING: usize = 256;
// Entries of a table that are not worth shrinking it.
const SMALL: usize = 256;

pub(super) struct Session {
    pub id: Box<str>,
    caller: Arc<str>,
    scope: Option<Door>,
    pub mcp: Arc<mcp::Session>,
    state: Mutex<State>,
    room: Arc<Room>,
    keeper: Option<Arc<Keeper>>,
    _connection: Option<ConnectionGuard>,
}

struct State {
    last_used: Instant,
    /// When it was last given to the keeper, and what it was then.
    kept: Instant,
    kept_changes: u64,
    uses: usize,
    running: HashMap<Id, AbortHandle>,
    streams: VecDeque<Arc<Stream>>,
    opened_streams: u64,
    ended: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Session {
    fn matches(&self, caller: &Caller, scope: Option<&Door>) -> bool {
        self.caller == caller.id && self.scope.as_ref() == scope
    }

    // When it was last used; `None` while it is in use.
    fn unused_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.uses == 0).then_some(state.last_used)
    }

    // For whom its caller's key is gone: not even what waits to be read is sent.
    fn cut(&self) {
        lock(&self.state).streams.iter().for_each(|stream| stream.cut());
    }

    /// As it is kept; `None` when it has ended or is too large for that.
    pub fn kept(&self) -> Option<Kept> {
        let state = lock(&self.state);
        let unused = if state.uses > 0 { Duration::ZERO } else { state.last_used.elapsed() };
        let ended = state.ended;
        drop(state);
        let saved = serde_json::to_string(&self.mcp.saved()).ok();
        Some(Kept {
            id: hash(&self.id),
            caller: self.caller.to_string(),
            scope: self.scope.as_ref().map(ToString::to_string),
            state: saved.filter(|saved| !ended && saved.len() <= super::keep::MAX_STATE)?,
            last_used: SystemTime::now().checked_sub(unused)?,
        })
    }

    // Have it written when it has changed, or when what is written of its use is older than `age`.
    fn keep(self: &Arc<Self>, state: &mut State, age: Duration) {
        let Some(keeper) = self.keeper.as_ref().filter(|_| !state.ended) else { return };
        let changes = self.mcp.changes();
        let used = state.uses > 0 || state.last_used > state.kept;
        if changes != state.kept_changes || (used && state.kept.elapsed() >= age) {
            state.kept = Instant::now();
            state.kept_changes = changes;
            keeper.save(self.clone());
        }
    }

    fn end(&self) {
        let mut state = lock(&self.state);
        state.ended = true;
        self.mcp.end();
        state.streams.drain(..).for_each(|stream| stream.end());
        state.running.drain().for_each(|(_, call)| call.abort());
    }

    /// A new stream for an answer; `None` when the session has ended.
    pub fn open_stream(&self) -> Option<Arc<Stream>> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        let over = state.streams.iter().filter(|stream| stream.is_ended()).count();
        if over > ENDED_STREAMS
            && let Some(oldest) = state.streams.iter().position(|stream| stream.is_ended())
        {
            state.streams.remove(oldest);
        }
        state.opened_streams += 1;
        let stream = Stream::new(state.opened_streams, &self.room);
        state.streams.push_back(stream.clone());
        Some(stream)
    }

    /// The stream of this number, for a client that comes back.
    pub fn stream(&self, number: u64) -> Option<Arc<Stream>> {
        lock(&self.state).streams.iter().find(|stream| stream.number == number).cloned()
    }

    /// The session's own stream, and whether it is a new one. `None` when the session has ended.
    pub fn own_stream(&self) -> Option<(Arc<Stream>, bool)> {
        let mut state = lock(&self.state);
        if state.ended {
            return None;
        }
        if let Some(stream) = state.streams.iter().find(|stream| stream.number == OWN_STREAM) {
            return Some((stream.clone(), false));
        }
        let stream = Stream::new(OWN_STREAM, &self.room);
        state.streams.push_back(stream.clone());
        Some((stream, true))
    }

    /// Cancel a running call. Its id is taken until it is over.
    pub fn cancel(&self, id: &Id) {
        if let Some(call) = lock(&self.state).running.get(id) {
            call.abort();
        }
    }
}

/// All sessions.
pub(super) struct Sessions {
    limits: Limits,
    all: Mutex<All>,
    room: Arc<Room>,
    keeper: Option<Arc<Keeper>>,
}

#[derive(Default)]
struct All {
    by_id: HashMap<Box<str>, Arc<Session>>,
    by_caller: HashMap<Arc<str>, Vec<Arc<Session>>>,
    sweeping: bool,
}

impl All {
    fn of(&self, caller: &Caller) -> usize {
        self.by_caller.get(&caller.id).map_or(0, Vec::len)
    }

    fn remove(&mut self, id: &str) -> Option<Arc<Session>> {
        let session = self.by_id.remove(id)?;
        if let Some(own) = self.by_caller.get_mut(&session.caller) {
            own.retain(|other| !Arc::ptr_eq(other, &session));
            if own.is_empty() {
                self.by_caller.remove(&session.caller);
            }
        }
        session.end();
        if let Some(keeper) = &session.keeper {
            keeper.delete(id);
        }
        Some(session)
    }

    // Tables grow with the most that there ever was; what is far more than there is now is given back.
    fn shrink(&mut self) {
        let sessions = self.by_id.len();
        if self.by_id.capacity() > SMALL.max(4 * sessions) {
            self.by_id.shrink_to(2 * sessions);
            self.by_caller.shrink_to(2 * self.by_caller.len());
        }
        for own in self.by_caller.values_mut().filter(|own| own.capacity() > SMALL.max(4 * own.len())) {
            own.shrink_to(2 * own.len());
        }
    }

    fn oldest_unused(&self, caller: &str) -> Option<Box<str>> {
        let own = self.by_caller.get(caller)?;
        let unused = own.iter().filter_map(|s| Some((s.unused_since()?, s)));
        unused.min_by_key(|(since, _)| *since).map(|(_, s)| s.id.clone())
    }
}

impl Sessions {
    pub fn new(limits: Limits) -> Self {
        Self { limits, all: Mutex::default(), room: Room::new(limits.events), keeper: None }
    }

    /// Sessions that outlive the process, as long as `run` is polled and `flush` is called in the end.
    pub fn kept(limits: Limits, store: Arc<dyn SessionStore>) -> Self {
        Self { keeper: Some(Keeper::new(store)), ..Self::new(limits) }
    }

    /// Make a session. At a limit the caller's oldest unused one goes; nobody else's does.
    pub fn open(
        self: &Arc<Self>,
        caller: &Caller,
        scope: Option<&Door>,
        opened: Arc<mcp::Session>,
        connection: Option<ConnectionGuard>,
    ) -> Result<Arc<Session>, Error> {
        let mut all = lock(&self.all);
        let session = self.insert(&mut all, fresh_id(), caller, scope, opened, connection)?;
        if let Some(keeper) = &self.keeper {
            keeper.create(session.clone());
        }
        Ok(session)
    }

    fn insert(
        self: &Arc<Self>,
        all: &mut All,
        id: Box<str>,
        caller: &Caller,
        scope: Option<&Door>,
        opened: Arc<mcp::Session>,
        connection: Option<ConnectionGuard>,
    ) -> Result<Arc<Session>, Error> {
        if self.is_full(all, caller) {
            self.end_expired(all);
        }
        if self.is_full(all, caller) {
            let own = all.of(caller);
            let oldest = all.oldest_unused(&caller.id).ok_or_else(|| {
                let why = if own >= self.limits.per_caller {
                    format!("you have {own} sessions, the most that one caller may have, and all are in use")
                } else {
                    format!("there are {} sessions, the most that this gateway holds", all.by_id.len())
                };
                Error::new(Kind::RateLimited, format!("{why}; end one with DELETE, or wait"))
                    .retry_after(Duration::from_secs(60))
            })?;
            all.remove(&oldest);
        }
        let now = Instant::now();
        let session = Arc::new(Session {
            id,
            caller: caller.id.clone(),
            scope: scope.cloned(),
            state: Mutex::new(State {
                last_used: now,
                kept: now,
                kept_changes: opened.changes(),
                uses: 0,
                running: HashMap::new(),
                streams: VecDeque::new(),
                opened_streams: 0,
                ended: false,
            }),
            mcp: opened,
            room: self.room.clone(),
            keeper: self.keeper.clone(),
            _connection: connection,
        });
        all.by_id.insert(session.id.clone(), session.clone());
        all.by_caller.entry(caller.id.clone()).or_default().push(session.clone());
        if !std::mem::replace(&mut all.sweeping, true) {
            tokio::spawn(sweep_until_empty(Arc::downgrade(self)));
        }
        Ok(session)
    }

    /// Use a session of this caller at this door.
    pub fn find(&self, id: &str, caller: &Caller, scope: Option<&Door>) -> Option<Use> {
        let mut all = lock(&self.all);
        let session = all.by_id.get(id).filter(|s| s.matches(caller, scope))?.clone();
        if self.expired(&session, Instant::now()) {
            all.remove(id);
            return None;
        }
        Some(Use::begin(session))
    }

    /// The same, also when only the store knows it. `Unavailable` when the store does not say, `RateLimited` when there
    /// is no room for it.
    pub async fn find_kept(
        self: &Arc<Self>,
        id: &str,
        caller: &Caller,
        scope: Option<&Door>,
        connection: impl FnOnce() -> Option<ConnectionGuard>,
    ) -> Result<Option<Use>, Error> {
        let found = self.find(id, caller, scope);
        let keeper = match &self.keeper {
            Some(keeper) if found.is_none() && is_id(id) => keeper,
            _ => return Ok(found),
        };
        let _turn = keeper.turn(id).await?;
        // Another request may have brought it meanwhile; one that is in memory is somebody else's.
        let found = self.find(id, caller, scope);
        if found.is_some() || lock(&self.all).by_id.contains_key(id) {
            return Ok(found);
        }
        let Some(kept) = keeper.load(id).await? else { return Ok(None) };
        if *kept.caller != *caller.id || kept.scope.as_deref() != scope.map(Door::as_str) {
            return Ok(None);
        }
        let age = SystemTime::now().duration_since(kept.last_used).unwrap_or_default();
        let saved = serde_json::from_str(&kept.state).ok().and_then(mcp::Session::restored);
        let Some(opened) = saved.filter(|_| age < kept_for(self.limits.idle)) else {
            keeper.delete(id);
            return Ok(None);
        };
        let mut all = lock(&self.all);
        let session = self.insert(&mut all, id.into(), caller, scope, Arc::new(opened), connection())?;
        // No stream has the number of one of the process before, which a client may still ask for.
        let epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        lock(&session.state).opened_streams = epoch.as_secs();
        Ok(Some(Use::begin(session)))
    }

    /// End the sessions of callers that are no more, at once.
    pub fn end_unknown(&self, knows: impl Fn(&str) -> bool) {
        let mut all = lock(&self.all);
        let gone = all.by_caller.iter().filter(|(caller, _)| !knows(caller));
        let gone: Vec<_> = gone.flat_map(|(_, own)| own.iter().cloned()).collect();
        for session in gone {
            session.cut();
            all.remove(&session.id);
        }
    }

    /// What sessions need for as long as the gateway serves: they end with their keys, and are kept.
    pub async fn run(&self, engine: &Engine) {
        let with_keys = async {
            let mut keys = engine.keys();
            loop {
                self.end_unknown(|caller| engine.knows(caller));
                keys.changed().await;
            }
        };
        match &self.keeper {
            Some(keeper) => drop(tokio::join!(with_keys, keeper.run(self.limits))),
            None => with_keys.await,
        }
    }

    /// Write what is not written yet, before the end.
    pub async fn flush(&self) {
        let Some(keeper) = &self.keeper else { return };
        for session in lock(&self.all).by_id.values() {
            session.keep(&mut lock(&session.state), Duration::ZERO);
        }
        keeper.flush().await;
    }

    /// End a session of this caller at this door.
    pub fn close(&self, id: &str, caller: &Caller, scope: Option<&Door>) -> bool {
        let mut all = lock(&self.all);
        let own = all.by_id.get(id).is_some_and(|s| s.matches(caller, scope));
        own && all.remove(id).is_some()
    }

    /// As `close`, and written: when this returns, a restart does not bring it back.
    pub async fn end(&self, id: &str, caller: &Caller, scope: Option<&Door>) -> Result<(), Error> {
        match &self.keeper {
            Some(keeper) if self.close(id, caller, scope) => keeper.forgotten(id).await,
            Some(_) => Ok(()),
            None => {
                self.close(id, caller, scope);
                Ok(())
            }
        }
    }

    fn expired(&self, session: &Session, now: Instant) -> bool {
        session.unused_since().is_some_and(|since| now.duration_since(since) >= self.limits.idle)
    }

    fn is_full(&self, all: &All, caller: &Caller) -> bool {
        all.of(caller) >= self.limits.per_caller || all.by_id.len() >= self.limits.total
    }

    fn end_expired(&self, all: &mut All) {
        let now = Instant::now();
        let expired = all.by_id.values().filter(|s| self.expired(s, now)).map(|s| s.id.clone());
        for id in expired.collect::<Vec<_>>() {
            all.remove(&id);
        }
    }

    /// End what was not used for too long. Says how many are left.
    pub fn sweep(&self) -> usize {
        let mut all = lock(&self.all);
        self.end_expired(&mut all);
        all.shrink();
        if self.keeper.is_some() {
            all.by_id.values().for_each(|s| s.keep(&mut lock(&s.state), self.limits.idle / 4));
        }
        all.by_id.len()
    }

    // Whether nothing is left to sweep; then the next session starts the sweeping again.
    fn sweep_is_over(&self) -> bool {
        self.sweep();
        let mut all = lock(&self.all);
        all.sweeping = !all.by_id.is_empty();
        !all.sweeping
    }
}

async fn sweep_until_empty(sessions: std::sync::Weak<Sessions>) {
    loop {
        let Some(wait) = sessions.upgrade().map(|s| s.limits.idle / 4) else { return };
        tokio::time::sleep(wait.clamp(Duration::from_millis(10), Duration::from_secs(60))).await;
        if sessions.upgrade().is_none_or(|s| s.sweep_is_over()) {
            return;
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

// 244 bits from the operating system's generator, as visible ASCII.
pub(super) fn fresh_id() -> Box<str> {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()).into()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
