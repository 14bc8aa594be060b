//! `Shelf::sql`: what it answers, what it bounds, what it refuses.

use crate::shelf::shelf;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use toolgate_core::Kind;
use toolgate_store::{Rows, Scope, Shelf, SqlLimits, StoreError};

async fn read(shelf: &Shelf, sql: &str, params: &[Value]) -> Result<Rows, StoreError> {
    shelf.sql(sql, params, false, SqlLimits::default()).await
}

async fn write(shelf: &Shelf, sql: &str) -> Result<Rows, StoreError> {
    shelf.sql(sql, &[], true, SqlLimits::default()).await
}

#[tokio::test]
async fn values_come_and_go_as_json() {
    let (_dir, shelf) = shelf().await;
    let rows = read(
        &shelf,
        "SELECT ?1 AS n, ?2 AS t, ?3 AS f, ?4 AS b, ?5 AS z, x'00ff' AS raw, 9e999 AS inf, CAST(x'ff41' AS TEXT) AS bad -- end",
        &[json!(9007199254740993i64), json!("a\"b"), json!(1.5), json!(true), Value::Null],
    )
    .await
    .unwrap();
    assert_eq!(rows.columns, ["n", "t", "f", "b", "z", "raw", "inf", "bad"]);
    let expected = json!([9007199254740993i64, "a\"b", 1.5, 1, null, {"$base64": "AP8=", "bytes": 2}, "inf", "\u{fffd}A"]);
    assert_eq!(Value::from(rows.rows[0].clone()), expected);
    assert_eq!(rows.objects()[0]["t"], "a\"b");
    let empty = read(&shelf, "SELECT key, value FROM memory", &[]).await.unwrap();
    assert_eq!((empty.columns, empty.rows.len()), (vec!["key".to_owned(), "value".to_owned()], 0));
}

#[tokio::test]
async fn writing_makes_tables_and_counts_rows() {
    let (_dir, shelf) = shelf().await;
    write(&shelf, "CREATE TABLE mine (id INTEGER PRIMARY KEY, name TEXT UNIQUE)").await.unwrap();
    let made =
        write(&shelf, "INSERT INTO mine (name) VALUES ('a'), ('b'), ('c') RETURNING id").await.unwrap();
    assert_eq!((made.rows_affected, made.rows.len()), (3, 3));
    assert_eq!(write(&shelf, "CREATE INDEX mine_name ON mine (name)").await.unwrap().rows_affected, 0);
    assert_eq!(write(&shelf, "SELECT * FROM mine").await.unwrap().rows_affected, 0);
    write(&shelf, "ALTER TABLE mine ADD COLUMN extra TEXT").await.unwrap();
    let same = write(&shelf, "INSERT INTO mine (name) VALUES ('a')").await.unwrap_err();
    assert_eq!(same.kind(), Kind::Conflict);
    assert!(same.message().contains("UNIQUE"), "{same}");
    assert_eq!(
        write(&shelf, "INSERT INTO memory (key, value) VALUES ('k', 'v')").await.unwrap().rows_affected,
        1
    );
    assert_eq!(read(&shelf, "PRAGMA table_info(mine)", &[]).await.unwrap().rows.len(), 3);
    assert_eq!(read(&shelf, "SELECT name FROM pragma_table_info('mine')", &[]).await.unwrap().rows.len(), 3);
    assert!(!read(&shelf, "EXPLAIN QUERY PLAN SELECT * FROM mine", &[]).await.unwrap().rows.is_empty());
    let found = read(&shelf, "SELECT title FROM shelf_fts WHERE shelf_fts MATCH 'v'", &[]).await.unwrap();
    assert_eq!(found.rows, [[json!("k")]]);
    assert_eq!(read(&shelf, "SELECT value FROM json_each('[1, 2]')", &[]).await.unwrap().rows.len(), 2);
    write(&shelf, "DROP TABLE mine").await.unwrap();
}

