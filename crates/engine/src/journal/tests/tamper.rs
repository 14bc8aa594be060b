//! What somebody does to the files is found, and named rightly.

use super::*;
use crate::journal::head::Head;
use crate::journal::key::SigningKey;
use crate::journal::line::{GENESIS, HexHash, Place, checkpoint_line, hash};
use serde_json::Value;
use toolgate_core::canon;

/// A closed journal of three segments, and what is done to it.
struct Victim(tempfile::TempDir);

impl Victim {
    fn new() -> Self {
        Self::with(Options { segment_size: Size(4 << 10), ..small() })
    }

    fn with(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 14, options);
        let victim = Self(dir);
        assert!(assert_ok(victim.path()).chains[0].segments >= 3);
        victim
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn segments(&self) -> Vec<segment::Segment> {
        segment::list(&self.path().join("n")).unwrap()
    }

    /// Run `check` on the journal as it is after each of many changes of one segment.
    fn each(&self, change: impl Fn(&segment::Segment, &mut dyn FnMut(&[Vec<u8>]))) {
        for segment in self.segments() {
            let good = fs::read(&segment.path).unwrap();
            change(&segment, &mut |lines| fs::write(&segment.path, lines.concat()).unwrap());
            fs::write(&segment.path, good).unwrap();
        }
        assert_ok(self.path());
    }

    fn found(&self) -> Vec<Problem> {
        check(self.path()).chains.into_iter().flat_map(|chain| chain.problems).collect()
    }

    fn whats(&self) -> Vec<What> {
        self.found().into_iter().map(|problem| problem.what).collect()
    }
}

fn seq_of(line: &[u8]) -> u64 {
    serde_json::from_slice::<Value>(line).unwrap()["seq"].as_u64().unwrap()
}

#[test]
fn numbers_beyond_all_bounds() {
    let victim = Victim::new();
    for huge in [0, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX] {
        victim.each(|_, put| {
            let good = lines_of(&segment_path(victim.path(), 1));
            for at in [0, 1, good.len() - 1] {
                let mut lines = good.clone();
                let text = String::from_utf8(lines[at].clone()).unwrap();
                let (from, to) = (format!("\"seq\":{}", seq_of(&lines[at])), format!("\"seq\":{huge}"));
                lines[at] = text.replace(&from, &to).into_bytes();
                put(&lines);
                assert!(!victim.found().is_empty(), "{huge} in line {at}");
            }
        });
        let head = victim.path().join("n/head");
        let good = fs::read(&head).unwrap();
        Head::open(&victim.path().join("n")).unwrap().write(huge, &GENESIS).unwrap();
        // A head left behind is no finding.
        assert_eq!(victim.found().is_empty(), huge == 0, "{huge} in the head");
        fs::write(&head, good).unwrap();
    }
    // Opening adds to them too.
    Head::open(&victim.path().join("n")).unwrap().write(u64::MAX, &GENESIS).unwrap();
    drop(Journal::open_with(victim.path(), "n", small()).unwrap());
    for name in ["18446744073709551615.jsonl", "018446744073709551615.jsonl"] {
        fs::write(victim.path().join("n").join(name), b"").unwrap();
    }
    assert!(assert_ok(victim.path()).chains[0].recoveries[0].recovery.head_missing);
}

#[test]
fn a_changed_byte() {
    let victim = Victim::new();
    let sort = [What::Changed, What::BadSignature, What::UnknownKey, What::WrongNode, What::TornTail];
    victim.each(|segment, put| {
        let lines = lines_of(&segment.path);
        for (i, line) in lines.iter().enumerate() {
            for at in (0..line.len()).filter(|at| (at + i) % 11 == 0 || at + 1 == line.len()) {
                for byte in [line[at] ^ 1, b'\n'] {
                    if byte == line[at] {
                        continue;
                    }
                    let mut lines = lines.clone();
                    lines[i][at] = byte;
                    put(&lines);
                    let found = victim.found();
                    let told = |p: &Problem| {
                        p.file == segment.name() && p.line == i as u64 + 1 && sort.contains(&p.what)
                    };
                    assert!(
                        !found.is_empty() && found.iter().all(told),
                        "{} line {} byte {at}: {found:#?}\n{}",
                        segment.name(),
                        i + 1,
                        String::from_utf8_lossy(&lines[i])
                    );
                }
            }
        }
    });
}

