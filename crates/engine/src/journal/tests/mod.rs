//! Tests of the journal: real files, real processes, real signals.

mod anchor;
mod append;
mod crash;
mod opening;
mod reading;
mod serial;
mod tamper;

use super::*;
use serde_json::json;
use std::fs;
use toolgate_core::Effect;
use toolgate_core::record::{Decision, Phase};

impl Journal {
    /// A journal with node `n` whose fsync is `sync`, and no checkpoint of its own accord.
    pub(crate) fn with_sync(dir: &Path, sync: flush::SyncFile) -> Self {
        Self::start(open::open(dir, "n", quiet()).unwrap(), sync).unwrap()
    }

    /// Exchange the open segment's file; through a file that cannot be written every append fails.
    pub(crate) fn swap_file(&self, file: Arc<fs::File>) -> Arc<fs::File> {
        std::mem::replace(&mut self.0.shared.lock().file, file)
    }
}

/// A record as a tool call leaves it.
pub fn record(n: u64) -> Record {
    Record {
        id: format!("0198c0de-0000-7000-8000-{n:012}"),
        phase: Phase::Answer,
        time: format!("2026-11-21T10:{:02}:{:02}.000001Z", n / 60 % 60, n % 60),
        caller: "tg-1".into(),
        caller_name: if n.is_multiple_of(2) { "Ada".into() } else { "Bob \"the\" builder".into() },
        roles: Arc::from(["operator".into(), "user".into()]),
        client: Some("probe/1.0".to_owned()),
        server: Some("system".into()),
        tool: format!("tool_{}", n % 3).into(),
        effect: Some(Effect::Read),
        args_digest: Some(format!("sha256:{n:064x}")),
        args: Some(json!({"path": format!("/tmp/file-{n}"), "depth": n, "ratio": 0.5})),
        decision: Decision::Allow,
        rule: "role operator".into(),
        outcome: Some("ok".to_owned()),
        message: None,
        cached: n.is_multiple_of(4),
        duration_us: 1234 + n,
        bytes: 77,
        trace_id: Some("4bf92f3577b34da6a3ce929d0e0e4736".to_owned()),
    }
}

/// Small segments, checkpoints often and only by count.
pub fn small() -> Options {
    Options {
        segment_size: Size(8 << 10),
        checkpoint_lines: 5,
        checkpoint_after: Span(Duration::from_secs(3600)),
        anchor: None,
        calls: true,
    }
}

/// No checkpoint but on closing and rotating.
pub fn quiet() -> Options {
    Options { checkpoint_lines: u64::MAX, ..small() }
}

pub fn check(dir: &Path) -> Report {
    verify(dir, &VerifyOptions::default(), &mut |_, _| {}).unwrap()
}

#[track_caller]
pub fn assert_ok(dir: &Path) -> Report {
    let report = check(dir);
    assert!(report.ok, "{:#?}", report.chains);
    report
}

/// A closed journal of `n` records.
pub fn written(dir: &Path, n: u64, options: Options) {
    let journal = Journal::open_with(dir, "n", options).unwrap();
    for i in 0..n {
        journal.append(&record(i)).unwrap();
    }
}

pub fn segment_path(dir: &Path, number: u64) -> PathBuf {
    dir.join("n").join(segment::file_name(number))
}

/// Lines of a segment, newlines kept.
pub fn lines_of(path: &Path) -> Vec<Vec<u8>> {
    fs::read(path).unwrap().split_inclusive(|b| *b == b'\n').map(<[u8]>::to_vec).collect()
}