#[tokio::test]
async fn answers_are_bounded() {
    let (_dir, shelf) = shelf().await;
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n";
    let limits = SqlLimits { max_rows: 10, ..SqlLimits::default() };
    let rows = shelf.sql(endless, &[], false, limits).await.unwrap();
    assert!(rows.truncated && rows.rows.len() == 10);
    let limits = SqlLimits { max_bytes: 4096, max_rows: 10_000, ..SqlLimits::default() };
    let rows = shelf.sql(endless, &[], false, limits).await.unwrap();
    assert!(rows.truncated && serde_json::to_string(&rows.rows).unwrap().len() <= 4096);
    let rows =
        read(&shelf, "SELECT printf('%.*c', 900000, 'é') AS t, zeroblob(900000) AS b", &[]).await.unwrap();
    assert!(rows.truncated && rows.rows.len() == 1);
    assert!(serde_json::to_string(&rows.rows).unwrap().len() < 1 << 20);
    assert_eq!(rows.rows[0][1]["bytes"], 900_000);

    write(&shelf, "CREATE TABLE mine (i)").await.unwrap();
    let many = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500) \
                INSERT INTO mine SELECT i FROM n RETURNING i";
    let rows = shelf.sql(many, &[], true, SqlLimits { max_rows: 3, ..SqlLimits::default() }).await.unwrap();
    assert_eq!((rows.rows.len(), rows.truncated, rows.rows_affected), (3, true, 500));
}

#[tokio::test]
async fn a_statement_without_end_is_stopped_and_the_connection_lives() {
    let (_dir, shelf) = shelf().await;
    let limits = SqlLimits { timeout: Duration::from_millis(200), ..SqlLimits::default() };
    write(&shelf, "CREATE TABLE mine (i)").await.unwrap();
    for write in [false, true] {
        for sql in [
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) INSERT INTO mine SELECT i FROM n",
        ] {
            if sql.contains("INSERT") && !write {
                continue;
            }
            let started = Instant::now();
            let error = shelf.sql(sql, &[], write, limits).await.unwrap_err();
            assert_eq!(error.kind(), Kind::TooLarge, "{error}");
            assert!(!error.kind().retryable() && !error.kind().is_fault(), "{error}");
            assert!(error.message().contains("200 ms"), "{error}");
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
        let rows = shelf.sql("SELECT count(*) FROM mine", &[], write, limits).await.unwrap();
        assert_eq!(rows.rows, [[json!(0)]], "nothing stays of a stopped statement");
    }
}

#[tokio::test]
async fn a_call_that_is_dropped_leaves_the_connection_usable() {
    let (_dir, shelf) = shelf().await;
    let limits = SqlLimits { timeout: Duration::from_millis(500), ..SqlLimits::default() };
    let endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
    for _ in 0..3 {
        let call = shelf.sql(endless, &[], true, limits);
        assert!(tokio::time::timeout(Duration::from_millis(30), call).await.is_err());
    }
    assert_eq!(write(&shelf, "SELECT 1").await.unwrap().rows, [[json!(1)]]);
}

#[tokio::test]
async fn reading_and_writing_run_side_by_side() {
    let (dir, shelf) = shelf().await;
    let other = Shelf::open(dir.path().join(toolgate_store::SHELF_FILE)).await.unwrap();
    write(&shelf, "CREATE TABLE mine (i)").await.unwrap();
    let work = async |shelf: &Shelf| {
        for n in 0..20 {
            write(shelf, "INSERT INTO mine VALUES (1)").await.unwrap();
            shelf.remember(&format!("k{n}"), "v", "c").await.unwrap();
            read(shelf, "SELECT count(*) FROM mine", &[]).await.unwrap();
        }
    };
    tokio::join!(work(&shelf), work(&other));
    assert_eq!(read(&shelf, "SELECT count(*) FROM mine", &[]).await.unwrap().rows, [[json!(40)]]);
}

#[tokio::test]
async fn messages_help() {
    let (dir, shelf) = shelf().await;
    for (sql, params, words) in [
        ("SELEC 1", 0, "near \"SELEC\""),
        ("SELECT * FROM nowhere", 0, "no such table: nowhere"),
        ("SELECT ?, ?", 1, "2 parameters, 1 values"),
        ("", 0, "empty"),
        (" -- nothing", 0, "empty"),
        ("SELECT 1; SELECT 2", 0, "one statement"),
        ("SELECT 1; garbage", 0, "one statement"),
        ("select 1; drop table memory", 0, "one statement"),
        ("SELECT 1 \0", 0, "NUL"),
    ] {
        let error = read(&shelf, sql, &vec![json!(1); params]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid, "{sql}: {error}");
        assert!(error.message().contains(words), "{sql}: {error}");
        assert!(!error.message().contains(dir.path().to_str().unwrap()));
    }
    read(&shelf, "SELECT 1; -- done\n ;; ", &[]).await.unwrap();
    assert!(read(&shelf, "SELECT ?", &[json!([1])]).await.is_err());
}

