//! Sessions: whose they are, how they end, and that nothing of them stays.

use super::*;
use crate::mcp::keep::{Leave, SessionHash};
use std::collections::HashSet;
use std::sync::Weak;
use toolgate_core::Caller;
use toolgate_core::tool::BoxFuture;

fn caller(id: &str) -> Caller {
    Caller::new(id, id, ["admin"])
}

fn sessions(per_caller: usize, total: usize) -> Arc<Sessions> {
    Arc::new(Sessions::new(Limits { idle: Duration::from_secs(60), per_caller, total, ..Limits::default() }))
}

fn open(sessions: &Arc<Sessions>, who: &str) -> Result<Arc<Session>, Error> {
    let saved = serde_json::json!({
        "version": "2025-11-25", "client": null, "capabilities": {}, "loudness": "info", "subscriptions": [],
    });
    let opened = mcp::Session::restored(serde_json::from_value(saved).unwrap()).unwrap();
    sessions.open(&caller(who), None, Arc::new(opened), None)
}

fn number(id: i64) -> Id {
    Id::parse(&serde_json::value::RawValue::from_string(id.to_string()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_session_is_of_one_caller_and_one_door() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let door = Door::parse("lab").unwrap();
    assert!(sessions.find(&id, &caller("a"), None).is_some());
    assert!(sessions.find(&id, &caller("b"), None).is_none());
    assert!(sessions.find(&id, &caller("a"), Some(&door)).is_none());
    assert!(!sessions.close(&id, &caller("b"), None));
    assert!(!sessions.close(&id, &caller("a"), Some(&door)));
    assert!(sessions.close(&id, &caller("a"), None));
    assert!(sessions.find(&id, &caller("a"), None).is_none());
}

#[tokio::test]
async fn ids_are_long_visible_and_never_the_same() {
    let ids: HashSet<_> = (0..1000).map(|_| fresh_id()).collect();
    assert_eq!(ids.len(), 1000);
    assert!(ids.iter().all(|id| id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit())));
}

#[tokio::test(start_paused = true)]
async fn a_further_session_takes_the_place_of_the_callers_oldest_unused() {
    let sessions = sessions(3, 5);
    let mut own = Vec::new();
    for _ in 0..3 {
        own.push(open(&sessions, "a").unwrap().id.clone());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    drop(sessions.find(&own[0], &caller("a"), None));
    tokio::time::advance(Duration::from_secs(1)).await;
    open(&sessions, "a").unwrap();
    let there = |id: &str| sessions.find(id, &caller("a"), None).is_some();
    assert_eq!(own.iter().map(|id| there(id)).collect::<Vec<_>>(), [true, false, true]);
    // The total: others are never pushed out.
    open(&sessions, "b").unwrap();
    open(&sessions, "b").unwrap();
    let refused = open(&sessions, "c").err().unwrap();
    assert_eq!(refused.kind(), Kind::RateLimited);
    assert!(there(&own[0]));
}

#[tokio::test]
async fn sessions_in_use_are_not_pushed_out() {
    let sessions = sessions(1, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let used = sessions.find(&id, &caller("a"), None).unwrap();
    assert!(open(&sessions, "a").is_err());
    drop(used);
    assert!(open(&sessions, "a").is_ok());
    assert!(sessions.find(&id, &caller("a"), None).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_idle_sweep_frees_everything_and_stops() {
    let sessions = sessions(10, 10);
    let mut gone: Vec<Weak<Session>> = Vec::new();
    for who in ["a", "a", "b"] {
        gone.push(Arc::downgrade(&open(&sessions, who).unwrap()));
    }
    let kept = open(&sessions, "a").unwrap().id.clone();
    let used = sessions.find(&kept, &caller("a"), None).unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(gone.iter().all(|s| s.upgrade().is_none()), "freed without anyone asking");
    assert_eq!(lock(&sessions.all).by_id.len(), 1, "one in use stays");
    drop(used);
    tokio::time::sleep(Duration::from_secs(90)).await;
    {
        let all = lock(&sessions.all);
        assert!(all.by_id.is_empty() && all.by_caller.is_empty() && !all.sweeping);
    }
    // And starts again with the next session.
    open(&sessions, "a").unwrap();
    tokio::time::sleep(Duration::from_secs(90)).await;
    assert!(lock(&sessions.all).by_id.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_expired_session_is_not_found_even_before_the_sweep() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(sessions.find(&id, &caller("a"), None).is_none());
}

#[tokio::test]
async fn ending_a_session_cancels_its_calls_and_closes_its_streams() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let mut call = sessions.find(&id, &caller("a"), None).unwrap();
    let registration = call.call(&number(1)).unwrap();
    let session = call.session.clone();
    let answer = session.open_stream().unwrap();
    let (own, is_new) = session.own_stream().unwrap();
    let (same, is_new_again) = session.own_stream().unwrap();
    assert!(Arc::ptr_eq(&own, &same) && is_new && !is_new_again, "one stream of its own");
    let mut readers = [answer.read(0), own.read(0)];
    sessions.close(&id, &caller("a"), None);
    let run = futures_util::future::Abortable::new(std::future::pending::<()>(), registration);
    assert!(run.await.is_err());
    for reader in &mut readers {
        assert!(reader.next().await.is_none());
    }
    assert!(call.call(&number(2)).is_err(), "nothing new runs in it");
    assert!(session.open_stream().is_none() && session.own_stream().is_none());
    assert!(session.stream(answer.number).is_none(), "nobody comes back to it");
    assert!(lock(&session.state).streams.is_empty());
}

#[tokio::test]
async fn a_use_that_ends_forgets_its_call() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let take = || sessions.find(&id, &caller("a"), None).unwrap();
    let mut first = take();
    let _registration = first.call(&number(1)).unwrap();
    assert!(take().call(&number(1)).is_err(), "the id is in use");
    drop(first);
    assert!(take().call(&number(1)).is_ok());
    let state = &take().session;
    assert!(lock(&state.state).running.is_empty());
}

#[tokio::test]
async fn streams_that_are_over_are_kept_for_a_while_and_others_as_long_as_they_run() {
    let sessions = sessions(10, 10);
    let session = open(&sessions, "a").unwrap();
    let running = session.open_stream().unwrap();
    let over: Vec<_> = (0..100)
        .map(|_| {
            let stream = session.open_stream().unwrap();
            stream.end();
            stream.number
        })
        .collect();
    assert!(session.stream(running.number).is_some());
    let kept = over.iter().filter(|number| session.stream(**number).is_some()).count();
    assert_eq!(kept, ENDED_STREAMS + 1, "the newest of those that are over");
    assert!(session.stream(over[99]).is_some() && session.stream(over[0]).is_none());
}

#[tokio::test]
async fn a_batch_is_entered_whole_or_not_at_all() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let take = || sessions.find(&id, &caller("a"), None).unwrap();
    let ids = |range: std::ops::Range<i64>| range.map(number).collect::<Vec<_>>();
    let (mut first, mut second) = (take(), take());
    assert_eq!(first.batch(&ids(0..100)).unwrap().len(), 100);
    assert_eq!(second.batch(&ids(100..200)).unwrap().len(), 100);
    assert!(take().batch(&ids(200..300)).is_err(), "more than 256 in all");
    assert!(take().batch(&[number(200), number(200)]).is_err(), "one id twice");
    assert!(take().batch(&ids(200..256)).is_ok(), "those that were refused left nothing behind");
    drop(first);
    assert!(take().batch(&ids(0..100)).is_ok());
}

/// Keeps sessions, but none of the caller "bad", and counts what it was asked to forget.
#[derive(Default)]
struct Picky {
    rows: Mutex<Vec<Kept>>,
    forgotten: Mutex<usize>,
}

impl SessionStore for Picky {
    fn save(&self, sessions: Vec<Kept>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            if sessions.iter().any(|kept| kept.caller == "bad") {
                return Err(Error::internal("not this one"));
            }
            lock(&self.rows).extend(sessions);
            Ok(())
        })
    }
    fn load(&self, id: SessionHash) -> BoxFuture<'_, Result<Option<Kept>, Error>> {
        Box::pin(async move { Ok(lock(&self.rows).iter().find(|kept| kept.id == id).cloned()) })
    }
    fn delete(&self, ids: Vec<SessionHash>) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            *lock(&self.forgotten) += ids.len();
            lock(&self.rows).retain(|kept| !ids.contains(&kept.id));
            Ok(())
        })
    }
    fn sweep(&self, _: Leave) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test]
