//! What must be reached, and what was: one row for each figure.

use crate::call::Door;
use crate::compare::Cell;
use crate::load::Pace;
use crate::raw::Raw;
use crate::report::{Runs, median, targets, time};
use crate::sessions;
use crate::target::{BUILT_IN, HTTP, Kind};

struct Row {
    what: &'static str,
    bound: &'static str,
    /// Measured, in words; none: not in this run.
    found: Option<(String, bool)>,
}

pub fn table(raw: &Raw) -> String {
    let mut text = "| | must be | measured | reached |\n|---|---|---|---|\n".to_owned();
    for Row { what, bound, found } in rows(raw) {
        let (found, reached) = match found {
            Some((found, true)) => (found, "yes"),
            Some((found, false)) => (found, "**no**"),
            None => ("not in this run".to_owned(), "–"),
        };
        text.push_str(&format!("| {what} | {bound} | {found} | {reached} |\n"));
    }
    text.push_str(
        "\nThat nothing answered is lost at `kill -9` is a test (docs/journal.md), not a measurement of this run.\n",
    );
    text
}

fn rows(raw: &Raw) -> Vec<Row> {
    let row = |what, bound, found| Row { what, bound, found };
    vec![
        row(
            "built-in read tool, 64 connections, for a minute",
            "25,000 calls/s, p99 under 10 ms, no error",
            sustained(raw),
        ),
        row(
            "CPU of a proxied call (HTTP upstream, 1 KiB) against nginx, worst of eras and connections",
            "at most 2 times",
            nginx(raw),
        ),
        row("the same against the cheapest peer in the same cell", "below every peer", peers(raw, 1.0)),
        row("the same, twentyfold", "at least 20 times below", peers(raw, 20.0)),
        row("added latency at one connection, worst of eras", "p50 60 µs, p99 300 µs", added(raw)),
        row("a connection with its session, idle, worst of both kinds", "at most 30 KB", each(raw)),
        row(
            "idle process",
            "at most 30 MB",
            (raw.idle_bytes > 0).then(|| {
                let mb = raw.idle_bytes as f64 / 1e6;
                (format!("{mb:.1} MB"), mb <= 30.0)
            }),
        ),
        row(
            "start to first answered call, median",
            "at most 50 ms",
            (!raw.start_us.is_empty()).then(|| {
                let us = median(&raw.start_us);
                let worst = raw.start_us.iter().max().copied().unwrap_or_default();
                (
                    format!("{} (worst of {}: {})", time(us * 1000), raw.start_us.len(), time(worst * 1000)),
                    us <= 50_000,
                )
            }),
        ),
        row(
            "`tools/list` over 2,000 tools of 20 upstreams, CPU of a whole list, worst",
            "at most 1 ms",
            lists(raw),
        ),
        row("throughput with the journal against none, calls that read", "at least 80 %", journal(raw)),
    ]
}

fn sustained(raw: &Raw) -> Option<(String, bool)> {
    let row = raw.sustained.as_ref()?;
    let (speed, p99) = (row.per_second(), row.at(0.99));
    let seconds = row.elapsed_us as f64 / 1e6;
    let reached =
        speed >= 25_000.0 && p99 < 10_000_000 && row.errors == 0 && row.failed.is_none() && seconds >= 59.0;
    Some((
        format!("{speed:.0} calls/s for {seconds:.0} s, p99 {}, {} errors", time(p99), row.errors),
        reached,
    ))
}

/// Cells of 1 KiB by closed loop.
pub fn small(raw: &Raw, doors: &[Door]) -> Vec<Cell> {
    let mut connections: Vec<usize> =
        raw.cells.iter().filter(|r| r.rate.is_none()).map(|r| r.connections).collect();
    connections.sort_unstable();
    connections.dedup();
    let cell = |door, connections| Cell { door, size: 1 << 10, pace: Pace::Closed, connections };
    doors.iter().flat_map(|door| connections.iter().map(move |c| cell(*door, *c))).collect()
}

