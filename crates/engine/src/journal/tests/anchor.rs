//! The anchor file: torn, full, and hanging.

use super::*;
use std::io::{Read, Write};
use std::os::unix::fs::OpenOptionsExt;

fn anchored(path: &Path) -> Options {
    Options { anchor: Some(path.to_owned()), ..small() }
}

#[test]
fn nothing_is_glued_to_a_torn_line() {
    let dir = tempfile::tempdir().unwrap();
    let (journal, anchor) = (dir.path().join("j"), dir.path().join("anchor"));
    written(&journal, 12, anchored(&anchor));
    let whole = fs::read_to_string(&anchor).unwrap();
    assert!(!whole.contains("\n\n"));
    fs::write(&anchor, format!("{whole}{}", &whole[..100])).unwrap();
    written(&journal, 12, anchored(&anchor));
    let options = VerifyOptions { anchor: Some(anchor), ..VerifyOptions::default() };
    let report = verify(&journal, &options, &mut |_, _| {}).unwrap();
    assert!(report.ok, "{report:#?}");
    assert_eq!(report.chains[0].anchored, report.chains[0].checkpoints);
}

#[tokio::test]
async fn a_full_anchor_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", anchored(Path::new("/dev/full"))).unwrap();
    for n in 0..12 {
        journal.append(&record(n)).unwrap();
    }
    journal.close().await.unwrap();
    let stats = journal.stats();
    assert!(stats.checkpoints > 0 && stats.anchor_failures == stats.checkpoints, "{stats:?}");
    assert_ok(dir.path());
}

// A pipe that is full stands in for a mount that hangs.
#[tokio::test]
async fn an_anchor_that_hangs_holds_nothing_up() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let nonblocking = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).unwrap();
    let mut filler =
        fs::OpenOptions::new().read(true).write(true).custom_flags(nonblocking).open(&pipe).unwrap();
    while filler.write(&[b'\n'; 4096]).is_ok() {}
    let mut reader = fs::File::open(&pipe).unwrap();

    let journal = Journal::open_with(&dir.path().join("j"), "n", anchored(&pipe)).unwrap();
    drop(filler);
    for n in 0..40 {
        let place = journal.append(&record(n)).unwrap();
        let durable = tokio::time::timeout(Duration::from_secs(20), journal.durable(place)).await;
        durable.expect("the anchor is not waited for").unwrap();
    }
    assert!(journal.stats().checkpoints >= 4);

    let read = std::thread::spawn(move || {
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        text
    });
    journal.close().await.unwrap();
    let text = read.join().unwrap();
    let stats = journal.stats();
    assert_eq!(text.matches("\"phase\":\"checkpoint\"").count() as u64, stats.checkpoints);
    assert_eq!(stats.anchor_failures, 0);
}
