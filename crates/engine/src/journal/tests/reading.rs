//! Reading back: filters, tail and follow, export.

use super::*;
use serde_json::Value;

fn ids(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.record.duration_us - 1234).collect()
}

fn all(dir: &Path, filter: Filter) -> Vec<Entry> {
    read(dir, filter).unwrap().map(Result::unwrap).collect()
}

// Two chains whose records alternate in time, over several segments.
fn two_chains(dir: &Path) {
    let first = Journal::open_with(dir, "n", small()).unwrap();
    let second = Journal::open_with(dir, "n", small()).unwrap();
    for n in 0..60 {
        if n % 2 == 0 { &first } else { &second }.append(&record(n)).unwrap();
    }
}

#[test]
fn chains_are_merged_by_time_and_filtered() {
    let dir = tempfile::tempdir().unwrap();
    two_chains(dir.path());
    let entries = all(dir.path(), Filter::default());
    assert_eq!(ids(&entries), (0..60).collect::<Vec<_>>());
    assert_eq!((&*entries[0].node, &*entries[1].node), ("n", "n-2"));
    assert_eq!(entries[7].record, record(7));

    let count = |filter| all(dir.path(), filter).len();
    assert_eq!(count(Filter { caller: Some("Ada".to_owned()), ..Filter::default() }), 30);
    assert_eq!(count(Filter { caller: Some("tg-1".to_owned()), ..Filter::default() }), 60);
    assert_eq!(count(Filter { tool: Some("tool_1".to_owned()), ..Filter::default() }), 20);
    assert_eq!(count(Filter { server: Some("docker".to_owned()), ..Filter::default() }), 0);
    assert_eq!(count(Filter { outcome: Some("ok".to_owned()), limit: Some(7), ..Filter::default() }), 7);
    assert_eq!(count(Filter { effect: Some(Effect::Write), ..Filter::default() }), 0);
    assert_eq!(count(Filter { phase: Some(Phase::Answer), ..Filter::default() }), 60);
    assert_eq!(count(Filter { text: Some("FILE-17".to_owned()), ..Filter::default() }), 1);
    assert_eq!(count(Filter { text: Some("\"the\" B".to_owned()), ..Filter::default() }), 30);
    assert_eq!(count(Filter { text: Some("prev".to_owned()), ..Filter::default() }), 0);
    let since = Some("2026-11-21T10:00:10Z".parse().unwrap());
    let until = Some("2026-11-21T10:00:20Z".parse().unwrap());
    assert_eq!(
        ids(&all(dir.path(), Filter { since, until, ..Filter::default() })),
        (10..20).collect::<Vec<_>>()
    );
}

#[test]
fn the_tail_is_read_from_the_end_and_followed() {
    let dir = tempfile::tempdir().unwrap();
    two_chains(dir.path());
    let limit = |n| Filter { limit: Some(n), ..Filter::default() };
    assert_eq!(ids(&tail(dir.path(), &limit(5)).unwrap()), [55, 56, 57, 58, 59]);
    assert_eq!(tail(dir.path(), &limit(1000)).unwrap().len(), 60);
    assert_eq!(tail(dir.path(), &Filter::default()).unwrap().len(), 20);
    let rare = Filter { text: Some("file-3".to_owned()), limit: Some(2), ..Filter::default() };
    assert_eq!(ids(&tail(dir.path(), &rare).unwrap()), [38, 39]);

    let (seen, mut follow) = Follow::start(dir.path(), limit(0)).unwrap();
    assert!(seen.is_empty());
    assert!(follow.poll().unwrap().is_empty());
    let journal = Journal::open_with(dir.path(), "n", small()).unwrap();
    let other = Journal::open_with(dir.path(), "new", small()).unwrap();
    for n in 60..100 {
        if n % 3 == 0 { &journal } else { &other }.append(&record(n)).unwrap();
    }
    assert_eq!(ids(&follow.poll().unwrap()), (60..100).collect::<Vec<_>>());
    assert!(follow.poll().unwrap().is_empty());
    journal.append(&record(100)).unwrap();
    assert_eq!(ids(&follow.poll().unwrap()), [100]);
}

