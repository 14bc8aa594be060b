//! The tables of the page. A cell that was not measured is a dash.

use crate::call::Door;
use crate::compare::{Cell, SLOW};
use crate::load::Pace;
use crate::raw::Raw;
use crate::report::{Runs, load, size, targets, time};
use crate::target::{BUILT_IN, CHANGES, HTTP, Kind, STDIO};

const OURS: [&str; 5] = ["direct", "nginx", HTTP, STDIO, BUILT_IN];

// Every cell that a target in `of` was measured in, in the order of their first.
fn cells(raw: &Raw, of: impl Fn(&str) -> bool) -> Vec<Cell> {
    let mut cells: Vec<Cell> = Vec::new();
    for row in raw.cells.iter().filter(|r| of(&r.target)) {
        let pace = row.rate.map_or(Pace::Closed, Pace::Open);
        let cell = Cell { door: row.door, size: row.bytes, pace, connections: row.connections };
        if !cells.contains(&cell) {
            cells.push(cell);
        }
    }
    cells
}

fn ours(raw: &Raw) -> Vec<Cell> {
    let mut cells = cells(raw, |target| OURS.contains(&target));
    cells.retain(|cell| cell.pace != Pace::Open(SLOW));
    cells
}

fn head(raw: &Raw, cell: &Cell) -> String {
    let any = raw.cells.iter().find(|r| {
        (r.door, r.bytes, r.connections) == (cell.door, cell.size, cell.connections)
            && r.rate.map_or(Pace::Closed, Pace::Open) == cell.pace
    });
    format!("| {} | {} | {} |", cell.door, size(cell.size), any.map_or(String::new(), load))
}

