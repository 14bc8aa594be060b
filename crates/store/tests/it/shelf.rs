//! `Shelf`: memories, knowledge, search and statistics.

use proptest::prelude::*;
use std::time::Duration;
use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{Doc, Failure, SHELF_FILE, Scope, Shelf, SqlLimits, Tally};

pub async fn shelf() -> (TempDir, Shelf) {
    let dir = TempDir::new().unwrap();
    let shelf = Shelf::open(dir.path().join(SHELF_FILE)).await.unwrap();
    (dir, shelf)
}

fn doc(source: &str, title: &str, body: &str) -> Doc {
    Doc { title: title.into(), source: source.into(), url: None, body: body.into() }
}

#[tokio::test]
async fn memories_are_stored_replaced_listed_and_forgotten() {
    let (_dir, shelf) = shelf().await;
    shelf.remember("a", "one", "general").await.unwrap();
    shelf.remember("b", "two", "work").await.unwrap();
    shelf.remember("a", "three", "work").await.unwrap();

    let one = shelf.recall(Some("a"), None, 10).await.unwrap().items;
    assert_eq!((one[0].value.as_str(), one[0].category.as_str()), ("three", "work"));
    assert!(one[0].updated_at > one[0].created_at);
    let work = shelf.recall(None, Some("work"), 10).await.unwrap();
    assert_eq!(work.items.iter().map(|m| m.key.as_str()).collect::<Vec<_>>(), ["a", "b"], "newest first");
    assert!(shelf.recall(Some("zzz"), None, 10).await.unwrap().items.is_empty());
    let first = shelf.list(None, 1).await.unwrap();
    assert!(first.truncated && first.items.len() == 1);

    assert!(shelf.forget("a").await.unwrap());
    assert!(!shelf.forget("a").await.unwrap());
    assert!(shelf.search("three", 5, &Scope::All).await.unwrap().is_empty(), "forgotten in the index too");
}

#[tokio::test]
async fn keys_categories_and_documents_by_number() {
    let (_dir, shelf) = shelf().await;
    for (key, category, new) in
        [("a%", "x", true), ("a%b", "y", true), ("ab", "x", true), ("é1", "x", true), ("a%", "z", false)]
    {
        assert_eq!(shelf.remember(key, "v", category).await.unwrap(), new, "{key}");
    }
    assert_eq!(shelf.keys("", 10).await.unwrap(), ["a%", "é1", "ab", "a%b"], "newest first");
    assert_eq!(shelf.keys("a%", 10).await.unwrap(), ["a%", "a%b"], "a beginning, no pattern");
    assert_eq!(shelf.keys("é", 10).await.unwrap(), ["é1"]);
    assert_eq!(shelf.keys("", 2).await.unwrap().len(), 2);
    assert_eq!(shelf.categories().await.unwrap(), ["x", "y", "z"]);

    let first = shelf.import(&[doc("s", "one", "1"), doc("s", "two", "2")]).await.unwrap();
    let again = shelf.import(&[doc("s", "two", "3")]).await.unwrap();
    assert_eq!(first.ids[1..], again.ids, "a replaced document keeps its number");
    assert_eq!(shelf.document(again.ids[0]).await.unwrap(), Some(doc("s", "two", "3")));
    assert_eq!(shelf.document(-1).await.unwrap(), None);
    assert_eq!(shelf.titles(1).await.unwrap(), [(again.ids[0], "two".to_owned())], "newest first");
}

#[tokio::test]
async fn bounds_are_kept() {
    let (_dir, shelf) = shelf().await;
    let long = |n| "x".repeat(n);
    for (key, value, category, kind) in [
        (long(513), String::new(), "c".to_owned(), Kind::TooLarge),
        (String::new(), String::new(), "c".to_owned(), Kind::Invalid),
        ("k".to_owned(), long((1 << 20) + 1), "c".to_owned(), Kind::TooLarge),
        ("k".to_owned(), String::new(), long(129), Kind::TooLarge),
    ] {
        assert_eq!(shelf.remember(&key, &value, &category).await.unwrap_err().kind(), kind);
    }
    shelf.remember(&long(512), &long(1 << 20), &long(128)).await.unwrap();
    for bad in [doc("all", "t", "b"), doc("memory", "t", "b"), doc("", "t", "b"), doc("s", "", "b")] {
        assert_eq!(shelf.import(&[doc("s", "good", ""), bad]).await.unwrap_err().kind(), Kind::Invalid);
    }
    assert!(shelf.sources().await.unwrap().is_empty(), "all or none");
    for n in 0..6 {
        shelf.remember(&format!("big {n}"), &long(1 << 20), "big").await.unwrap();
    }
    let cut = shelf.list(Some("big"), 100).await.unwrap();
    assert!(cut.truncated && cut.items.len() == 4, "{} items", cut.items.len());
    assert_eq!(shelf.search(&long(4097), 5, &Scope::All).await.unwrap_err().kind(), Kind::TooLarge);
}

