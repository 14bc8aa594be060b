//! Appending: order, rotation, threads, fsync shared and failing.

use super::*;
use crate::journal::{flush, open};
use std::sync::atomic::{AtomicU64, Ordering};

fn start(dir: &Path, options: Options, sync: flush::SyncFile) -> Journal {
    Journal::start(open::open(dir, "n", options).unwrap(), sync).unwrap()
}

#[test]
fn records_come_back_in_order_over_segments_and_openings() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 40, small());
    written(dir.path(), 40, small());
    let report = assert_ok(dir.path());
    let chain = &report.chains[0];
    assert_eq!((chain.records, chain.uncovered, chain.recoveries.len()), (80, 0, 0));
    assert!(chain.segments > 4 && chain.checkpoints > chain.segments, "{chain:#?}");
    assert_eq!(chain.first_seq, Some(1));
    assert_eq!(chain.last_seq, Some(chain.lines));
    let ids: Vec<String> = fs::read_dir(dir.path().join("n"))
        .unwrap()
        .map(|e| e.unwrap().path().display().to_string())
        .collect();
    assert!(ids.iter().any(|name| name.ends_with("00000002.jsonl")));
    for number in 1..=chain.segments {
        let lines = lines_of(&segment_path(dir.path(), number));
        assert!(lines.iter().map(Vec::len).sum::<usize>() <= 8 * 1024 + 1024);
        assert!(String::from_utf8_lossy(lines.last().unwrap()).contains("\"phase\":\"checkpoint\""));
    }
}

#[tokio::test]
async fn a_journal_without_calls_keeps_events_and_holds_no_answer_up() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", Options { calls: false, ..small() }).unwrap();
    let nowhere = journal.append(&record(1)).unwrap();
    journal.durable(nowhere).await.unwrap();
    assert_eq!(journal.stats().records, 0);
    let caller = toolgate_core::Caller::new("a", "b", ["admin"]);
    let event = super::super::event(&caller, "started", None, toolgate_core::record::Decision::Allow);
    assert!(journal.append(&event).unwrap() > nowhere);
    assert_eq!(journal.stats().records, 1);
}

#[test]
fn eight_threads_share_one_chain() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", small()).unwrap();
    let mut all: Vec<Position> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|t| {
                let journal = journal.clone();
                scope.spawn(move || {
                    (0..100).map(|i| journal.append(&record(t * 100 + i)).unwrap()).collect::<Vec<_>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| {
                let places = thread.join().unwrap();
                assert!(places.is_sorted());
                places
            })
            .collect()
    });
    all.sort();
    all.dedup();
    assert_eq!(all.len(), 800);
    assert_eq!(journal.stats().records, 800);
    drop(journal);
    assert_eq!(assert_ok(dir.path()).chains[0].records, 800);
}

#[tokio::test]
async fn one_fsync_serves_all_who_asked_before_it_began() {
    let dir = tempfile::tempdir().unwrap();
    let (gate, gated) = std::sync::mpsc::channel::<()>();
    let gated = std::sync::Mutex::new(gated);
    let (began, beginning) = std::sync::mpsc::channel::<()>();
    let journal = start(
        dir.path(),
        quiet(),
        Box::new(move |file| {
            let _ = began.send(());
            let _ = gated.lock().unwrap().recv();
            file.sync_data()
        }),
    );
    let first = journal.append(&record(0)).unwrap();
    let mut waiters = vec![tokio::spawn({
        let journal = journal.clone();
        async move { journal.durable(first).await }
    })];
    tokio::task::spawn_blocking(move || beginning.recv().unwrap()).await.unwrap();
    // The first fsync is running; whoever comes now shares the second.
    for n in 1..50 {
        let place = journal.append(&record(n)).unwrap();
        let journal = journal.clone();
        waiters.push(tokio::spawn(async move { journal.durable(place).await }));
    }
    tokio::task::yield_now().await;
    while journal.0.shared.synced.receiver_count() < 50 {
        tokio::task::yield_now().await;
    }
    assert_eq!(journal.stats().synced, 0);
    drop(gate);
    for waiter in waiters {
        waiter.await.unwrap().unwrap();
    }
    let stats = journal.stats();
    assert!(stats.fsyncs <= 3, "{stats:?}");
    assert!(stats.synced >= 51);
    journal.close().await.unwrap();
}

