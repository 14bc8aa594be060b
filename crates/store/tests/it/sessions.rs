//! Sessions: kept over a reopening, never another caller's, swept by age and number.

use jiff::{Timestamp, ToSpan};
use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{MAX_SESSION, Store, StoredSession};

fn session(n: u8, caller: &str, age: i64) -> StoredSession {
    StoredSession {
        id: [n; 32],
        caller: caller.to_owned(),
        scope: None,
        state: format!("{{\"n\":{n}}}"),
        last_used: Timestamp::from_second(1_000_000).unwrap() - age.seconds(),
    }
}

async fn left(store: &Store, of: std::ops::Range<u8>) -> Vec<u8> {
    let mut left = Vec::new();
    for n in of {
        if store.load_session(&[n; 32]).await.unwrap().is_some() {
            left.push(n);
        }
    }
    left
}

#[tokio::test]
async fn a_session_is_there_after_a_restart_and_gone_after_its_end() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let kept = StoredSession { scope: Some("lab".to_owned()), ..session(1, "key:a", 0) };
    store.save_sessions(std::slice::from_ref(&kept)).await.unwrap();
    store.close().await;
    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.load_session(&[1; 32]).await.unwrap().unwrap(), kept);
    assert_eq!(store.load_session(&[2; 32]).await.unwrap(), None);
    // Saved again: a newer state, and still its caller's.
    let stolen = StoredSession { state: "{}".to_owned(), ..session(1, "key:b", 5) };
    store.save_sessions(&[stolen]).await.unwrap();
    let found = store.load_session(&[1; 32]).await.unwrap().unwrap();
    assert_eq!((&*found.caller, &*found.state), ("key:a", "{}"));
    store.delete_sessions(&[[1; 32], [9; 32]]).await.unwrap();
    assert_eq!(store.load_session(&[1; 32]).await.unwrap(), None);
}

#[tokio::test]
async fn old_ones_and_those_beyond_the_bounds_are_swept() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let all: Vec<_> =
        (0..6).map(|n| session(n, if n < 4 { "key:a" } else { "key:b" }, i64::from(n))).collect();
    store.save_sessions(&all).await.unwrap();
    let before = |age: i64| Timestamp::from_second(1_000_000).unwrap() - age.seconds();
    assert_eq!(store.sweep_sessions(before(5), 4, 6).await.unwrap(), 0, "at the bounds");
    assert_eq!(store.sweep_sessions(before(4), 4, 6).await.unwrap(), 1);
    assert_eq!(left(&store, 0..6).await, [0, 1, 2, 3, 4]);
    assert_eq!(store.sweep_sessions(before(9), 3, 6).await.unwrap(), 1);
    assert_eq!(left(&store, 0..6).await, [0, 1, 2, 4]);
    assert_eq!(store.sweep_sessions(before(9), 3, 2).await.unwrap(), 2);
    assert_eq!(left(&store, 0..6).await, [0, 1]);
}

#[tokio::test]
async fn a_state_has_a_bound() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let of = |size| StoredSession { state: "x".repeat(size), ..session(1, "key:a", 0) };
    store.save_sessions(&[of(MAX_SESSION)]).await.unwrap();
    let error = store.save_sessions(&[of(MAX_SESSION + 1)]).await.unwrap_err();
    assert_eq!(error.kind(), Kind::TooLarge);
}