#[test]
fn every_digit_of_every_number() {
    let victim = Victim::new();
    victim.each(|segment, put| {
        let lines = lines_of(&segment.path);
        for (i, line) in lines.iter().enumerate() {
            let seq = seq_of(line);
            for other in [1, seq.saturating_sub(1), seq + 1, seq + 5, seq * 10] {
                if other == seq {
                    continue;
                }
                let mut lines = lines.clone();
                let text = String::from_utf8(line.clone()).unwrap();
                lines[i] = text.replace(&format!("\"seq\":{seq}"), &format!("\"seq\":{other}")).into_bytes();
                put(&lines);
                let found = victim.found();
                let told = |p: &Problem| p.line == i as u64 + 1 && p.file == segment.name();
                assert!(!found.is_empty() && found.iter().all(told), "{seq} to {other}: {found:#?}");
            }
        }
    });
}

#[test]
fn a_removed_line() {
    let victim = Victim::new();
    let last = check(victim.path()).chains[0].last_seq.unwrap();
    victim.each(|segment, put| {
        let lines = lines_of(&segment.path);
        for i in 0..lines.len() {
            let mut rest = lines.clone();
            let seq = seq_of(&rest.remove(i));
            put(&rest);
            let found = victim.found();
            let what = if seq == last { What::Truncated } else { What::Removed };
            assert_eq!(found.len(), 1, "{seq}: {found:#?}");
            assert_eq!((found[0].what, found[0].seq, found[0].last_seq), (what, Some(seq), Some(seq)));
        }
    });
}

#[test]
fn swapped_and_doubled_lines() {
    let victim = Victim::new();
    victim.each(|segment, put| {
        let lines = lines_of(&segment.path);
        for i in 0..lines.len() {
            let mut doubled = lines.clone();
            doubled.insert(i, lines[i].clone());
            put(&doubled);
            let found = victim.found();
            assert_eq!(found.len(), 1, "{found:#?}");
            assert_eq!((found[0].what, found[0].line), (What::Duplicate, i as u64 + 2));
            if i > 0 {
                let mut swapped = lines.clone();
                swapped.swap(i - 1, i);
                put(&swapped);
                let found = victim.found();
                assert_eq!(found.len(), 1, "{found:#?}");
                assert_eq!((found[0].what, found[0].line), (What::Reordered, i as u64 + 1));
                assert_eq!(found[0].seq, Some(seq_of(&lines[i - 1])));
            }
        }
    });
}

#[test]
fn a_tail_cut_at_every_byte() {
    let victim = Victim::new();
    let last = victim.segments().pop().unwrap();
    let bytes = fs::read(&last.path).unwrap();
    let lines = lines_of(&last.path);
    let (a, b) = (lines[lines.len() - 2].len(), lines[lines.len() - 1].len());
    for cut in 1..=a + b {
        fs::write(&last.path, &bytes[..bytes.len() - cut]).unwrap();
        let expected: &[What] = match cut {
            _ if cut == b || cut == a + b => &[What::Truncated],
            _ if cut < b => &[What::TornTail],
            _ => &[What::TornTail, What::Truncated],
        };
        assert_eq!(victim.whats(), expected, "{cut}");
    }
}