/// Statements refused whether or not writing was asked for.
const ATTACKS: &[&str] = &[
    "ATTACH 'DIR/other.db' AS other",
    "ATTACH ':memory:' AS other",
    "DETACH main",
    "VACUUM",
    "VACUUM INTO 'DIR/stolen.db'",
    "SELECT load_extension('DIR/evil.so')",
    "SELECT load_extension('DIR/evil.so', 'entry')",
    "SELECT fts3_tokenizer('simple')",
    "SELECT fts3_tokenizer('simple', x'4141414141414141')",
    "SELECT writefile('DIR/x', 'y')",
    "SELECT readfile('/etc/passwd')",
    "SELECT edit('x', 'sh')",
    "SELECT hex(fts5(?1))",
    "PRAGMA database_list",
    "SELECT file FROM pragma_database_list",
    "PRAGMA writable_schema = ON",
    "PRAGMA writable_schema = RESET",
    "PRAGMA journal_mode = DELETE",
    "PRAGMA query_only = OFF",
    "PRAGMA user_version = 99",
    "PRAGMA application_id = 1",
    "PRAGMA temp_store_directory = 'DIR'",
    "PRAGMA max_page_count = 4294967294",
    "PRAGMA cache_size = 1000000000",
    "PRAGMA mmap_size = 1000000000",
    "PRAGMA wal_checkpoint(TRUNCATE)",
    "PRAGMA trusted_schema = ON",
    "PRAGMA recursive_triggers = OFF",
    "PRAGMA locking_mode = EXCLUSIVE",
    "PRAGMA main.secure_delete = ON",
    "BEGIN EXCLUSIVE",
    "COMMIT",
    "ROLLBACK",
    "SAVEPOINT s",
    "CREATE TEMP TABLE t (x)",
    "CREATE TEMP TRIGGER t AFTER INSERT ON memory BEGIN SELECT 1; END",
    "CREATE TEMP VIEW v AS SELECT 1",
    "CREATE VIRTUAL TABLE t USING fts5(x)",
    "CREATE VIRTUAL TABLE t USING fts3(x, tokenize=simple)",
    "CREATE VIRTUAL TABLE t USING dbstat(main)",
    "INSERT INTO sqlite_master VALUES ('table', 'x', 'x', 0, '')",
    "UPDATE sqlite_master SET sql = ''",
    "DELETE FROM sqlite_schema",
    "DROP TABLE sqlite_master",
    "INSERT INTO shelf_fts_data VALUES (1, x'00')",
    "DELETE FROM shelf_fts_idx",
    "UPDATE shelf_fts_config SET v = 0",
    "DROP TABLE shelf_fts_docsize",
    "INSERT INTO shelf_fts (shelf_fts) VALUES ('delete-all')",
    "INSERT INTO shelf_fts (shelf_fts, rank) VALUES ('rank', 'evil()')",
    "DELETE FROM shelf_fts",
    "DROP TABLE shelf_fts",
    "DROP TABLE Memory",
    "DROP TABLE main.\"knowledge\"",
    "DROP TRIGGER shelf_memory_insert",
    "DROP VIEW shelf_docs",
    "DROP INDEX shelf_memory_category",
    "ALTER TABLE memory RENAME TO gone",
    "ALTER TABLE memory ADD COLUMN x",
    "ALTER TABLE memory DROP COLUMN category",
    "CREATE TRIGGER t AFTER INSERT ON memory BEGIN DELETE FROM memory; END",
    "CREATE UNIQUE INDEX i ON memory (value)",
    "CREATE TABLE _sqlx_migrations (x)",
    "CREATE TABLE shelf_fts_more (x)",
    "CREATE TABLE toolgate_later (x)",
    "DELETE FROM error_log",
    "UPDATE tool_stats SET call_count = 0",
    "INSERT INTO tool_hours VALUES (1, 't', 1, 1, 1)",
    "INSERT INTO memory (key, value) VALUES ('k', printf('%.*c', 2000000, 'x'))",
    "INSERT INTO memory (key, value) VALUES (x'00', 'v')",
    "INSERT INTO memory (id, key, value) VALUES (-1, 'k', 'v')",
    "INSERT INTO knowledge (title, source, body) VALUES ('t', 'all', 'b')",
    "SELECT length(zeroblob(20000000))",
    "SELECT randomblob(2000000000)",
];