#[tokio::test]
async fn a_failed_fsync_fails_everybody_until_reopened() {
    let dir = tempfile::tempdir().unwrap();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&calls);
    let journal = start(
        dir.path(),
        quiet(),
        Box::new(move |file| match counted.fetch_add(1, Ordering::SeqCst) {
            1 => Err(std::io::Error::from_raw_os_error(5)),
            _ => file.sync_data(),
        }),
    );
    let first = journal.append(&record(0)).unwrap();
    journal.durable(first).await.unwrap();
    let second = journal.append(&record(1)).unwrap();
    let refused = journal.durable(second).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    let third = journal.append(&record(2)).unwrap();
    journal.durable(third).await.unwrap_err();
    assert_eq!(calls.load(Ordering::SeqCst), 2, "no second try");
    assert!(journal.stats().sync_failed);
    journal.close().await.unwrap_err();
    drop(journal);
    let journal = Journal::open_with(dir.path(), "n", small()).unwrap();
    journal.durable(third).await.unwrap_or(());
    let fourth = journal.append(&record(3)).unwrap();
    journal.durable(fourth).await.unwrap();
    drop(journal);
    assert_ok(dir.path());
}

#[tokio::test]
async fn checkpoints_come_by_count_and_by_time_and_go_to_the_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let anchor = dir.path().join("anchor.jsonl");
    let options = Options {
        checkpoint_after: Span(Duration::from_millis(5)),
        checkpoint_lines: u64::MAX,
        anchor: Some(anchor.clone()),
        ..Options::default()
    };
    let journal = Journal::open_with(&dir.path().join("j"), "n", options).unwrap();
    journal.append(&record(0)).unwrap();
    let mut synced = journal.0.shared.synced.subscribe();
    synced.wait_for(|s| s.seq >= 3).await.unwrap();
    assert!(journal.stats().checkpoints >= 1);
    journal.close().await.unwrap();
    assert_eq!(journal.append(&record(1)).unwrap_err().kind(), Kind::Unavailable);

    let journal =
        Journal::open_with(&dir.path().join("j"), "n", Options { anchor: Some(anchor.clone()), ..small() })
            .unwrap();
    let places: Vec<_> = (0..5).map(|n| journal.append(&record(n)).unwrap()).collect();
    let mut synced = journal.0.shared.synced.subscribe();
    synced.wait_for(|s| s.seq > places[4].0).await.unwrap();
    drop(journal);
    let options = VerifyOptions { anchor: Some(anchor), ..VerifyOptions::default() };
    let report = verify(&dir.path().join("j"), &options, &mut |_, _| {}).unwrap();
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.chains.len(), 1);
    assert_eq!(report.chains[0].anchored, report.chains[0].checkpoints);
    assert!(report.chains[0].anchored >= 2);
}

#[test]
fn an_event_and_a_record_too_large() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "n").unwrap();
    let mut huge = record(0);
    huge.args = Some(json!("x".repeat(line::MAX_LINE)));
    assert_eq!(journal.append(&huge).unwrap_err().kind(), Kind::TooLarge);
    journal.append(&Record { phase: Phase::Event, tool: "key_revoked".into(), ..record(1) }).unwrap();
    journal.count_dropped();
    let stats = journal.stats();
    assert_eq!((stats.records, stats.dropped), (1, 1));
    drop(journal);
    let found = read(dir.path(), Filter { phase: Some(Phase::Event), ..Filter::default() }).unwrap();
    let found: Vec<Entry> = found.map(Result::unwrap).collect();
    assert_eq!(&*found[0].record.tool, "key_revoked");
    assert_ok(dir.path());
}

#[test]
fn half_a_line_is_cut_from_the_segment_it_is_in() {
    use std::io::Write;
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", quiet()).unwrap();
    journal.append(&record(0)).unwrap();
    let mut writer = journal.0.shared.lock();
    writer.checkpoint().unwrap();
    writer.dirty = true;
    (&*writer.file).write_all(b"{\"half\":").unwrap();
    writer.begin_segment(2).unwrap();
    drop(writer);
    journal.append(&record(1)).unwrap();
    drop(journal);
    let chain = &assert_ok(dir.path()).chains[0];
    assert_eq!((chain.records, chain.segments), (2, 2));
}

#[test]
fn a_poisoned_lock_is_survived() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", small()).unwrap();
    journal.append(&record(0)).unwrap();
    let other = journal.clone();
    let panicked = std::thread::spawn(move || {
        use std::io::Write;
        let mut writer = other.0.shared.lock();
        writer.dirty = true;
        (&*writer.file).write_all(b"{\"half\":").unwrap();
        panic!("in the middle of a line");
    });
    panicked.join().unwrap_err();
    journal.append(&record(1)).unwrap();
    drop(journal);
    assert_eq!(assert_ok(dir.path()).chains[0].records, 2);
}