#[test]
fn a_missing_segment_and_swapped_segments() {
    let victim = Victim::new();
    let segments = victim.segments();
    for segment in &segments {
        let bytes = fs::read(&segment.path).unwrap();
        fs::remove_file(&segment.path).unwrap();
        let found = victim.found();
        let last = segment.number == segments.len() as u64;
        let what = if last { What::Truncated } else { What::SegmentMissing };
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].what, what);
        assert!(last || found[0].file == segment.name());
        fs::write(&segment.path, bytes).unwrap();
    }
    let (one, two) = (fs::read(&segments[0].path).unwrap(), fs::read(&segments[1].path).unwrap());
    fs::write(&segments[0].path, two).unwrap();
    fs::write(&segments[1].path, one).unwrap();
    assert_eq!(victim.whats(), [What::Reordered]);
}

#[test]
fn a_changed_head() {
    let victim = Victim::new();
    let path = victim.path().join("n/head");
    let good = fs::read_to_string(&path).unwrap();
    let seq = check(victim.path()).chains[0].last_seq.unwrap();
    let head = || Head::open(&victim.path().join("n")).unwrap();
    head().write(seq, &[b'0'; 64]).unwrap();
    assert_eq!(victim.whats(), [What::HeadMismatch]);
    head().write(seq + 3, &[b'0'; 64]).unwrap();
    assert_eq!(victim.whats(), [What::Truncated]);
    for (from, to) in [("\"hash\":\"", "\"hash\":\"0"), ("\"seq\":", "\"seq\":1")] {
        fs::write(&path, good.replace(from, to)).unwrap();
        assert_eq!(victim.whats(), [What::HeadMismatch]);
    }
    fs::write(&path, "nonsense").unwrap();
    assert_eq!(victim.whats(), [What::HeadMismatch]);
}

// Somebody without the key who chains the rest anew: numbers, links and head fit, signatures cannot.
#[test]
fn a_chain_relinked_without_the_key() {
    let victim = Victim::new();
    let first = victim.segments().remove(0);
    let mut lines = lines_of(&first.path);
    lines.remove(3);
    fs::write(&first.path, lines.concat()).unwrap();
    relink(victim.path());
    let found = victim.found();
    assert!(found.iter().all(|p| p.what == What::BadSignature), "{found:#?}");
    assert_eq!(found[0].file, first.name());
}

fn relink(dir: &Path) {
    let (mut prev, mut seq): (HexHash, u64) = (GENESIS, 0);
    for segment in segment::list(&dir.join("n")).unwrap() {
        let mut out = String::new();
        for line in lines_of(&segment.path) {
            seq += 1;
            let mut value: Value = serde_json::from_slice(&line).unwrap();
            value["prev"] = json!(line::hex_text(&prev));
            value["seq"] = json!(seq);
            let text = canon::to_string(&value);
            prev = hash(text.as_bytes());
            out.push_str(&text);
            out.push('\n');
        }
        fs::write(&segment.path, out).unwrap();
    }
    Head::open(&dir.join("n")).unwrap().write(seq, &prev).unwrap();
}

fn key_of(dir: &Path) -> SigningKey {
    key::load_or_create(dir, true).unwrap()
}

#[test]
fn a_replaced_last_checkpoint() {
    let victim = Victim::new();
    let stranger = tempfile::tempdir().unwrap();
    written(stranger.path(), 1, small());
    let (ours, theirs) = (key_of(victim.path()), key_of(stranger.path()));
    let last = victim.segments().pop().unwrap();
    let mut lines = lines_of(&last.path);
    let (seq, before) = (seq_of(&lines.pop().unwrap()), lines.last().unwrap().clone());
    let prev = hash(before.trim_ascii_end());
    let forged = checkpoint_line(&Place { seq, prev: &prev }, "n", &theirs);
    for (forged, what) in [
        (forged.replace(theirs.public_hex(), ours.public_hex()), What::BadSignature),
        (forged, What::UnknownKey),
    ] {
        fs::write(&last.path, [lines.concat(), format!("{forged}\n").into_bytes()].concat()).unwrap();
        Head::open(&victim.path().join("n")).unwrap().write(seq, &hash(forged.as_bytes())).unwrap();
        assert_eq!(victim.whats(), [what]);
    }
}

