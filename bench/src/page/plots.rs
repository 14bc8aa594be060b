//! Which plots there are, and of what.

use super::chart::{self, Series};
use super::goals::small;
use crate::call::Door;
use crate::compare::{Cell, SLOW};
use crate::load::Pace;
use crate::raw::{Raw, SHARES};
use crate::report::{Runs, targets};
use crate::target::{BUILT_IN, HTTP, STDIO};

/// Name and text of each; one that has nothing to show is left out.
pub fn all(raw: &Raw) -> Vec<(&'static str, String)> {
    let all = [
        ("cpu.svg", cpu(raw)),
        ("latency.svg", latency(raw, None)),
        ("latency-peers.svg", latency(raw, Some(SLOW))),
        ("throughput.svg", throughput(raw)),
    ];
    all.into_iter().filter_map(|(name, svg)| Some((name, svg?))).collect()
}

// Ours, and peers; in the order of the run.
fn shown(raw: &Raw) -> Vec<String> {
    let is = |name: &String| {
        ["direct", "nginx", HTTP, STDIO, BUILT_IN].contains(&name.as_str()) || raw.settings.contains_key(name)
    };
    targets(raw).into_iter().filter(is).collect()
}

// Of the legacy era, which nearly all speak; of REST where a peer has only that.
fn doors(raw: &Raw, target: &str) -> &'static [Door] {
    if raw.settings.contains_key(target) { &[Door::Legacy, Door::Rest] } else { &[Door::Legacy] }
}

fn cpu(raw: &Raw) -> Option<String> {
    let mut rows: Vec<(String, f64)> = Vec::new();
    for target in shown(raw) {
        let cells = small(raw, doors(raw, &target));
        let best = cells.iter().filter(|c| c.connections == 8 || c.connections == 64);
        let least = best.filter_map(|cell| Runs::of(raw, cell, &target).cpu()).min_by(f64::total_cmp);
        rows.extend(least.map(|micros| (target, micros)));
    }
    rows.sort_by(|a, b| a.1.total_cmp(&b.1));
    (!rows.is_empty()).then(|| {
        chart::dots(
            "CPU per call of what stands between, 1 KiB",
            "µs, logarithmic; the better of 8 and 64 connections; legacy sessions",
            &rows,
        )
    })
}

fn latency(raw: &Raw, rate: Option<f64>) -> Option<String> {
    let names = ["p50", "p75", "p90", "p95", "p99", "p99.5", "p99.9"];
    let mut series = Vec::new();
    let mut pace = 0.0;
    for target in shown(raw) {
        let row = raw.cells.iter().find(|r| {
            r.target == target
                && r.bytes == 1 << 10
                && doors(raw, &target).contains(&r.door)
                && match rate {
                    None => r.rate.is_some_and(|r| r > SLOW),
                    Some(_) => r.rate == rate,
                }
        });
        let Some(row) = row else { continue };
        pace = row.rate.unwrap_or_default();
        let cell =
            Cell { door: row.door, size: row.bytes, pace: Pace::Open(pace), connections: row.connections };
        let runs = Runs::of(raw, &cell, &target);
        let points = SHARES.iter().take(names.len()).enumerate();
        let points: Vec<(usize, f64)> =
            points.filter_map(|(i, share)| Some((i, runs.at(*share)? as f64 / 1e3))).collect();
        if !points.is_empty() {
            series.push(Series { name: target, points });
        }
    }
    (!series.is_empty()).then(|| {
        let title = format!("Latency at {pace:.0} calls/s, 1 KiB, from when a call was due");
        chart::lines(&title, "µs, logarithmic; legacy sessions; median of the runs", &names, &series)
    })
}

fn throughput(raw: &Raw) -> Option<String> {
    let connections: Vec<usize> = small(raw, &[Door::Legacy]).iter().map(|cell| cell.connections).collect();
    let mut series = Vec::new();
    for target in shown(raw) {
        let mut points = Vec::new();
        for cell in small(raw, doors(raw, &target)) {
            let at = connections.iter().position(|c| *c == cell.connections);
            let speed = Runs::of(raw, &cell, &target).per_second();
            points.extend(at.zip(speed));
        }
        if !points.is_empty() {
            series.push(Series { name: target, points });
        }
    }
    let names: Vec<String> = connections.iter().map(ToString::to_string).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    (!series.is_empty() && names.len() > 1).then(|| {
        chart::lines(
            "Calls a second by connections, closed loop, 1 KiB",
            "calls/s, logarithmic; legacy sessions",
            &names,
            &series,
        )
    })
}
