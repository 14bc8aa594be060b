//! Databases that cannot be used: newer, foreign, damaged, locked, read-only. Each says what is wrong and what to do.

use crate::store::new_key;
use sqlx::Connection as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{SHELF_FILE, STATE_FILE, Shelf, Store, StoreError};

fn assert_says(error: &StoreError, kind: Kind, words: &str, dir: &Path) {
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.message().contains(words), "{error}");
    assert!(!error.message().contains(dir.to_str().unwrap()), "path in {error}");
}

async fn raw(path: &Path, sql: &'static str) {
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path).create_if_missing(true);
    let mut conn = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();
}

async fn refusal(dir: &Path) -> StoreError {
    Store::open(dir).await.err().expect("must be refused")
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_left_alone() {
    let dir = TempDir::new().unwrap();
    Store::open(dir.path()).await.unwrap().close().await;
    Shelf::open(dir.path().join(SHELF_FILE)).await.unwrap().close().await;
    for file in [STATE_FILE, SHELF_FILE] {
        raw(&dir.path().join(file), "PRAGMA journal_mode = DELETE; PRAGMA user_version = 99").await;
    }
    let before = fs::read(dir.path().join(STATE_FILE)).unwrap();
    assert_says(&refusal(dir.path()).await, Kind::Unsupported, "run the newer Toolgate", dir.path());
    let error = Shelf::open(dir.path().join(SHELF_FILE)).await.err().unwrap();
    assert_says(&error, Kind::Unsupported, "schema version 99", dir.path());
    assert_eq!(fs::read(dir.path().join(STATE_FILE)).unwrap(), before, "not a byte is changed");
}

#[tokio::test]
async fn a_database_of_something_else_is_refused() {
    let dir = TempDir::new().unwrap();
    raw(&dir.path().join(STATE_FILE), "CREATE TABLE theirs (x)").await;
    assert_says(&refusal(dir.path()).await, Kind::Conflict, "not made by Toolgate", dir.path());
    // The two databases are not mixed up either.
    Shelf::open(dir.path().join("mixed").join(STATE_FILE)).await.unwrap().close().await;
    let mixed = dir.path().join("mixed");
    assert_says(&refusal(&mixed).await, Kind::Conflict, "not made by Toolgate", dir.path());
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join(STATE_FILE), "this is not a database ".repeat(500)).unwrap();
    assert_says(&refusal(dir.path()).await, Kind::Internal, "damaged", dir.path());
}

#[tokio::test]
async fn damage_inside_is_found() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    for n in 0..200 {
        store.insert_key(new_key(&format!("key-{n}"))).await.unwrap();
    }
    store.close().await;
    let path = dir.path().join(STATE_FILE);
    let mut bytes = fs::read(&path).unwrap();
    // The page that a row is in, wherever the tables' pages happen to lie.
    let row = bytes.windows(15).position(|w| w == b"name of key-100").unwrap();
    let page = row / 4096 * 4096;
    bytes[page..page + 4096].fill(0xa5);
    fs::write(&path, bytes).unwrap();

    let store = Store::open(dir.path()).await.unwrap();
    match store.integrity_check().await {
        Ok(problems) => assert!(!problems.is_empty()),
        Err(error) => assert_says(&error, Kind::Internal, "damaged", dir.path()),
    }
    let error = store.list_keys().await.unwrap_err();
    assert_says(&error, Kind::Internal, "damaged", dir.path());
}

#[tokio::test]
async fn a_lock_that_stays_is_named() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(dir.path().join(STATE_FILE));
    let mut other = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = store.insert_key(new_key("a")).await.unwrap_err();
    assert_says(&error, Kind::Unavailable, "locked by another process", dir.path());
    held.rollback().await.unwrap();
    store.insert_key(new_key("a")).await.unwrap();
}

#[tokio::test]
async fn a_file_in_the_directorys_place_is_named() {
    let dir = TempDir::new().unwrap();
    let place = dir.path().join("data");
    fs::write(&place, "x").unwrap();
    assert_says(&refusal(&place).await, Kind::Invalid, "is a file", dir.path());
    fs::create_dir_all(dir.path().join("d").join(STATE_FILE)).unwrap();
    assert_says(&refusal(&dir.path().join("d")).await, Kind::Invalid, "not a file", dir.path());
}

// Permission bits do not bind the superuser: such a run gives up its rights, for this one thread and what it starts.
fn as_ordinary_user<T: Send>(work: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            if rustix::process::geteuid().is_root() {
                let nobody = rustix::process::Uid::from_raw(65534);
                rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
        });
        thread.join().unwrap()
    })
}

#[test]
fn a_read_only_directory_is_named() {
    let dir = TempDir::new().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = as_ordinary_user(async { Store::open(dir.path()).await.err().expect("must be refused") });
    assert_says(&error, Kind::Unavailable, "check the owner and permissions", dir.path());
    let error =
        as_ordinary_user(async { Store::open(dir.path().join("new")).await.err().expect("must be refused") });
    assert_says(&error, Kind::Unavailable, "check the owner and permissions", dir.path());
}

#[test]
fn a_read_only_file_is_named() {
    let dir = TempDir::new().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { Store::open(dir.path()).await.unwrap().close().await });
    fs::set_permissions(dir.path().join(STATE_FILE), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = as_ordinary_user(async { Store::open(dir.path()).await.err().expect("must be refused") });
    assert_says(&error, Kind::Unavailable, "check ", dir.path());
}