fn cpu(raw: &Raw, cell: &Cell, target: &str) -> Option<f64> {
    Runs::of(raw, cell, target).cpu()
}

fn nginx(raw: &Raw) -> Option<(String, bool)> {
    let cells = small(raw, &[Door::Modern, Door::Legacy]);
    let ratio = |cell: &Cell| Some(cpu(raw, cell, HTTP)? / cpu(raw, cell, "nginx")?);
    let mut all: Vec<f64> = cells.iter().filter_map(ratio).collect();
    all.sort_by(f64::total_cmp);
    let (least, most) = (all.first()?, all.last()?);
    Some((format!("{least:.1} to {most:.1} times, median {:.1} times", median(&all)), *most <= 2.0))
}

// A peer without the cell's era is compared by the door that it has. What wrong answers cost says nothing of right ones.
fn peers(raw: &Raw, least: f64) -> Option<(String, bool)> {
    let mut all: Vec<(f64, String)> = Vec::new();
    let mut left_out = 0;
    for cell in small(raw, &[Door::Modern, Door::Legacy, Door::Rest]) {
        let ours = if cell.door == Door::Rest { Cell { door: Door::Legacy, ..cell } } else { cell };
        let ours = Runs::of(raw, &ours, HTTP);
        let Some(our_cpu) = ours.cpu() else { continue };
        for name in targets(raw).into_iter().filter(|name| raw.settings.contains_key(name)) {
            let theirs = Runs::of(raw, &cell, &name);
            let Some(cpu) = theirs.cpu() else { continue };
            if ours.wrong() + theirs.wrong() > 0 {
                left_out += 1;
            } else {
                all.push((cpu / our_cpu, name));
            }
        }
    }
    let Some((found, name)) = all.iter().min_by(|a, b| a.0.total_cmp(&b.0)) else {
        return (left_out > 0).then(|| (format!("wrong answers in all {left_out} cells"), false));
    };
    let mut text = format!("{found:.1} times below {name}, the cheapest");
    if left_out > 0 {
        text.push_str(&format!("; {left_out} cells with wrong answers left out"));
    }
    Some((text, *found >= least))
}

fn added(raw: &Raw) -> Option<(String, bool)> {
    let ours: Vec<_> = raw.added.iter().filter(|a| a.target == HTTP).collect();
    let p50 = ours.iter().map(|a| median(&a.more50)).max()?;
    let p99 = ours.iter().map(|a| median(&a.more99)).max()?;
    Some((format!("p50 {}, p99 {}", time(p50), time(p99)), p50 <= 60_000 && p99 <= 300_000))
}

fn each(raw: &Raw) -> Option<(String, bool)> {
    let worst = raw.sessions.iter().max_by(|a, b| sessions::each(a).total_cmp(&sessions::each(b)))?;
    let kb = sessions::each(worst) / 1000.0;
    Some((
        format!("{kb:.1} KB of {} connections", worst.connections),
        kb <= 30.0 && worst.connections >= 10_000,
    ))
}

// The seventh column of the table of `lists`, in microseconds.
fn lists(raw: &Raw) -> Option<(String, bool)> {
    let cost = |line: &str| line.split('|').nth(7)?.trim().strip_suffix("µs")?.trim().parse::<f64>().ok();
    let worst = raw.lists.lines().filter_map(cost).max_by(f64::total_cmp)?;
    Some((format!("{worst:.0} µs"), worst <= 1000.0))
}

fn journal(raw: &Raw) -> Option<(String, bool)> {
    let cell = Cell { door: Door::Modern, size: 1 << 10, pace: Pace::Closed, connections: 64 };
    let share = |name: &str| {
        let none = format!("{name}{}", Kind::NoJournal.suffix());
        Some(100.0 * Runs::of(raw, &cell, name).per_second()? / Runs::of(raw, &cell, &none).per_second()?)
    };
    let (built_in, http) = (share(BUILT_IN)?, share(HTTP)?);
    Some((format!("built-in {built_in:.0} %, HTTP upstream {http:.0} %"), built_in.min(http) >= 80.0))
}
