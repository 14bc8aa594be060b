//! Upstreams in `Store`: kept over a restart, replaced whole, bounded; an import is all or nothing and can be undone.

use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{NewUpstream, Store, Undone};

fn upstream(name: &str, settings: &str) -> NewUpstream {
    NewUpstream {
        name: name.into(),
        settings: settings.into(),
        source: "cli".into(),
        origin: None,
        enabled: true,
    }
}

async fn names(store: &Store) -> Vec<(String, String)> {
    store.upstreams().await.unwrap().into_iter().map(|u| (u.name, u.settings)).collect()
}

#[tokio::test]
async fn kept_replaced_and_removed() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store.put_upstream(&upstream("notes", "{}")).await.unwrap();
    let first = store.upstream("notes").await.unwrap().unwrap();
    let changed = NewUpstream { enabled: false, origin: Some("{}".into()), ..upstream("notes", "{\"a\":1}") };
    store.put_upstream(&changed).await.unwrap();
    store.close().await;

    let store = Store::open(dir.path()).await.unwrap();
    let second = store.upstream("notes").await.unwrap().unwrap();
    assert_eq!(
        (second.enabled, second.settings.as_str(), second.origin.as_deref()),
        (false, "{\"a\":1}", Some("{}"))
    );
    assert_eq!(second.created_at, first.created_at);
    assert!(second.updated_at >= first.updated_at);
    assert!(store.delete_upstream("notes").await.unwrap());
    assert!(!store.delete_upstream("notes").await.unwrap());
    assert_eq!(store.upstream("notes").await.unwrap(), None);
}

#[tokio::test]
async fn another_process_notices() {
    let dir = TempDir::new().unwrap();
    let (here, there) = (Store::open(dir.path()).await.unwrap(), Store::open(dir.path()).await.unwrap());
    let seen = here.data_version().await.unwrap();
    there.put_upstream(&upstream("notes", "{}")).await.unwrap();
    assert_ne!(here.data_version().await.unwrap(), seen);
}

#[tokio::test]
async fn bad_ones_are_refused_and_leave_nothing() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let large = "x".repeat((64 << 10) + 1);
    for (bad, kind) in [
        (upstream("", "{}"), Kind::Invalid),
        (upstream("a", ""), Kind::Invalid),
        (upstream("a", &large), Kind::TooLarge),
        (NewUpstream { source: String::new(), ..upstream("a", "{}") }, Kind::Invalid),
        (NewUpstream { origin: Some("x".repeat(5000)), ..upstream("a", "{}") }, Kind::TooLarge),
    ] {
        let import = [upstream("good", "{}"), bad.clone()];
        assert_eq!(store.import_upstreams(&import).await.unwrap_err().kind(), kind);
        assert_eq!(store.put_upstream(&bad).await.unwrap_err().kind(), kind);
    }
    assert_eq!(names(&store).await, []);
    let many: Vec<NewUpstream> = (0..1001).map(|n| upstream(&format!("u{n}"), "{}")).collect();
    assert_eq!(store.import_upstreams(&many).await.unwrap_err().kind(), Kind::Conflict);
    assert_eq!(names(&store).await, []);
}

#[tokio::test]
async fn the_last_import_is_undone_once_and_what_changed_since_is_left() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store.put_upstream(&upstream("old", "1")).await.unwrap();
    let before = store.upstream("old").await.unwrap().unwrap();
    let import: Vec<_> = ["old", "new", "edited", "removed"].map(|name| upstream(name, "2")).into();
    store.import_upstreams(&import).await.unwrap();
    assert_eq!(store.imported_over().await.unwrap(), std::slice::from_ref(&before));
    store.put_upstream(&upstream("edited", "3")).await.unwrap();
    store.delete_upstream("removed").await.unwrap();

    let done = store.undo_upstream_import().await.unwrap();
    let expected = [
        ("edited", Undone::Left),
        ("new", Undone::Removed),
        ("old", Undone::Restored),
        ("removed", Undone::Left),
    ];
    assert_eq!(done, expected.map(|(name, done)| (name.to_owned(), done)));
    assert_eq!(names(&store).await, [("edited".into(), "3".into()), ("old".into(), "1".into())]);
    assert_eq!(store.upstream("old").await.unwrap().unwrap().created_at, before.created_at);
    assert_eq!(store.undo_upstream_import().await.unwrap(), []);
}