#[test]
fn partial_huge_and_foreign_lines_are_passed_over() {
    let dir = tempfile::tempdir().unwrap();
    written(dir.path(), 3, small());
    let path = segment_path(dir.path(), 1);
    let mut bytes = fs::read(&path).unwrap();
    let good = bytes.clone();
    bytes.extend(std::iter::repeat_n(b'x', line::MAX_LINE * 2 + 10));
    bytes.extend(b"\nnot json\n");
    bytes.extend(&good);
    bytes.extend(b"{\"half\":");
    fs::write(&path, &bytes).unwrap();
    let mut reader = read(dir.path(), Filter::default()).unwrap();
    assert_eq!(reader.by_ref().count(), 6);
    assert_eq!(reader.broken, 2);
    assert_eq!(tail(dir.path(), &Filter::default()).unwrap().len(), 6);
    let (_, mut follow) = Follow::start(dir.path(), Filter::default()).unwrap();
    bytes.truncate(bytes.len() - 8);
    bytes.extend(&good);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(follow.poll().unwrap().len(), 3);
}

#[test]
fn deep_arguments_do_not_hide_a_record() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open_with(dir.path(), "n", small()).unwrap();
    let nested = |depth| (0..depth).fold(json!("core"), |inner, _| json!([inner]));
    for depth in [64, 65, 127] {
        journal.append(&Record { args: Some(nested(depth)), ..record(depth) }).unwrap();
    }
    drop(journal);
    assert_ok(dir.path());
    let found = all(dir.path(), Filter { text: Some("core".to_owned()), ..Filter::default() });
    assert_eq!(found.len(), 3);
    assert_eq!(found[0].record.args, Some(nested(64)));
    assert_eq!(found[1].record.args, Some(json!(nested(65).to_string())));
}

#[test]
fn exports_are_what_was_journaled() {
    let dir = tempfile::tempdir().unwrap();
    let journal = Journal::open(dir.path(), "n").unwrap();
    let formula = Record { message: Some("=cmd()".to_owned()), caller_name: "+1, \"x\"".into(), ..record(1) };
    journal.append(&formula).unwrap();
    journal.append(&record(2)).unwrap();
    drop(journal);
    let mut jsonl = Vec::new();
    assert_eq!(export(dir.path(), Filter::default(), Format::JsonLines, &mut jsonl).unwrap(), 2);
    let first = jsonl.split(|b| *b == b'\n').next().unwrap();
    let mut value: Value = serde_json::from_slice(first).unwrap();
    assert_eq!(value.as_object_mut().unwrap().remove("node"), Some(json!("n")));
    let mut line = toolgate_core::canon::to_string(&value).into_bytes();
    line.push(b'\n');
    assert_eq!(line, lines_of(&segment_path(dir.path(), 1))[1]);

    let mut out = Vec::new();
    assert_eq!(export(dir.path(), Filter::default(), Format::Csv, &mut out).unwrap(), 2);
    let mut csv = csv::Reader::from_reader(&out[..]);
    let header = csv.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let cell = |row: usize, name: &str| {
        rows[row].get(header.iter().position(|h| h == name).unwrap()).unwrap().to_owned()
    };
    assert_eq!(cell(0, "message"), "'=cmd()");
    assert_eq!(cell(0, "caller_name"), "'+1, \"x\"");
    assert_eq!(cell(1, "message"), "");
    assert_eq!(cell(1, "roles"), "operator user");
    assert_eq!(cell(1, "seq"), "3");
    assert_eq!((cell(0, "cached"), cell(1, "cached")), ("false".to_owned(), "false".to_owned()));
    assert!(cell(1, "args").starts_with("{\"depth\":2"));
}