async fn one_session_that_the_store_never_takes_holds_up_no_other() {
    let store = Arc::new(Picky::default());
    let limits = Limits { per_caller: 10, total: 10, ..Limits::default() };
    let sessions = Arc::new(Sessions::kept(limits, store.clone()));
    let gone = open(&sessions, "good").unwrap().id.clone();
    sessions.flush().await;
    assert_eq!(lock(&store.rows).len(), 1);
    open(&sessions, "good").unwrap();
    open(&sessions, "bad").unwrap();
    assert!(sessions.close(&gone, &caller("good"), None));
    for _ in 0..2 {
        sessions.flush().await;
        assert_eq!(*lock(&store.forgotten), 1, "a save that fails keeps no end from being written");
        assert_eq!(lock(&store.rows).len(), 0, "all or none, at first");
    }
    sessions.flush().await;
    assert_eq!(lock(&store.rows).len(), 1, "then each for itself");
    sessions.flush().await;
    assert_eq!(lock(&store.rows).len(), 1, "nothing is left to be tried again");
}

#[tokio::test]
async fn sessions_are_read_beside_each_other_and_each_once() {
    let keeper = Keeper::new(Arc::new(Picky::default()));
    let _held = keeper.turn("a").await.unwrap();
    let other = (0..100).map(|n| n.to_string()).find(|id| hash(id)[0] % 16 != hash("a")[0] % 16).unwrap();
    drop(keeper.turn(&other).await.unwrap());
    let again = tokio::time::timeout(Duration::from_millis(20), keeper.turn("a"));
    assert!(again.await.is_err(), "the same id waits");
}

