//! What a comparison says on the terminal: a table of medians, and whether all answers were right.

use crate::compare::{Cell, peer_cells};
use crate::load::Pace;
use crate::raw::{CellRun, Raw};
use anyhow::{Result, ensure};

/// The middle one, of an even number the lower; the default of none.
pub fn median<T: PartialOrd + Copy + Default>(values: &[T]) -> T {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

/// Nanoseconds for people.
pub fn time(nanos: u64) -> String {
    let micros = nanos as f64 / 1e3;
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.2} ms", micros / 1000.0) }
}

pub fn load(row: &CellRun) -> String {
    match row.rate {
        None => format!("{} connections", row.connections),
        Some(rate) => format!("{rate:.0}/s open"),
    }
}

pub fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// The runs of one cell on one target.
pub struct Runs<'a>(pub Vec<&'a CellRun>);

impl<'a> Runs<'a> {
    pub fn of(raw: &'a Raw, cell: &Cell, target: &str) -> Self {
        let rate = match cell.pace {
            Pace::Closed => None,
            Pace::Open(rate) => Some(rate),
        };
        let fits = |r: &&CellRun| {
            r.target == target
                && (r.door, r.bytes, r.connections, r.rate) == (cell.door, cell.size, cell.connections, rate)
        };
        Self(raw.cells.iter().filter(fits).collect())
    }

    /// Those that came to their end.
    fn whole(&self) -> impl Iterator<Item = &&CellRun> {
        self.0.iter().filter(|r| r.failed.is_none())
    }

    /// None when no run came to its end.
    pub fn median(&self, of: impl Fn(&CellRun) -> f64) -> Option<f64> {
        let all: Vec<f64> = self.whole().map(|r| of(r)).collect();
        (!all.is_empty()).then(|| median(&all))
    }

    /// Median over the runs of a percentile, in nanoseconds.
    pub fn at(&self, share: f64) -> Option<u64> {
        self.median(|r| r.at(share) as f64).map(|nanos| nanos as u64)
    }

    pub fn per_second(&self) -> Option<f64> {
        self.median(CellRun::per_second)
    }

    /// CPU of what stands between, in microseconds a call.
    pub fn cpu(&self) -> Option<f64> {
        self.median(|r| r.per_call(r.proxy)).filter(|micros| *micros > 0.0)
    }

    /// Most resident bytes of what stands between.
    pub fn memory(&self) -> Option<u64> {
        self.whole().map(|r| r.proxy.1).max().filter(|bytes| *bytes > 0)
    }

    pub fn wrong(&self) -> u64 {
        self.0.iter().map(|r| r.errors + r.unsent).sum()
    }

    pub fn failed(&self) -> usize {
        self.0.iter().filter(|r| r.failed.is_some()).count()
    }
}

/// Every target that has a run, in the order of their first.
pub fn targets(raw: &Raw) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for row in &raw.cells {
        if !names.contains(&row.target) {
            names.push(row.target.clone());
        }
    }
    names
}

/// One row for each cell and target.
pub fn cells(cells: &[Cell], raw: &Raw) {
    println!(
        "\n| era | size | load | target | calls/s | p50 | p99 | CPU per call: proxy | upstream | generator | proxy memory | wrong |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut cells = cells.to_vec();
    if !raw.settings.is_empty() {
        let options =
            crate::compare::Options { sizes: vec![1 << 10, 16 << 10, 1 << 20], ..Default::default() };
        cells.extend(peer_cells(&options).into_iter().filter(|c| !cells.contains(c)).collect::<Vec<_>>());
    }
    for cell in &cells {
        for target in targets(raw) {
            let runs = Runs::of(raw, cell, &target);
            let Some(first) = runs.0.first() else { continue };
            let micros = |of: Option<f64>| match of {
                Some(micros) if micros > 0.0 => format!("{micros:.1} µs"),
                _ => "–".to_owned(),
            };
            let failed = runs.failed();
            println!(
                "| {} | {} | {} | {target} | {:.0} | {} | {} | {} | {} | {} | {} | {}{} |",
                cell.door,
                if target.starts_with(crate::target::BUILT_IN) {
                    "its own".to_owned()
                } else {
                    size(cell.size)
                },
                load(first),
                runs.per_second().unwrap_or_default(),
                time(runs.at(0.5).unwrap_or_default()),
                time(runs.at(0.99).unwrap_or_default()),
                micros(runs.cpu()),
                micros(runs.median(|r| r.per_call(r.upstream))),
                micros(runs.median(|r| r.per_call(r.generator))),
                runs.memory().map_or("–".to_owned(), |bytes| format!("{:.1} MiB", crate::mib(bytes))),
                runs.wrong(),
                if failed > 0 { format!(", {failed} runs failed") } else { String::new() },
            );
        }
    }
    let late: Vec<u64> = raw.cells.iter().map(|r| r.late_p99).filter(|late| *late > 0).collect();
    if !late.is_empty() {
        println!(
            "\nopen loop: the generator itself was late by {} at its p99 (median of runs)",
            time(median(&late))
        );
    }
}

/// An error when any answer was not the right one. Those of peers are said, but are not ours to answer for.
pub fn verdict(raw: &Raw) -> Result<()> {
    let mut wrong = 0;
    for row in raw.cells.iter().chain(&raw.sustained) {
        let why = row.failed.as_ref().or(row.first_error.as_ref());
        if let Some(why) = why {
            println!("failed: {}, {}, {}, {}: {why}", row.target, row.door, size(row.bytes), load(row));
        }
        if !raw.settings.contains_key(&row.target) {
            wrong += row.errors + u64::from(row.failed.is_some());
        }
    }
    for (name, why) in &raw.absent {
        println!("not measured: {name}: {why}");
    }
    ensure!(wrong == 0, "{wrong} answers were not the right one");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4, 1, 2, 3]), 2);
        assert_eq!(median::<u8>(&[]), 0);
    }
}
