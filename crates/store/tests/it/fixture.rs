//! Databases that earlier schema versions left are opened with the code of today.

use std::fs;
use std::path::Path;
use toolgate_store::{SHELF_FILE, STATE_FILE, Scope, Shelf, Store};

#[tokio::test]
async fn databases_of_version_1_open_and_hold_what_was_stored() {
    let kept = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/v1");
    let dir = tempfile::tempdir().unwrap();
    for file in [STATE_FILE, SHELF_FILE] {
        fs::copy(kept.join(file), dir.path().join(file)).unwrap();
    }

    let store = Store::open(dir.path()).await.unwrap();
    let keys = store.list_keys().await.unwrap();
    assert_eq!(keys.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), ["k1", "k2"]);
    assert_eq!(keys[1].roles, ["reader", "operator"]);
    assert_eq!(keys[0].hash.0, "k1".repeat(16).into_bytes());
    let active = store.active_keys().await.unwrap();
    assert_eq!(active.iter().map(|k| k.id.as_str()).collect::<Vec<_>>(), ["k1"]);
    assert_eq!(store.server_states().await.unwrap().get("docker"), Some(&false));
    assert_eq!(store.meta("installation").await.unwrap().as_deref(), Some("fixture"));
    assert_eq!(store.integrity_check().await.unwrap(), Vec::<String>::new());

    let shelf = Shelf::open(dir.path().join(SHELF_FILE)).await.unwrap();
    let hits = shelf.search("cafe", 10, &Scope::All).await.unwrap();
    assert_eq!(hits[0].key.as_deref(), Some("deploy"));
    let hits = shelf.search("retried", 10, &Scope::Source("handbook".into())).await.unwrap();
    assert_eq!(hits[0].url.as_deref(), Some("https://example.org/retries"));
    assert_eq!(shelf.recent_errors("", 10).await.unwrap()[0].error, "no such key");
    assert_eq!(shelf.integrity_check().await.unwrap(), Vec::<String>::new());
    shelf.remember("new", "row", "general").await.unwrap();
}