/// Keeps ids.
#[derive(Default)]
struct Ids {
    there: Mutex<HashSet<SessionHash>>,
    deleted: Mutex<usize>,
}

impl SessionStore for Ids {
    fn save(&self, sessions: Vec<Kept>) -> BoxFuture<'_, Result<(), Error>> {
        lock(&self.there).extend(sessions.iter().map(|kept| kept.id));
        Box::pin(async { Ok(()) })
    }
    fn load(&self, _: SessionHash) -> BoxFuture<'_, Result<Option<Kept>, Error>> {
        Box::pin(async { Ok(None) })
    }
    fn delete(&self, ids: Vec<SessionHash>) -> BoxFuture<'_, Result<(), Error>> {
        lock(&self.there).retain(|id| !ids.contains(id));
        *lock(&self.deleted) += ids.len();
        Box::pin(async { Ok(()) })
    }
    fn sweep(&self, _: Leave) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

#[tokio::test(start_paused = true)]
async fn however_many_come_and_vanish_nothing_waits_for_long_and_no_table_stays_large() {
    const MANY: usize = 3000;
    let ids = Arc::new(Ids::default());
    let limits = Limits { per_caller: MANY, total: MANY, ..Limits::default() };
    let sessions = Arc::new(Sessions::kept(limits, ids.clone()));
    let keeper = sessions.keeper.clone().unwrap();
    let some_seconds = || tokio::time::timeout(Duration::from_secs(3), keeper.run(limits));
    let open_many = || (0..MANY).map(|_| open(&sessions, "a").unwrap().id.clone()).collect::<Vec<_>>();

    for id in open_many() {
        assert!(sessions.close(&id, &caller("a"), None));
    }
    assert_eq!(keeper.waiting().0, 0, "what was never written need not be forgotten");
    assert!(some_seconds().await.is_err());
    assert_eq!((lock(&ids.there).len(), *lock(&ids.deleted)), (0, 0));

    let own = open_many();
    assert!(some_seconds().await.is_err());
    assert_eq!((lock(&ids.there).len(), keeper.waiting().0), (MANY, 0), "all are written");
    for id in own {
        assert!(sessions.close(&id, &caller("a"), None));
    }
    assert!(some_seconds().await.is_err());
    assert_eq!((lock(&ids.there).len(), keeper.waiting().0), (0, 0), "and forgotten");
    sessions.sweep();
    let table = lock(&sessions.all).by_id.capacity();
    assert!(table <= SMALL && keeper.waiting().1 < MANY, "{table}, {}", keeper.waiting().1);
}

#[tokio::test]
async fn an_end_that_a_client_was_told_of_is_in_the_store() {
    let ids = Arc::new(Ids::default());
    let sessions = Arc::new(Sessions::kept(Limits::default(), ids.clone()));
    let (early, late) = (open(&sessions, "a").unwrap().id.clone(), open(&sessions, "a").unwrap().id.clone());
    sessions.end(&early, &caller("a"), None).await.unwrap();
    sessions.flush().await;
    assert_eq!(lock(&ids.there).len(), 1);
    sessions.end(&late, &caller("b"), None).await.unwrap();
    assert_eq!(lock(&ids.there).len(), 1, "only its own caller ends it");
    sessions.end(&late, &caller("a"), None).await.unwrap();
    assert_eq!((lock(&ids.there).len(), *lock(&ids.deleted)), (0, 1), "without waiting for the next round");
    assert_eq!(sessions.keeper.as_ref().unwrap().waiting().0, 0);
}
