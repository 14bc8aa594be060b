//! Writes the pair of databases that `tests/fixtures/v<schema version>/` keeps. Run once per schema version, before it
//! is released: `cargo run -p toolgate-store --example make_fixture -- crates/store/tests/fixtures/v1`.
//!
//! What is written is what `tests/it/fixture.rs` expects to find. A released fixture is never written again.

use std::path::PathBuf;
use std::time::Duration;
use toolgate_store::{Doc, Failure, KeyHash, NewKey, SHELF_FILE, STATE_FILE, Shelf, Store, Tally};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let target = PathBuf::from(std::env::args().nth(1).ok_or("name the directory to write to")?);
    let work = target.join("work");

    let store = Store::open(&work).await?;
    for (id, roles) in [("k1", vec!["admin"]), ("k2", vec!["reader", "operator"])] {
        let key = NewKey {
            id: id.into(),
            name: format!("key {id}"),
            hash: KeyHash(id.repeat(16).into_bytes()),
            roles: roles.into_iter().map(str::to_owned).collect(),
            expires_at: None,
            created_by: "local".into(),
        };
        store.insert_key(key).await?;
    }
    store.revoke_key("k2").await?;
    store.set_server_running("docker", false).await?;
    store.set_meta("installation", "fixture").await?;
    store.backup_to(target.join(STATE_FILE)).await?;
    store.close().await;

    let shelf = Shelf::open(work.join(SHELF_FILE)).await?;
    shelf.remember("deploy", "Blue-green, café at noon", "notes").await?;
    let doc = Doc {
        title: "Retries".into(),
        source: "handbook".into(),
        url: Some("https://example.org/retries".into()),
        body: "Only reads are retried.".into(),
    };
    shelf.import(&[doc]).await?;
    let failure =
        Failure { caller: "key:k1".into(), message: "no such key".into(), at: jiff::Timestamp::now() };
    let latency = Duration::from_millis(12);
    shelf
        .record_calls(&[Tally {
            tool: "remember".into(),
            calls: 1,
            failed: 1,
            latency,
            failures: vec![failure],
        }])
        .await?;
    shelf.backup_to(target.join(SHELF_FILE)).await?;
    shelf.close().await;

    std::fs::remove_dir_all(work)?;
    Ok(())
}