#[tokio::test]
async fn search_ranks_filters_and_shows() {
    let (_dir, shelf) = shelf().await;
    let filler: Vec<Doc> =
        (0..30).map(|n| doc("filler", &format!("page {n}"), "nothing of interest")).collect();
    shelf.import(&filler).await.unwrap();
    shelf
        .import(&[
            doc("handbook", "Circuit breaker", "Opens after five faults."),
            doc("handbook", "Retries", "A retry never passes an open circuit breaker; see there."),
            Doc {
                url: Some("https://example.org".into()),
                ..doc("blog", "Post", "Café and a circuit of lamps")
            },
        ])
        .await
        .unwrap();
    shelf.remember("note", "ask about the breaker of the circuit", "work").await.unwrap();

    let hits = shelf.search("circuit break", 10, &Scope::All).await.unwrap();
    let titles: Vec<_> = hits.iter().map(|h| h.title.as_str()).collect();
    assert_eq!(titles[0], "Circuit breaker", "a word in the title counts more: {titles:?}");
    assert_eq!(hits.len(), 3, "all words, the last as a prefix");
    assert_eq!(hits[0].relevance, 1.0);
    assert!(hits.windows(2).all(|w| w[0].relevance >= w[1].relevance));
    assert!(hits.iter().all(|h| (0.5..=1.0).contains(&h.relevance)));

    let any = shelf.search("lamps zebra", 10, &Scope::All).await.unwrap();
    assert_eq!((any.len(), any[0].relevance), (1, 0.5), "any word when not all occur");

    let find = async |text: &str, scope: &str| -> Vec<String> {
        let hits = shelf.search(text, 10, &scope.into()).await.unwrap();
        hits.into_iter().map(|h| h.source).collect()
    };
    assert_eq!(find("circuit", "memory").await, ["memory"]);
    assert_eq!(find("circuit", "blog").await, ["blog"]);
    assert_eq!(find("circuit", "knowledge").await.len(), 3);
    assert!(find("circuit", "nowhere").await.is_empty());

    let hit = &shelf.search("cafe", 10, &Scope::All).await.unwrap()[0];
    assert_eq!(hit.snippet, "Café and a circuit of lamps");
    assert_eq!(hit.url.as_deref(), Some("https://example.org"));
    assert!(hit.id.is_some() && hit.key.is_none());

    assert_eq!(shelf.import(&[doc("blog", "Post", "rewritten")]).await.unwrap().stored, 1);
    assert!(find("lamps", "all").await.is_empty(), "a replaced document leaves the index");
    assert_eq!(shelf.forget_source("filler").await.unwrap(), 30);
    assert!(find("interest", "all").await.is_empty());
    assert_eq!(shelf.integrity_check().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn the_index_agrees_with_what_it_indexes() {
    let (dir, shelf) = shelf().await;
    for n in 0..300 {
        shelf.remember(&format!("key {}", n % 40), &format!("value {n} word{}", n % 7), "c").await.unwrap();
        shelf
            .import(&[doc("s", &format!("title {}", n % 30), &format!("body {n} word{}", n % 5))])
            .await
            .unwrap();
        if n % 9 == 0 {
            shelf.forget(&format!("key {}", n % 11)).await.unwrap();
        }
    }
    let path = dir.path().join(SHELF_FILE);
    let pool = sqlx::sqlite::SqlitePool::connect(path.to_str().unwrap()).await.unwrap();
    // Rank 1: compare with the content, not only within the index.
    let check = "INSERT INTO shelf_fts (shelf_fts, rank) VALUES ('integrity-check', 1)";
    sqlx::query(check).execute(&pool).await.unwrap();
    let plan = shelf
        .sql("EXPLAIN QUERY PLAN SELECT * FROM shelf_docs WHERE doc = -7", &[], false, SqlLimits::default())
        .await
        .unwrap();
    let plan = serde_json::to_string(&plan.rows).unwrap();
    assert!(
        !plan.contains("SCAN memory") && !plan.contains("SCAN knowledge"),
        "a document is found without reading all: {plan}"
    );
    pool.close().await;
}

#[tokio::test]
async fn the_index_follows_changes_by_sql() {
    let (dir, shelf) = shelf().await;
    let run = async |sql: &str| shelf.sql(sql, &[], true, SqlLimits::default()).await.unwrap();
    run("INSERT INTO memory (key, value) VALUES ('k', 'alpha')").await;
    run("REPLACE INTO memory (key, value) VALUES ('k', 'beta')").await;
    run("UPDATE memory SET id = 77 WHERE key = 'k'").await;
    run("INSERT INTO knowledge (title, source, body) VALUES ('t', 's', x'ff' || 'gamma')").await;
    assert!(shelf.search("alpha", 5, &Scope::All).await.unwrap().is_empty());
    assert_eq!(shelf.search("beta", 5, &Scope::All).await.unwrap()[0].key.as_deref(), Some("k"));
    shelf.search("t", 5, &Scope::All).await.unwrap();
    assert_eq!(shelf.integrity_check().await.unwrap(), Vec::<String>::new());
    shelf.backup_to(dir.path().join("copy.db")).await.unwrap();
    let copy = Shelf::open(dir.path().join("copy.db")).await.unwrap();
    assert_eq!(copy.search("beta", 5, &Scope::All).await.unwrap().len(), 1);
}

fn tally(tool: &str, ms: u64, failure: Option<(&str, &str)>) -> Tally {
    let failures: Vec<Failure> = failure
        .iter()
        .map(|(c, m)| Failure { caller: (*c).into(), message: (*m).into(), at: jiff::Timestamp::now() })
        .collect();
    let failed = failures.len() as u64;
    Tally { tool: tool.into(), calls: 1, failed, latency: Duration::from_millis(ms), failures }
}

#[tokio::test]
async fn calls_and_errors_are_counted() {
    let (_dir, shelf) = shelf().await;
    let long = "é".repeat(3000);
    shelf.record_calls(&[tally("recall", 10, None), tally("remember", 1, None)]).await.unwrap();
    shelf.record_calls(&[tally("recall", 30, Some(("key:a", &long)))]).await.unwrap();
    let usage = shelf.usage(24).await.unwrap();
    let recall = &usage.tools[0];
    assert_eq!((recall.tool.as_str(), recall.calls, recall.errors), ("recall", 2, 1));
    assert_eq!((recall.avg_latency_ms, recall.success_rate), (20.0, 0.5));
    assert!(usage.database_bytes > 4096 && recall.last_called.is_some());
    assert_eq!(shelf.error_stats(1).await.unwrap()[0].count, 1);
    assert_eq!(shelf.recent_errors("key:a", 5).await.unwrap()[0].error.len(), 2048);
    assert!(shelf.recent_errors("key:b", 5).await.unwrap().is_empty(), "each caller sees its own");
    for sql in ["SELECT * FROM error_log", "SELECT count(*) FROM ERROR_LOG"] {
        let error = shelf.sql(sql, &[], false, SqlLimits::default()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Forbidden, "{sql}: {error}");
    }
}

#[tokio::test]
async fn errors_keep_their_own_time_and_come_newest_first() {
    let (_dir, shelf) = shelf().await;
    let now = jiff::Timestamp::now().as_microsecond();
    let failure = |message: &str, ago: i64| Failure {
        caller: "key:a".into(),
        message: message.into(),
        at: jiff::Timestamp::from_microsecond(now - ago).unwrap(),
    };
    let of =
        |tool: &str, failures| Tally { tool: tool.into(), calls: 2, failed: 2, failures, ..Tally::default() };
    // One flush, its tools in the order of their names.
    let tallies =
        [of("a", vec![failure("first", 40), failure("last", 10)]), of("b", vec![failure("second", 30)])];
    shelf.record_calls(&tallies).await.unwrap();
    shelf.record_calls(&[of("c", vec![failure("third", 20)])]).await.unwrap();
    let recent = shelf.recent_errors("key:a", 10).await.unwrap();
    let shown: Vec<_> =
        recent.iter().map(|e| (e.error.as_str(), now - e.timestamp.as_microsecond())).collect();
    assert_eq!(shown, [("last", 10), ("third", 20), ("second", 30), ("first", 40)]);
}

#[tokio::test]
async fn old_errors_go() {
    let (dir, shelf) = shelf().await;
    let path = dir.path().join(SHELF_FILE);
    let pool = sqlx::sqlite::SqlitePool::connect(path.to_str().unwrap()).await.unwrap();
    let now = jiff::Timestamp::now().as_microsecond();
    sqlx::query(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10050) \
         INSERT INTO error_log (tool_name, error_message, timestamp) SELECT 't', 'e', $1 + i FROM n",
    )
    .bind(now - 1_000_000)
    .execute(&pool)
    .await
    .unwrap();
    let count = async || -> i64 {
        sqlx::query_scalar("SELECT COUNT(*) FROM error_log").fetch_one(&pool).await.unwrap()
    };
    shelf.record_calls(&[tally("t", 0, Some(("", "e")))]).await.unwrap();
    assert_eq!(count().await, 10_000);
    sqlx::query("UPDATE error_log SET timestamp = $1 WHERE id % 2 = 0")
        .bind(now - 31 * 24 * 3_600_000_000)
        .execute(&pool)
        .await
        .unwrap();
    shelf.record_calls(&[tally("t", 0, Some(("", "e")))]).await.unwrap();
    assert!(count().await <= 5002);
    assert_eq!(shelf.error_stats(1).await.unwrap()[0].count as i64, count().await);
    pool.close().await;
}

#[test]
fn no_text_breaks_the_search() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (_dir, shelf) = runtime.block_on(shelf());
    runtime.block_on(async {
        shelf.remember("k", "some words \" of * NEAR text", "general").await.unwrap();
    });
    let text = prop_oneof![
        any::<String>(),
        "[\"'*^:(){}+\\-~ aNOTRDE.,\u{0}\u{301}\u{ff9e}]{0,40}",
        "(AND|OR|NOT|NEAR\\(|\"|\\*|title:|\\{|\\}| |x){0,12}",
    ];
    proptest!(ProptestConfig::with_cases(400), |(text in text)| {
        runtime.block_on(shelf.search(&text, 3, &Scope::All)).map_err(|e| TestCaseError::fail(format!("{e:?}")))?;
    });
}
