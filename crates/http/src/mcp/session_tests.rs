//! Sessions: whose they are, how they end, and that nothing of them stays.

use super::*;
use std::sync::Weak;
use toolgate_core::Caller;

fn caller(id: &str) -> Caller {
    Caller::new(id, id, ["admin"])
}

fn sessions(per_caller: usize, total: usize) -> Arc<Sessions> {
    Arc::new(Sessions::new(Limits { idle: Duration::from_secs(60), per_caller, total }))
}

fn open(sessions: &Arc<Sessions>, who: &str) -> Result<Arc<Session>, Error> {
    let opened = Opened { version: Version::V2025_11_25, client: None };
    sessions.open(&caller(who), None, opened, None)
}

fn number(id: i64) -> Id {
    Id::parse(&serde_json::value::RawValue::from_string(id.to_string()).unwrap()).unwrap()
}

#[tokio::test]
async fn a_session_is_of_one_caller_and_one_door() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let door = ServerName::new("lab").unwrap();
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
    let ids: std::collections::HashSet<_> = (0..1000).map(|_| fresh_id()).collect();
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
async fn ending_a_session_cancels_its_calls_and_closes_its_stream() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let mut call = sessions.find(&id, &caller("a"), None).unwrap();
    let registration = call.call(&number(1)).unwrap();
    let mut stream = sessions.find(&id, &caller("a"), None).unwrap();
    let mut notes = stream.stream().unwrap();
    assert!(sessions.find(&id, &caller("a"), None).unwrap().stream().is_none(), "one stream only");
    sessions.close(&id, &caller("a"), None);
    let run = futures_util::future::Abortable::new(std::future::pending::<()>(), registration);
    assert!(run.await.is_err());
    assert!(notes.recv().await.is_none());
    assert!(call.call(&number(2)).is_err(), "nothing new runs in it");
}

#[tokio::test]
async fn a_use_that_ends_forgets_its_call_and_its_stream() {
    let sessions = sessions(10, 10);
    let id = open(&sessions, "a").unwrap().id.clone();
    let take = || sessions.find(&id, &caller("a"), None).unwrap();
    let mut first = take();
    let _registration = first.call(&number(1)).unwrap();
    assert!(take().call(&number(1)).is_err(), "the id is in use");
    drop(first);
    assert!(take().call(&number(1)).is_ok());
    let mut stream = take();
    assert!(stream.stream().is_some());
    drop(stream);
    assert!(take().stream().is_some());
    let state = &take().session;
    assert!(lock(&state.state).running.is_empty());
}
