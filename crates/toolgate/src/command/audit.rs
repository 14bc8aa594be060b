//! `toolgate audit verify | tail | search | export`: reads the journal's files and nothing else.

use crate::cli::{Audit, Filter, Format};
use crate::config::{Settings, nearest::nearest};
use crate::data_dir::DataDir;
use crate::exit;
use crate::output::{self, Out, Paint};
use crate::wiring::public;
use anyhow::Result;
use jiff::Timestamp;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::record::{Decision, Phase};
use toolgate_core::unit::Span;
use toolgate_engine::journal;

/// How often `tail -f` looks.
const LOOK: Duration = Duration::from_millis(250);

pub fn run(command: Audit, settings: &Settings, out: Out) -> Result<()> {
    let dir = DataDir::open(&settings.data)?.journal();
    match command {
        Audit::Verify { public_key, anchor } => verify(
            &dir,
            public_key.as_deref(),
            anchor.or_else(|| settings.document.journal.anchor.clone()),
            out,
        ),
        Audit::Tail { follow, lines } => tail(&dir, follow, lines, out),
        Audit::Search(search) => {
            let mut filter = filter(&search.filter)?;
            filter.text = search.text;
            filter.limit = Some(search.limit);
            show(&journal::tail(&dir, &filter).map_err(public)?, out)
        }
        Audit::Export { format, filter: wanted } => export(&dir, format, filter(&wanted)?),
    }
}

fn verify(dir: &Path, public_key: Option<&str>, anchor: Option<PathBuf>, out: Out) -> Result<()> {
    let key = public_key.map(journal::PublicKey::parse).transpose();
    let public_key = key.map_err(|error| exit::usage(error.message().to_owned()))?;
    let options = journal::VerifyOptions { public_key, anchor };
    let bar = output::progress(0, "verifying");
    let report = journal::verify(dir, &options, &mut |done, total| {
        bar.set_length(total);
        bar.set_position(done);
    })
    .map_err(public)?;
    bar.finish_and_clear();
    if out.json {
        out.value(&report)?;
    } else {
        let rows = report.chains.iter().map(|chain| {
            let state = match (chain.problems.is_empty(), chain.live) {
                (false, _) => out.paint(Paint::Bad, "damaged"),
                (true, true) => out.paint(Paint::Good, "ok, in use"),
                (true, false) => out.paint(Paint::Good, "ok"),
            };
            vec![
                chain.node.clone(),
                chain.records.to_string(),
                chain.checkpoints.to_string(),
                chain.uncovered.to_string(),
                chain.last_time.clone().unwrap_or_default(),
                state,
            ]
        });
        let header = ["chain", "records", "checkpoints", "behind last", "newest", "state"];
        out.table(&header, rows.collect(), "There is no chain.")?;
        for problem in report.problems() {
            out.line(out.paint(Paint::Bad, &problem.to_string()))?;
        }
        let source = match report.key.source {
            journal::KeySource::Given => "as given",
            journal::KeySource::PublicFile => "from journal.pub",
            journal::KeySource::Header => "from the journal itself, which proves little; give --public-key",
        };
        out.line(out.paint(Paint::Dim, &format!("public key {} ({source})", report.key.public_key)))?;
    }
    if report.ok { Ok(()) } else { Err(exit::Silent.into()) }
}

fn tail(dir: &Path, follow: bool, lines: usize, out: Out) -> Result<()> {
    let filter = journal::Filter { limit: Some(lines), ..journal::Filter::default() };
    let (entries, mut following) = journal::Follow::start(dir, filter).map_err(public)?;
    if !follow {
        return show(&entries, out);
    }
    let mut fresh = entries;
    loop {
        for entry in &fresh {
            if out.json {
                out.line(serde_json::to_string(entry)?)?
            } else {
                out.line(columns(entry, out).join("  "))?
            }
        }
        std::thread::sleep(LOOK);
        fresh = following.poll().map_err(public)?;
    }
}

fn show(entries: &[journal::Entry], out: Out) -> Result<()> {
    if out.json {
        return Ok(out.value(&entries)?);
    }
    let header = ["time", "caller", "phase", "tool", "outcome", "took", "message"];
    Ok(out.table(&header, entries.iter().map(|entry| columns(entry, out)).collect(), "No record.")?)
}

