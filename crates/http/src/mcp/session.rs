//! Sessions of legacy clients, in memory.
//!
//! A session belongs to one caller and one door: anyone else who shows its id, or shows it elsewhere, is told that there
//! is no such session. It ends by DELETE, after a time without use, or to make room for a newer one of the same caller;
//! ending it cancels its calls and closes its stream. While a request or the stream is open it is in use.

use super::stream::Stream;
use futures_util::future::{AbortHandle, AbortRegistration};
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use toolgate_core::name::ServerName;
use toolgate_core::{Caller, Error, Kind};
use toolgate_engine::ConnectionGuard;
use toolgate_engine::mcp;
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
}

impl Default for Limits {
    fn default() -> Self {
        Self { idle: Duration::from_secs(30 * 60), per_caller: 100, total: 10_000 }
    }
}

// Streams of one session that are kept for a client that comes back, beside those that are not over.
const ENDED_STREAMS: usize = 16;
// The session's own stream (GET).
pub(super) const OWN_STREAM: u64 = 0;
// Calls of one session running at once.
const MAX_RUNNING: usize = 256;

pub(super) struct Session {
    pub id: Box<str>,
    caller: Arc<str>,
    scope: Option<ServerName>,
    pub mcp: Arc<mcp::Session>,
    state: Mutex<State>,
    _connection: Option<ConnectionGuard>,
}

struct State {
    last_used: Instant,
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
    fn matches(&self, caller: &Caller, scope: Option<&ServerName>) -> bool {
        self.caller == caller.id && self.scope.as_ref() == scope
    }

    // When it was last used; `None` while it is in use.
    fn unused_since(&self) -> Option<Instant> {
        let state = lock(&self.state);
        (state.uses == 0).then_some(state.last_used)
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
        let stream = Stream::new(state.opened_streams);
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
        let stream = Stream::new(OWN_STREAM);
        state.streams.push_back(stream.clone());
        Some((stream, true))
    }

    /// Cancel a running call.
    pub fn cancel(&self, id: &Id) {
        if let Some(call) = lock(&self.state).running.remove(id) {
            call.abort();
        }
    }
}

/// A session in use. Dropping it ends the use, and forgets the call or the stream that it was used for.
pub(super) struct Use {
    pub session: Arc<Session>,
    call: Option<Id>,
}

impl Use {
    fn begin(session: Arc<Session>) -> Self {
        lock(&session.state).uses += 1;
        Self { session, call: None }
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
        self.call = Some(id.clone());
        Ok(registration)
    }
}

impl Drop for Use {
    fn drop(&mut self) {
        let mut state = lock(&self.session.state);
        state.uses -= 1;
        state.last_used = Instant::now();
        if let Some(id) = &self.call {
            state.running.remove(id);
        }
    }
}

/// All sessions.
pub(super) struct Sessions {
    limits: Limits,
    all: Mutex<All>,
}

#[derive(Default)]
struct All {
    by_id: HashMap<Box<str>, Arc<Session>>,
    by_caller: HashMap<Arc<str>, Vec<Arc<Session>>>,
    sweeping: bool,
}

impl All {
    fn remove(&mut self, id: &str) -> Option<Arc<Session>> {
        let session = self.by_id.remove(id)?;
        if let Some(own) = self.by_caller.get_mut(&session.caller) {
            own.retain(|other| !Arc::ptr_eq(other, &session));
            if own.is_empty() {
                self.by_caller.remove(&session.caller);
            }
        }
        session.end();
        Some(session)
    }

    fn oldest_unused(&self, caller: &str) -> Option<Box<str>> {
        let own = self.by_caller.get(caller)?;
        let unused = own.iter().filter_map(|s| Some((s.unused_since()?, s)));
        unused.min_by_key(|(since, _)| *since).map(|(_, s)| s.id.clone())
    }
}

impl Sessions {
    pub fn new(limits: Limits) -> Self {
        Self { limits, all: Mutex::default() }
    }

    /// Make a session. At a limit the caller's oldest unused one goes; nobody else's does.
    pub fn open(
        self: &Arc<Self>,
        caller: &Caller,
        scope: Option<&ServerName>,
        opened: Arc<mcp::Session>,
        connection: Option<ConnectionGuard>,
    ) -> Result<Arc<Session>, Error> {
        self.sweep();
        let mut all = lock(&self.all);
        let own = all.by_caller.get(&caller.id).map_or(0, Vec::len);
        if own >= self.limits.per_caller || all.by_id.len() >= self.limits.total {
            let oldest = all.oldest_unused(&caller.id).ok_or_else(|| {
                let why = "too many sessions are open; end one with DELETE, or wait";
                Error::new(Kind::RateLimited, why).retry_after(Duration::from_secs(60))
            })?;
            all.remove(&oldest);
        }
        let session = Arc::new(Session {
            id: fresh_id(),
            caller: caller.id.clone(),
            scope: scope.cloned(),
            mcp: opened,
            state: Mutex::new(State {
                last_used: Instant::now(),
                uses: 0,
                running: HashMap::new(),
                streams: VecDeque::new(),
                opened_streams: 0,
                ended: false,
            }),
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
    pub fn find(&self, id: &str, caller: &Caller, scope: Option<&ServerName>) -> Option<Use> {
        let mut all = lock(&self.all);
        let session = all.by_id.get(id).filter(|s| s.matches(caller, scope))?.clone();
        if self.expired(&session, Instant::now()) {
            all.remove(id);
            return None;
        }
        Some(Use::begin(session))
    }

    /// End a session of this caller at this door.
    pub fn close(&self, id: &str, caller: &Caller, scope: Option<&ServerName>) -> bool {
        let mut all = lock(&self.all);
        let own = all.by_id.get(id).is_some_and(|s| s.matches(caller, scope));
        own && all.remove(id).is_some()
    }

    fn expired(&self, session: &Session, now: Instant) -> bool {
        session.unused_since().is_some_and(|since| now.duration_since(since) >= self.limits.idle)
    }

    /// End what was not used for too long. Says how many are left.
    pub fn sweep(&self) -> usize {
        let mut all = lock(&self.all);
        let now = Instant::now();
        let expired = all.by_id.values().filter(|s| self.expired(s, now)).map(|s| s.id.clone());
        for id in expired.collect::<Vec<_>>() {
            all.remove(&id);
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

// 244 bits from the operating system's generator, as visible ASCII.
fn fresh_id() -> Box<str> {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple()).into()
}

#[cfg(test)]
#[path = "session_tests.rs"]
mod tests;