#[tokio::test]
async fn attacks_are_refused_in_both_modes() {
    let (dir, shelf) = shelf().await;
    shelf.remember("precious", "value", "general").await.unwrap();
    let place = dir.path().to_str().unwrap();
    let before: Vec<_> = std::fs::read_dir(place).unwrap().map(|e| e.unwrap().file_name()).collect();
    for attack in ATTACKS {
        let sql = attack.replace("DIR", place);
        let params: &[Value] = if sql.contains('?') { &[json!(1)] } else { &[] };
        for write in [false, true] {
            let error = match shelf.sql(&sql, params, write, SqlLimits::default()).await {
                Ok(rows) => panic!("{sql} (write: {write}) answered {rows:?}"),
                Err(error) => error,
            };
            let fine =
                matches!(error.kind(), Kind::Forbidden | Kind::Invalid | Kind::Conflict | Kind::TooLarge);
            assert!(fine, "{sql}: {:?} {error}", error.kind());
            assert!(!error.message().contains(place), "{sql}: {error}");
        }
    }
    let after: Vec<_> = std::fs::read_dir(place).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(before.len(), after.len(), "no new files: {after:?}");
    assert_eq!(shelf.search("precious", 5, &Scope::All).await.unwrap().len(), 1);
    assert_eq!(shelf.integrity_check().await.unwrap(), Vec::<String>::new());
    shelf.remember("after", "value", "general").await.unwrap();
}

#[tokio::test]
async fn tables_of_users_cannot_get_in_the_servers_way() {
    let (_dir, shelf) = shelf().await;
    shelf.remember("k", "v", "c").await.unwrap();
    write(&shelf, "CREATE TABLE mine (k TEXT REFERENCES memory (key) ON DELETE RESTRICT)").await.unwrap();
    write(&shelf, "INSERT INTO mine VALUES ('k')").await.unwrap();
    for name in ["toolgate_later", "\"SHELF_fts_x\"", "[_sqlx_migrations]"] {
        let error = write(&shelf, &format!("ALTER TABLE mine RENAME TO {name}")).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{name}: {error}");
    }
    write(&shelf, "ALTER TABLE mine RENAME TO ours").await.unwrap();
    assert!(shelf.forget("k").await.unwrap());
}

#[tokio::test]
async fn reading_changes_nothing() {
    let (_dir, shelf) = shelf().await;
    write(&shelf, "CREATE TABLE mine (i)").await.unwrap();
    for sql in [
        "INSERT INTO mine VALUES (1)",
        "WITH x AS (SELECT 1) INSERT INTO mine SELECT * FROM x",
        "UPDATE memory SET value = ''",
        "DELETE FROM memory",
        "REPLACE INTO memory (key, value) VALUES ('a', 'b')",
        "CREATE TABLE t (x)",
        "CREATE TABLE t AS SELECT 1",
        "DROP TABLE mine",
        "ALTER TABLE mine RENAME TO t",
        "REINDEX",
        "ANALYZE",
        "EXPLAIN DELETE FROM mine",
    ] {
        let error = read(&shelf, sql, &[]).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{sql}: {error}");
        assert!(error.message().contains("reading"), "{sql}: {error}");
    }
}

#[tokio::test]
async fn oversized_statements_are_refused() {
    let (_dir, shelf) = shelf().await;
    let deep = format!("SELECT {}1{}", "(1+".repeat(300), ")".repeat(300));
    let compound = vec!["SELECT 1"; 60].join(" UNION ALL ");
    let wide = format!("SELECT {}", vec!["1"; 300].join(","));
    let long = format!("SELECT '{}'", "x".repeat(100_001));
    for sql in [deep, compound, wide, long] {
        let error = read(&shelf, &sql, &[]).await.unwrap_err();
        assert!(matches!(error.kind(), Kind::Invalid | Kind::TooLarge), "{error}");
    }
    assert!(read(&shelf, "SELECT 1", &vec![json!(1); 1001]).await.is_err());
}