fn columns(entry: &journal::Entry, out: Out) -> Vec<String> {
    let record = &entry.record;
    let phase = match record.phase {
        Phase::Intent => "intent",
        Phase::Answer => "answer",
        Phase::Event => "event",
    };
    let tool =
        record.server.as_deref().map_or_else(|| record.tool.to_string(), |s| format!("{s} {}", record.tool));
    let outcome = match (record.decision, record.outcome.as_deref()) {
        (Decision::Deny, outcome) => out.paint(Paint::Warn, outcome.unwrap_or("denied")),
        (Decision::Allow, Some("ok")) => out.paint(Paint::Good, "ok"),
        (Decision::Allow, Some(outcome)) => out.paint(Paint::Bad, outcome),
        (Decision::Allow, None) => "-".to_owned(),
    };
    let took = match record.phase {
        Phase::Answer => {
            format!("{:.1} ms", Duration::from_micros(record.duration_us).as_secs_f64() * 1000.0)
        }
        _ => "-".to_owned(),
    };
    let about =
        || record.args.as_ref().filter(|_| record.phase == Phase::Event).and_then(|args| args.as_str());
    let message = record.message.as_deref().or_else(about).unwrap_or_default();
    vec![
        record.time.clone(),
        record.caller_name.to_string(),
        phase.to_owned(),
        tool,
        outcome,
        took,
        message.chars().take(120).collect(),
    ]
}

fn export(dir: &Path, format: Format, filter: journal::Filter) -> Result<()> {
    let format = match format {
        Format::Jsonl => journal::Format::JsonLines,
        Format::Csv => journal::Format::Csv,
    };
    let mut counted = Counted {
        inner: std::io::BufWriter::with_capacity(1 << 16, std::io::stdout().lock()),
        bar: output::spinner("bytes exported"),
        broken: false,
    };
    let count = journal::export(dir, filter, format, &mut counted);
    if counted.broken {
        return Ok(());
    }
    counted.flush()?;
    counted.bar.finish_and_clear();
    eprintln!("{} records", count.map_err(public)?);
    Ok(())
}

// Counts what goes out, for the progress display; remembers that the reader went away.
struct Counted<W> {
    inner: W,
    bar: indicatif::ProgressBar,
    broken: bool,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let result = self.inner.write(bytes);
        match &result {
            Ok(written) => self.bar.inc(*written as u64),
            Err(problem) => self.broken = problem.kind() == std::io::ErrorKind::BrokenPipe,
        }
        result
    }
    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

fn filter(wanted: &Filter) -> Result<journal::Filter> {
    let time = |flag: &str, text: &Option<String>| -> Result<Option<Timestamp>> {
        text.as_deref()
            .map(|text| moment(text, Timestamp::now()).map_err(|why| exit::usage(format!("{flag}: {why}"))))
            .transpose()
    };
    if let Some(outcome) = wanted.outcome.as_deref() {
        known_outcome(outcome)?;
    }
    Ok(journal::Filter {
        decision: wanted.denied.then_some(Decision::Deny),
        since: time("--since", &wanted.since)?,
        until: time("--until", &wanted.until)?,
        caller: wanted.caller.clone(),
        server: wanted.server.clone(),
        tool: wanted.tool.clone(),
        outcome: wanted.outcome.clone(),
        ..journal::Filter::default()
    })
}

fn known_outcome(outcome: &str) -> Result<()> {
    let known: Vec<&str> = std::iter::once("ok").chain(Kind::ALL.map(Kind::label)).collect();
    if known.contains(&outcome) {
        return Ok(());
    }
    let hint = nearest(outcome, known.iter().copied());
    let hint = hint.map_or(String::new(), |word| format!("; did you mean {word:?}?"));
    Err(exit::usage(format!(
        "--outcome: there is no outcome {outcome:?}{hint} (outcomes: {})",
        known.join(", ")
    )))
}

// A time, a date, or an age before `now`.
fn moment(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time);
    }
    if let Ok(date) = text.parse::<jiff::civil::Date>() {
        return date.to_zoned(jiff::tz::TimeZone::UTC).map(|day| day.timestamp()).map_err(|e| e.to_string());
    }
    let age = text.parse::<Span>().map_err(|_| {
        format!("{text:?} is no time; write it like 2026-01-31T08:00:00Z, 2026-01-31 (UTC), or an age: 15m, 24h, 7d")
    })?;
    now.checked_sub(age.0).map_err(|problem| problem.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments() {
        let now: Timestamp = "2026-06-01T12:00:00Z".parse().unwrap();
        for (text, expected) in [
            ("2026-01-31T08:00:00Z", "2026-01-31T08:00:00Z"),
            ("2026-01-31", "2026-01-31T00:00:00Z"),
            ("24h", "2026-05-31T12:00:00Z"),
        ] {
            assert_eq!(moment(text, now).unwrap(), expected.parse::<Timestamp>().unwrap(), "{text}");
        }
        assert!(moment("yesterday", now).unwrap_err().contains("an age: 15m"));
    }
}