#[test]
fn a_chain_written_anew_with_another_key() {
    let anchor = tempfile::NamedTempFile::new().unwrap();
    let victim = Victim::with(Options {
        segment_size: Size(4 << 10),
        anchor: Some(anchor.path().to_owned()),
        ..small()
    });
    let trusted = key_of(victim.path());
    let forger = Victim::new();
    fs::remove_dir_all(victim.path().join("n")).unwrap();
    fs::rename(forger.path().join("n"), victim.path().join("n")).unwrap();
    assert_eq!(victim.whats(), [What::UnknownKey]);

    // With journal.pub exchanged too, only what is kept elsewhere can tell.
    fs::copy(forger.path().join(key::PUBLIC_FILE), victim.path().join(key::PUBLIC_FILE)).unwrap();
    assert_eq!(assert_ok(victim.path()).key.source, KeySource::PublicFile);
    let whats = |options: &VerifyOptions| {
        let report = verify(victim.path(), options, &mut |_, _| {}).unwrap();
        report.problems().map(|problem| problem.what).collect::<Vec<_>>()
    };
    let given = PublicKey::parse(trusted.public_hex()).unwrap();
    assert_eq!(whats(&VerifyOptions { public_key: Some(given), anchor: None }), [What::UnknownKey]);
    let anchored = whats(&VerifyOptions { public_key: None, anchor: Some(anchor.path().to_owned()) });
    assert!(
        !anchored.is_empty() && anchored.iter().all(|what| *what == What::AnchorMismatch),
        "{anchored:?}"
    );

    fs::remove_file(victim.path().join(key::PUBLIC_FILE)).unwrap();
    assert_eq!(assert_ok(victim.path()).key.source, KeySource::Header);
}

#[test]
fn an_older_copy_put_back_is_found_by_the_anchor() {
    let dir = tempfile::tempdir().unwrap();
    let anchor = dir.path().join("anchor.jsonl");
    let root = dir.path().join("j");
    let options = || Options { anchor: Some(anchor.clone()), ..small() };
    written(&root, 14, options());
    let chain = root.join("n");
    let old: Vec<_> = fs::read_dir(&chain)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(path).unwrap()))
        .collect();
    written(&root, 14, options());
    fs::remove_dir_all(&chain).unwrap();
    fs::create_dir(&chain).unwrap();
    old.iter().for_each(|(path, bytes)| fs::write(path, bytes).unwrap());
    assert_ok(&root);
    let with_anchor = VerifyOptions { anchor: Some(anchor), ..VerifyOptions::default() };
    let report = verify(&root, &with_anchor, &mut |_, _| {}).unwrap();
    assert_eq!(report.problems().map(|p| p.what).collect::<Vec<_>>(), [What::AnchorMismatch]);

    // So is a chain taken away whole.
    fs::rename(&chain, root.join("m")).unwrap();
    let report = verify(&root, &with_anchor, &mut |_, _| {}).unwrap();
    let whats: Vec<_> = report.problems().map(|p| (p.chain.as_str(), p.what)).collect();
    assert!(
        whats.contains(&("m", What::WrongNode)) && whats.contains(&("n", What::AnchorMismatch)),
        "{whats:?}"
    );
}

#[test]
fn progress_and_report() {
    let victim = Victim::new();
    let mut steps = Vec::new();
    let report =
        verify(victim.path(), &VerifyOptions::default(), &mut |done, total| steps.push((done, total)))
            .unwrap();
    let total = victim.segments().iter().map(|segment| segment.len).sum();
    assert_eq!(steps.last(), Some(&(total, total)));
    let value = serde_json::to_value(&report).unwrap();
    assert_eq!(value["chains"][0]["records"], 14);
    assert_eq!(value["key"]["source"], "public_file");
    let nothing = tempfile::tempdir().unwrap();
    let refused = verify(nothing.path(), &VerifyOptions::default(), &mut |_, _| {}).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
}
