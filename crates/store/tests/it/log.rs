//! What the log says of statements: nothing, whatever its level.

use std::io::Write;
use std::sync::{Arc, Mutex};
use toolgate_store::{SHELF_FILE, STATE_FILE, Shelf, SqlLimits, Store};

#[derive(Clone, Default)]
struct Kept(Arc<Mutex<Vec<u8>>>);

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn no_statement_reaches_the_log() {
    let kept = Kept::default();
    let writer = kept.clone();
    // For the whole process: the database's own threads log too.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .init();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    store.integrity_check().await.unwrap();
    let shelf = Shelf::open(dir.path().join(SHELF_FILE)).await.unwrap();
    for write in [false, true] {
        let rows = shelf.sql("SELECT 'sk-live-0123456789' AS canary", &[], write, SqlLimits::default()).await;
        assert_eq!(rows.unwrap().rows.len(), 1);
    }
    shelf.close().await;
    store.close().await;
    tracing::info!("the log works");
    let log = String::from_utf8(kept.0.lock().unwrap().clone()).unwrap();
    assert!(log.contains("the log works"));
    assert!(!log.contains("sk-live-0123456789") && !log.contains("db.statement"), "{log}");
    assert!(dir.path().join(STATE_FILE).exists());
}
