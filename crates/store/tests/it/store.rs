//! `Store`: keys, server states, two handles on one file, permissions, backup.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, SystemTime};
use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{Key, KeyHash, NewKey, STATE_FILE, Store};

pub fn new_key(id: &str) -> NewKey {
    NewKey {
        id: id.into(),
        name: format!("name of {id}"),
        hash: KeyHash(format!("{id:0>32}").into_bytes()),
        roles: vec!["admin".into(), "reader".into()],
        expires_at: None,
        created_by: "local".into(),
    }
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o777
}

fn ids(keys: &[Key]) -> Vec<&str> {
    keys.iter().map(|key| key.id.as_str()).collect()
}

#[tokio::test]
async fn keys_live_from_insert_to_revocation() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let made = store.insert_key(new_key("a")).await.unwrap();
    let past = (SystemTime::now() - Duration::from_secs(60)).try_into().unwrap();
    store.insert_key(NewKey { expires_at: Some(past), ..new_key("old") }).await.unwrap();

    assert_eq!(store.list_keys().await.unwrap()[0], made);
    assert_eq!(ids(&store.active_keys().await.unwrap()), ["a"]);

    let later = made.created_at + Duration::from_secs(9);
    store.touch_key("a", later).await.unwrap();
    store.touch_key("a", made.created_at).await.unwrap();
    assert_eq!(store.list_keys().await.unwrap()[0].last_used_at, Some(later), "time does not run backwards");

    assert!(store.revoke_key("a").await.unwrap());
    assert!(!store.revoke_key("a").await.unwrap(), "revoked already");
    assert!(!store.revoke_key("nobody").await.unwrap());
    assert!(store.active_keys().await.unwrap().is_empty());
    let all = store.list_keys().await.unwrap();
    assert!(all.iter().all(|key| !key.is_active(jiff::Timestamp::now())));
    let shown = serde_json::to_string(&all).unwrap() + &format!("{all:?}");
    assert!(!shown.contains("hash\":") && !shown.contains("000a"), "{shown}");
}

#[tokio::test]
async fn bad_keys_are_refused() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store.insert_key(new_key("a")).await.unwrap();
    let refused = [
        (new_key("a"), Kind::Conflict),
        (NewKey { hash: new_key("a").hash, ..new_key("b") }, Kind::Conflict),
        (new_key(""), Kind::Invalid),
        (NewKey { hash: KeyHash(vec![1; 4]), ..new_key("c") }, Kind::Invalid),
        (NewKey { name: "n".repeat(257), ..new_key("d") }, Kind::TooLarge),
        (NewKey { roles: vec!["r".into(); 65], ..new_key("e") }, Kind::Invalid),
    ];
    for (key, kind) in refused {
        let id = key.id.clone();
        assert_eq!(store.insert_key(key).await.unwrap_err().kind(), kind, "{id}");
    }
    assert_eq!(ids(&store.list_keys().await.unwrap()), ["a"]);
}

#[tokio::test]
async fn state_survives_a_restart() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store.set_server_running("docker", true).await.unwrap();
    store.set_server_running("docker", false).await.unwrap();
    store.set_server_running("git", true).await.unwrap();
    store.set_meta("installation", "x").await.unwrap();
    store.close().await;
    assert_eq!(store.list_keys().await.unwrap_err().kind(), Kind::Unavailable);

    let store = Store::open(dir.path()).await.unwrap();
    let states: Vec<_> = store.server_states().await.unwrap().into_iter().collect();
    assert_eq!(states, [("docker".to_owned(), false), ("git".to_owned(), true)]);
    assert_eq!(store.meta("installation").await.unwrap().as_deref(), Some("x"));
    assert_eq!(store.meta("nothing").await.unwrap(), None);
}

#[tokio::test]
async fn another_handle_sees_changes_and_data_version_tells() {
    let dir = TempDir::new().unwrap();
    let server = Store::open(dir.path()).await.unwrap();
    let cli = Store::open(dir.path()).await.unwrap();
    let before = server.data_version().await.unwrap();
    server.insert_key(new_key("own")).await.unwrap();
    assert_eq!(server.data_version().await.unwrap(), before, "own writes do not count");
    cli.insert_key(new_key("other")).await.unwrap();
    assert_ne!(server.data_version().await.unwrap(), before);
    assert_eq!(server.active_keys().await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_handles_open_a_new_file_and_write_at_once() {
    let dir = TempDir::new().unwrap();
    let mut tasks = Vec::new();
    for handle in 0..8 {
        let path = dir.path().join("data");
        tasks.push(tokio::spawn(async move {
            let store = Store::open(path).await.unwrap();
            for key in 0..10 {
                store.insert_key(new_key(&format!("{handle}-{key}"))).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let store = Store::open(dir.path().join("data")).await.unwrap();
    assert_eq!(store.list_keys().await.unwrap().len(), 80);
    assert!(store.integrity_check().await.unwrap().is_empty());
}

#[tokio::test]
async fn files_are_for_the_owner_only() {
    let dir = TempDir::new().unwrap();
    let data = dir.path().join("deep/data");
    let store = Store::open(&data).await.unwrap();
    store.insert_key(new_key("a")).await.unwrap();
    assert_eq!(mode(&data), 0o700);
    for file in ["toolgate.db", "toolgate.db-wal", "toolgate.db-shm"] {
        assert_eq!(mode(&data.join(file)), 0o600, "{file}");
    }
    store.close().await;

    let file = data.join(STATE_FILE);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let _store = Store::open(&data).await.unwrap();
    assert_eq!(mode(&file), 0o600, "tightened");
}

#[tokio::test]
async fn a_backup_is_whole_private_and_never_overwrites() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path().join("data")).await.unwrap();
    store.insert_key(new_key("a")).await.unwrap();
    let copy = dir.path().join("copy").join(STATE_FILE);
    fs::create_dir(copy.parent().unwrap()).unwrap();
    store.backup_to(&copy).await.unwrap();
    assert_eq!(mode(&copy), 0o600);
    let error = store.backup_to(&copy).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");

    store.insert_key(new_key("after")).await.unwrap();
    let restored = Store::open(copy.parent().unwrap()).await.unwrap();
    assert_eq!(ids(&restored.list_keys().await.unwrap()), ["a"]);
}
