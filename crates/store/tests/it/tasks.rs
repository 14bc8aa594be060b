//! Tasks in `Store`: kept over a restart, replaced whole, bounded.

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;
use toolgate_core::Kind;
use toolgate_store::{Store, TaskRow};

fn task(id: &str) -> TaskRow {
    let now = Timestamp::from_microsecond(Timestamp::now().as_microsecond()).unwrap();
    TaskRow {
        id: id.into(),
        caller: "key:a".into(),
        scope: Some("docker".into()),
        node: "serve".into(),
        status: "working".into(),
        created_at: now,
        updated_at: now,
        ends_at: now + SignedDuration::from_secs(60),
        bytes: 0,
    }
}

#[tokio::test]
async fn a_task_is_kept_until_it_is_deleted() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    let (first, all_doors) = (task("1"), TaskRow { scope: None, ..task("2") });
    store.put_task(&first, "").await.unwrap();
    store.put_task(&all_doors, "").await.unwrap();
    let body = "{\"said\":\"é\"}";
    let ended = TaskRow {
        status: "completed".into(),
        updated_at: first.updated_at + SignedDuration::from_secs(1),
        bytes: body.len(),
        ..first.clone()
    };
    store.put_task(&ended, body).await.unwrap();
    store.close().await;

    let store = Store::open(dir.path()).await.unwrap();
    assert_eq!(store.task("1").await.unwrap(), Some((ended.clone(), body.to_owned())));
    assert_eq!(store.tasks().await.unwrap(), [ended, all_doors]);
    store.delete_task("1").await.unwrap();
    store.delete_task("1").await.unwrap();
    assert_eq!(store.task("1").await.unwrap(), None);
    assert_eq!(store.tasks().await.unwrap().len(), 1);
}

#[tokio::test]
async fn bad_tasks_are_refused() {
    let dir = TempDir::new().unwrap();
    let store = Store::open(dir.path()).await.unwrap();
    for (bad, kind) in [
        (task(""), Kind::Invalid),
        (TaskRow { caller: "c".repeat(257), ..task("1") }, Kind::TooLarge),
        (TaskRow { scope: Some(String::new()), ..task("1") }, Kind::Invalid),
        (TaskRow { status: String::new(), ..task("1") }, Kind::Invalid),
    ] {
        assert_eq!(store.put_task(&bad, "").await.unwrap_err().kind(), kind, "{bad:?}");
    }
    let large = "x".repeat((16 << 20) + 1);
    assert_eq!(store.put_task(&task("1"), &large).await.unwrap_err().kind(), Kind::TooLarge);
    assert!(store.tasks().await.unwrap().is_empty());
}
