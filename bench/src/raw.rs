//! Everything that one run measured, as it is kept: `page` makes the report of it and of nothing else.
//!
//! Latencies are kept as the percentiles of `SHARES` for each run; the whole histogram too where `--out` asks for it.

use crate::call::Door;
use crate::compare::{Cell, Measured};
use crate::load::Pace;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The percentiles that are kept of every run.
pub const SHARES: [f64; 8] = [0.5, 0.75, 0.9, 0.95, 0.99, 0.995, 0.999, 1.0];

#[derive(Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Raw {
    pub at: String,
    pub command: String,
    pub machine: Machine,
    /// Of everything that was measured, by name.
    pub versions: BTreeMap<String, String>,
    /// How peers were set up and why; why one was not measured.
    pub settings: BTreeMap<String, String>,
    pub absent: BTreeMap<String, String>,
    /// Length of a closed loop, and runs of each cell.
    pub seconds: f64,
    pub runs: usize,
    /// From starting the process to the first answered call, each time.
    pub start_us: Vec<u64>,
    pub idle_bytes: u64,
    pub cells: Vec<CellRun>,
    pub added: Vec<Added>,
    /// The built-in tool for a minute or so.
    pub sustained: Option<CellRun>,
    pub sessions: Vec<Sessions>,
    /// The table of what `tools/list` over many upstreams costs.
    pub lists: String,
    /// Instructions and allocations of a call, by kind of call.
    pub counts: BTreeMap<String, Counts>,
    /// What journals said when they were verified after the load.
    pub journals: Vec<String>,
    /// Rows that a later run measured again: when, and by what command.
    pub again: Vec<String>,
}

impl Raw {
    /// Take the rows of a later run in place of the same ones here, with all their targets and runs.
    pub fn replace(&mut self, later: Raw) {
        let row = |cell: &CellRun| (cell.door, cell.bytes, cell.connections, cell.rate.map(f64::to_bits));
        let rows: Vec<_> = later.cells.iter().map(row).collect();
        self.cells.retain(|cell| !rows.contains(&row(cell)));
        self.cells.extend(later.cells);
        self.journals.extend(later.journals);
        self.again.push(format!("`{}` at {}", later.command, later.at));
    }
}

#[derive(Serialize, Deserialize, Default)]
pub struct Machine {
    pub cores: usize,
    pub model: String,
    pub kernel: String,
    pub memory: u64,
    /// Load averages before and after.
    pub load_before: String,
    pub load_after: String,
}

/// One run of one cell on one target.
#[derive(Serialize, Deserialize, Clone, Default)]
#[serde(default)]
pub struct CellRun {
    pub target: String,
    pub door: Door,
    pub bytes: usize,
    pub connections: usize,
    /// Calls a second of an open loop.
    pub rate: Option<f64>,
    pub run: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<String>,
    pub elapsed_us: u64,
    pub calls: u64,
    pub errors: u64,
    pub unsent: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_error: Option<String>,
    /// CPU in microseconds and resident bytes.
    pub proxy: (u64, u64),
    pub upstream: (u64, u64),
    pub generator: (u64, u64),
    /// Nanoseconds at `SHARES`.
    pub latency: Vec<u64>,
    /// Open loop: how late the generator was at its p99.
    pub late_p99: u64,
    /// Upper bound in nanoseconds and count of each bucket.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<(u64, u64)>,
}

impl CellRun {
    pub fn per_second(&self) -> f64 {
        self.calls as f64 * 1e6 / self.elapsed_us.max(1) as f64
    }

    /// Microseconds of a CPU time for each call.
    pub fn per_call(&self, used: (u64, u64)) -> f64 {
        used.0 as f64 / self.calls.max(1) as f64
    }

    /// Nanoseconds at one of `SHARES`.
    pub fn at(&self, share: f64) -> u64 {
        let place = SHARES.iter().position(|s| *s == share);
        place.and_then(|i| self.latency.get(i)).copied().unwrap_or_default()
    }

    pub fn of(measured: &Measured) -> Self {
        let Cell { door, size, pace, connections } = measured.cell;
        let rate = match pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate),
        };
        let mut row = Self {
            target: measured.target.clone(),
            door,
            bytes: size,
            connections,
            rate,
            run: measured.run,
            ..Self::default()
        };
        match &measured.result {
            Err(e) => row.failed = Some(format!("{e:#}")),
            Ok(run) => {
                let used = |u: &crate::process::Usage| (u.cpu.as_micros() as u64, u.memory);
                row.elapsed_us = run.elapsed.as_micros() as u64;
                row.calls = run.latency.count();
                row.errors = run.errors;
                row.unsent = run.unsent;
                row.first_error = run.first_error.clone();
                row.proxy = used(&run.used.through);
                row.upstream = used(&run.used.upstream);
                row.generator = used(&run.used.generator);
                row.latency = SHARES.iter().map(|s| run.latency.at(*s).as_nanos() as u64).collect();
                row.late_p99 = run.late.at(0.99).as_nanos() as u64;
                row.histogram = run.latency.buckets();
            }
        }
        row
    }
}

/// Latency of one caller at one connection, of each run, in nanoseconds; and what is more than direct in the same run.
#[derive(Serialize, Deserialize, Clone)]
pub struct Added {
    pub target: String,
    pub door: Door,
    pub p50: Vec<u64>,
    pub p99: Vec<u64>,
    pub more50: Vec<u64>,
    pub more99: Vec<u64>,
}

/// Connections with a session each, idle.
#[derive(Serialize, Deserialize, Clone)]
pub struct Sessions {
    pub connections: usize,
    /// Whether each has its session's own stream open.
    pub streams: bool,
    /// Resident bytes of the gateway.
    pub before: u64,
    pub open: u64,
    pub after: u64,
}

/// Of one call.
#[derive(Serialize, Deserialize, Clone, Copy, Default)]
pub struct Counts {
    pub instructions: f64,
    /// Nothing where the build does not let them be told apart.
    pub allocations: Option<f64>,
}

/// Of this machine, now.
pub fn machine() -> Machine {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let after = |text: &str, name: &str| {
        text.lines().find_map(|l| l.strip_prefix(name).map(str::to_owned)).unwrap_or_default()
    };
    let memory = after(&read("/proc/meminfo"), "MemTotal:");
    Machine {
        cores: std::thread::available_parallelism().map_or(0, usize::from),
        model: after(&read("/proc/cpuinfo"), "model name").trim_start_matches(['\t', ':', ' ']).to_owned(),
        kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
        memory: memory.split_whitespace().next().and_then(|k| k.parse::<u64>().ok()).unwrap_or(0) << 10,
        load_before: load_average(),
        load_after: String::new(),
    }
}

/// Of the last minute, five and fifteen.
pub fn load_average() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_a_later_run_take_the_place_of_the_same_ones() {
        let cell = |target: &str, connections, calls| CellRun {
            target: target.into(),
            connections,
            calls,
            ..CellRun::default()
        };
        let mut raw =
            Raw { cells: vec![cell("a", 1, 1), cell("a", 8, 2), cell("b", 8, 3)], ..Raw::default() };
        let later =
            Raw { cells: vec![cell("a", 8, 4)], command: "x".into(), at: "now".into(), ..Raw::default() };
        raw.replace(later);
        let left: Vec<u64> = raw.cells.iter().map(|cell| cell.calls).collect();
        assert_eq!(
            (left, raw.again),
            (vec![1, 4], vec!["`x` at now".to_owned()]),
            "a row goes with all its targets"
        );
    }
}