// One row for each cell and a column for each target; a row without any cell is left out.
fn grid(
    raw: &Raw,
    cells: &[Cell],
    columns: &[&str],
    one: impl Fn(&Runs<'_>, &Cell) -> Option<String>,
) -> String {
    let mut text = format!(
        "| era | size | load | {} |\n|---|---|---|{}\n",
        columns.join(" | "),
        "---|".repeat(columns.len())
    );
    let mut any = false;
    for cell in cells {
        let values: Vec<Option<String>> =
            columns.iter().map(|target| one(&Runs::of(raw, cell, target), cell)).collect();
        if values.iter().all(Option::is_none) {
            continue;
        }
        any = true;
        let shown: Vec<String> = values.into_iter().map(|v| v.unwrap_or_else(|| "–".to_owned())).collect();
        text.push_str(&format!("{} {} |\n", head(raw, cell), shown.join(" | ")));
    }
    if any { text } else { String::new() }
}

pub fn cpu(raw: &Raw) -> String {
    let text = grid(raw, &ours(raw), &OURS[1..], |runs, _| runs.cpu().map(|micros| format!("{micros:.1}")));
    said(
        text,
        "User and system time of all processes of what stands between, in µs, median of the runs; the kernel counts in steps of 10 ms. All governance on: key, policy, rate limit, journal before the answer, log. The built-in tool has a size of its own.",
    )
}

pub fn speed(raw: &Raw) -> String {
    let text = grid(raw, &ours(raw), &OURS, |runs, cell| {
        let (p50, p99) = (time(runs.at(0.5)?), time(runs.at(0.99)?));
        Some(match cell.pace {
            Pace::Closed => format!("{:.0}/s; {p50}, {p99}", runs.per_second()?),
            Pace::Open(_) => format!("{p50}, {p99}"),
        })
    });
    said(text, "Open: latencies count from when a call was due.")
}

pub fn governance(raw: &Raw) -> String {
    let off = |name: &str| format!("{name}{}", Kind::Plain.suffix());
    let names: Vec<String> = [HTTP, STDIO, BUILT_IN].iter().flat_map(|n| [(*n).to_owned(), off(n)]).collect();
    let columns: Vec<&str> = names.iter().map(String::as_str).collect();
    let cells: Vec<Cell> = cells(raw, |target| target.ends_with(Kind::Plain.suffix()));
    let text = grid(raw, &cells, &columns, |runs, _| {
        Some(format!("{:.0}/s; {:.1} µs", runs.per_second()?, runs.cpu()?))
    });
    said(
        text,
        "Calls a second and CPU per call. Off: no record of calls in the journal (`journal.calls: false`) and no log line for a call (`log.level: error`). What cannot be switched off is on in both: the key is checked, the policy decides, the rate limiter counts.",
    )
}

pub fn journal(raw: &Raw) -> String {
    let mut text = String::new();
    for (name, what) in [
        (BUILT_IN, "built-in tool that reads"),
        (HTTP, "proxied tool that reads"),
        (CHANGES, "proxied tool that changes something: intent and answer on disk (fsync) before the answer"),
    ] {
        let none = format!("{name}{}", Kind::NoJournal.suffix());
        for cell in cells(raw, |target| target == none) {
            let (with, without) = (Runs::of(raw, &cell, name), Runs::of(raw, &cell, &none));
            let (Some(a), Some(b)) = (with.per_second(), without.per_second()) else { continue };
            let micros = |runs: &Runs<'_>| runs.cpu().map_or("–".to_owned(), |m| format!("{m:.1} µs"));
            text.push_str(&format!(
                "| {what} | {a:.0}/s | {b:.0}/s | {:.0} % | {} | {} |\n",
                100.0 * a / b,
                micros(&with),
                micros(&without)
            ));
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "| 64 connections, modern, 1 KiB | journal | none | throughput left | CPU per call with | without |\n|---|---|---|---|---|---|\n{text}"
    )
}

pub fn peers(raw: &Raw) -> String {
    if raw.settings.is_empty() && raw.absent.is_empty() {
        return String::new();
    }
    let mut text = "| | era | 1 KiB, 1 connection | 8 | 64 | 16 KiB, 8 | 1 MiB, 1 | most memory | wrong, failed, never sent |\n|---|---|---|---|---|---|---|---|---|\n".to_owned();
    let columns = [(1 << 10, 1), (1 << 10, 8), (1 << 10, 64), (16 << 10, 8), (1 << 20, 1)];
    let names = targets(raw);
    let ours = ["nginx", HTTP, STDIO].map(str::to_owned);
    let others = names.iter().filter(|name| raw.settings.contains_key(*name)).cloned();
    for name in ours.into_iter().chain(others) {
        for door in [Door::Modern, Door::Legacy, Door::Rest] {
            let one = |(size, connections)| Cell { door, size, pace: Pace::Closed, connections };
            let runs = columns.map(|column| Runs::of(raw, &one(column), &name));
            if runs.iter().all(|r| r.0.is_empty()) {
                continue;
            }
            let shown = runs.iter().map(|r| match (r.cpu(), r.per_second(), r.at(0.5)) {
                (Some(cpu), Some(speed), Some(p50)) => {
                    format!("{}; {speed:.0}/s; {}", time((cpu * 1e3) as u64), time(p50))
                }
                _ => "–".to_owned(),
            });
            let shown: Vec<String> = shown.collect();
            let memory = runs.iter().filter_map(Runs::memory).max();
            text.push_str(&format!(
                "| {name} | {door} | {} | {} | {} |\n",
                shown.join(" | "),
                memory.map_or("–".to_owned(), |bytes| format!("{:.0} MiB", crate::mib(bytes))),
                runs.iter().map(|r| r.wrong() + r.failed() as u64).sum::<u64>(),
            ));
        }
    }
    text.push_str("\nCPU per call; calls a second; p50. Governance of ours is on; of peers what their column below says.\n\n| peer | how it was set up |\n|---|---|\n");
    for (name, settings) in &raw.settings {
        text.push_str(&format!("| {name} | {settings} |\n"));
    }
    for (name, why) in &raw.absent {
        text.push_str(&format!("| {name} | not measured: {} |\n", why.replace(['|', '\n'], " ")));
    }
    text
}

pub fn memory(raw: &Raw) -> String {
    let mut text = String::new();
    for bytes in [1 << 10, 16 << 10, 1 << 20] {
        for connections in [1, 64, 256] {
            let of = |target: &str| {
                let rows = raw.cells.iter().filter(|r| {
                    r.target == target && (r.bytes, r.connections) == (bytes, connections) && r.rate.is_none()
                });
                rows.map(|r| r.proxy.1).max().filter(|bytes| *bytes > 0)
            };
            let shown = ["nginx", HTTP]
                .map(|t| of(t).map_or("–".to_owned(), |b| format!("{:.1} MiB", crate::mib(b))));
            if shown.iter().any(|s| s != "–") {
                text.push_str(&format!("| {} | {connections} | {} |\n", size(bytes), shown.join(" | ")));
            }
        }
    }
    if text.is_empty() {
        return text;
    }
    format!(
        "| size | connections | nginx | gateway |\n|---|---|---|---|\n{text}\nMost resident bytes of all processes in any run of the cell, added up (what they share counts for each). The gateway serves the pipes of other cells beside it, with a guard process for each, and keeps memory of larger cells before.\n"
    )
}

fn said(text: String, more: &str) -> String {
    if text.is_empty() { text } else { format!("{more}\n\n{text}") }
}
