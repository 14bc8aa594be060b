//! Death by SIGKILL, and a disk that is full. The test binary runs itself as the victim.

use super::*;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

const DIR: &str = "TOOLGATE_TEST_JOURNAL_DIR";

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").unwrap();
    out.flush().unwrap();
}

#[test]
fn every_acknowledged_record_survives_sigkill() {
    if let Some(dir) = std::env::var_os(DIR) {
        let journal = Journal::open_with(Path::new(&dir), "n", small()).unwrap();
        for n in 0.. {
            let place = journal.append(&record(n)).unwrap();
            say(&format!("ack {}", place.0));
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = Vec::new();
    for round in 0..10 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "journal::tests::crash::every_acknowledged_record_survives_sigkill",
                "--exact",
                "--nocapture",
            ])
            .env(DIR, dir.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let before = acknowledged.len();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // libtest may have written the beginning of this line.
            if let Some((_, seq)) = line.unwrap().split_once("ack ") {
                acknowledged.push(seq.parse::<u64>().unwrap());
            }
            if acknowledged.len() == before + 20 + round * 7 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(acknowledged.len() >= before + 20);
    }
    drop(Journal::open_with(dir.path(), "n", small()).unwrap());
    assert_ok(dir.path());
    let found: std::collections::HashSet<u64> =
        read(dir.path(), Filter::default()).unwrap().map(|entry| entry.unwrap().seq).collect();
    let missing: Vec<_> = acknowledged.iter().filter(|seq| !found.contains(seq)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

// The limit on file size stands in for a full disk: a write stops in the middle of a line, the next one fails.
#[test]
fn a_full_disk_leaves_the_chain_whole() {
    if let Some(dir) = std::env::var_os(DIR) {
        fill_up(Path::new(&dir));
        return;
    }
    for blocks in ["16", "17", "18", "19"] {
        let dir = tempfile::tempdir().unwrap();
        let out = Command::new("sh")
            .args(["-c", "trap '' XFSZ; ulimit -S -f $0 && exec \"$@\"", blocks])
            .arg(std::env::current_exe().unwrap())
            .args(["journal::tests::crash::a_full_disk_leaves_the_chain_whole", "--exact", "--nocapture"])
            .env(DIR, dir.path())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(
            out.status.success() && text.contains("went on"),
            "{text}{}",
            String::from_utf8_lossy(&out.stderr)
        );
        let chain = &assert_ok(dir.path()).chains[0];
        assert_eq!(chain.recoveries, []);
        assert!(text.contains(&format!("went on after {}", chain.records - 1)), "{text} {chain:?}");
    }
}

fn fill_up(dir: &Path) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let journal = Journal::open(dir, "n").unwrap();
    let mut n = 0;
    let refused = loop {
        match journal.append(&record(n)) {
            Ok(_) => n += 1,
            Err(e) => break e,
        }
        assert!(n < 10_000, "the limit does not hold");
    };
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.message().starts_with("the journal cannot be written: "), "{refused}");
    let bytes = fs::read(segment_path(dir, 1)).unwrap();
    assert_eq!(bytes.last(), Some(&b'\n'));
    journal.append(&record(n)).unwrap_err();
    assert_eq!(fs::read(segment_path(dir, 1)).unwrap().len(), bytes.len());
    assert_eq!(journal.stats().failures, 2);
    let maximum = getrlimit(Resource::Fsize).maximum;
    setrlimit(Resource::Fsize, Rlimit { current: maximum, maximum }).unwrap();
    journal.append(&record(n)).unwrap();
    drop(journal);
    say(&format!("went on after {n}"));
}
