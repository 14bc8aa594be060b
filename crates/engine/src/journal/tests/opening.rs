//! Opening: locks, keys, torn tails, lost lines, damage.

use super::*;
use std::io::Write;

#[test]
fn a_second_opener_takes_its_own_chain() {
    let dir = tempfile::tempdir().unwrap();
    let first = Journal::open(dir.path(), "n").unwrap();
    let second = Journal::open(dir.path(), "n").unwrap();
    assert_eq!((first.chain().1, second.chain().1), ("n", "n-2"));
    first.append(&record(1)).unwrap();
    second.append(&record(2)).unwrap();
    assert!(check(dir.path()).chains.iter().all(|chain| chain.live));
    drop(second);
    assert_eq!(Journal::open(dir.path(), "n").unwrap().chain().1, "n-2");
    drop(first);
    let report = assert_ok(dir.path());
    assert_eq!(report.chains.len(), 2);
    assert!(report.chains.iter().all(|chain| !chain.live && chain.records == 1));
}

#[test]
fn names_that_are_no_file_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["", "..", ".n", "a/b", "a b", &"x".repeat(65)] {
        assert_eq!(Journal::open(dir.path(), name).err().map(|e| e.kind()), Some(Kind::Invalid), "{name}");
    }
}

#[test]
fn the_key_is_private_and_never_made_anew_beside_chains() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, small());
    let key = dir.path().join(key::KEY_FILE);
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let refused = Journal::open(dir.path(), "n").err().unwrap();
    assert!(refused.message().contains("signing key journal.key is missing"), "{refused}");
    assert!(Journal::open(dir.path(), "other").is_err());
    assert!(!key.exists());
    assert_ok(dir.path());

    // Another key in its place is noticed, with and without journal.pub.
    let other = tempfile::tempdir().unwrap();
    written(other.path(), 1, small());
    fs::copy(other.path().join(key::KEY_FILE), &key).unwrap();
    assert!(Journal::open(dir.path(), "n").err().unwrap().message().contains("exchanged"));
    fs::remove_file(dir.path().join(key::PUBLIC_FILE)).unwrap();
    assert!(Journal::open(dir.path(), "n").err().unwrap().message().contains("another key"));
    fs::remove_file(dir.path().join(key::PUBLIC_FILE)).unwrap();
    fs::write(&key, kept).unwrap();
    written(dir.path(), 3, small());
    assert_eq!(assert_ok(dir.path()).chains[0].records, 6);
}

#[test]
fn a_torn_tail_is_cut_and_told() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, small());
    let half = b"{\"args\":{\"path\":\"/tm";
    let mut file = fs::OpenOptions::new().append(true).open(segment_path(dir.path(), 1)).unwrap();
    file.write_all(half).unwrap();
    let report = check(dir.path());
    assert_eq!(report.problems().map(|p| p.what).collect::<Vec<_>>(), [What::TornTail]);
    written(dir.path(), 3, small());
    let report = assert_ok(dir.path());
    let recovery = &report.chains[0].recoveries[0].recovery;
    assert_eq!(recovery.cut_bytes, Some(half.len() as u64));
    assert_eq!(recovery.cut_sha256.as_deref(), Some(toolgate_core::canon::sha256_hex(half).as_str()));
    assert_eq!(recovery.lost_from, None);
    assert_eq!(report.chains[0].records, 6);
}

#[test]
fn lost_lines_are_told_and_their_numbers_not_used_again() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 10, quiet());
    let path = segment_path(dir.path(), 1);
    let lines = lines_of(&path);
    let last = lines.len() as u64;
    fs::write(&path, lines[..lines.len() - 3].concat()).unwrap();
    // No checkpoint may come between.
    let journal = Journal::open_with(dir.path(), "n", quiet()).unwrap();
    assert_eq!(journal.append(&record(1)).unwrap(), Position(last + 2));
    drop(journal);
    let report = check(dir.path());
    let problems: Vec<&Problem> = report.problems().collect();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert_eq!(problems[0].what, What::Truncated);
    assert_eq!((problems[0].seq, problems[0].last_seq), (Some(last - 2), Some(last)));
    // And it can be opened again, over the hole.
    written(dir.path(), 1, small());
    assert_eq!(check(dir.path()).problems().count(), 1);
}

#[test]
fn a_missing_head_is_told() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, small());
    fs::remove_file(dir.path().join("n/head")).unwrap();
    assert_eq!(check(dir.path()).problems().map(|p| p.what).collect::<Vec<_>>(), [What::HeadMismatch]);
    written(dir.path(), 1, small());
    let report = assert_ok(dir.path());
    assert!(report.chains[0].recoveries[0].recovery.head_missing);
}

#[test]
fn a_head_left_behind_by_power_loss_is_no_loss() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, quiet());
    let head = dir.path().join("n/head");
    let old = fs::read(&head).unwrap();
    written(dir.path(), 3, quiet());
    fs::write(&head, old).unwrap();
    assert_ok(dir.path());
    written(dir.path(), 3, quiet());
    let report = assert_ok(dir.path());
    assert_eq!((report.chains[0].records, report.chains[0].recoveries.len()), (9, 0));
}

#[test]
fn a_torn_new_segment_is_the_old_ones_tail() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 30, small());
    let last = assert_ok(dir.path()).chains[0].segments;
    fs::write(segment_path(dir.path(), last + 1), b"{\"format\":1,\"no").unwrap();
    written(dir.path(), 30, small());
    let report = assert_ok(dir.path());
    assert_eq!(report.chains[0].recoveries[0].recovery.cut_bytes, Some(15));
    assert_eq!(report.chains[0].records, 60);
    fs::write(segment_path(dir.path(), report.chains[0].segments + 1), b"").unwrap();
    written(dir.path(), 1, small());
    assert_eq!(assert_ok(dir.path()).chains[0].records, 61);
}

#[test]
fn a_damaged_chain_is_not_continued() {
    for (line, from, to) in
        [(0, "\"format\":1", "\"format\":2"), (2, "\"ok\"", "\"ko\""), (4, "seq\":5", "seq\":6")]
    {
        let dir = tempfile::tempdir().unwrap();
        written(dir.path(), 10, quiet());
        let path = segment_path(dir.path(), 1);
        let mut lines = lines_of(&path);
        lines[line] = String::from_utf8(lines[line].clone()).unwrap().replace(from, to).into_bytes();
        fs::write(&path, lines.concat()).unwrap();
        let refused = Journal::open(dir.path(), "n").err().unwrap();
        assert_eq!(refused.kind(), Kind::Internal);
        assert!(refused.message().contains("journal damaged at n/00000001.jsonl line"), "{refused}");
        assert!(refused.message().contains("toolgate audit verify"));
    }
}

#[test]
fn an_emptied_chain_is_not_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, small());
    fs::write(segment_path(dir.path(), 1), b"").unwrap();
    assert!(Journal::open(dir.path(), "n").err().unwrap().message().contains("journal damaged"));
    fs::remove_file(segment_path(dir.path(), 1)).unwrap();
    assert!(Journal::open(dir.path(), "n").err().unwrap().message().contains("journal damaged"));
    assert_eq!(check(dir.path()).problems().map(|p| p.what).collect::<Vec<_>>(), [What::Truncated]);
}
