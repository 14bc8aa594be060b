//! What a comparison says: a table of medians, every run as JSON, and whether all answers were right.

use crate::compare::{Cell, Measured};
use crate::load::{Pace, Run};
use anyhow::{Result, ensure};
use serde_json::{Value, json};
use std::time::Duration;

/// The middle one, of an even number the lower; the default of none.
pub fn median<T: PartialOrd + Copy + Default>(values: &[T]) -> T {
    let mut values = values.to_vec();
    values.sort_by(|a, b| a.partial_cmp(b).unwrap_or(std::cmp::Ordering::Equal));
    values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or_default()
}

pub fn micros(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    if micros < 1000.0 { format!("{micros:.0} µs") } else { format!("{:.2} ms", micros / 1000.0) }
}

fn load(cell: &Cell) -> String {
    match cell.pace {
        Pace::Closed => format!("{} connections", cell.connections),
        Pace::Open(rate) => format!("{rate:.0}/s open"),
    }
}

fn size(bytes: usize) -> String {
    if bytes >= 1 << 20 { format!("{} MiB", bytes >> 20) } else { format!("{} KiB", bytes >> 10) }
}

/// One row for each cell and target.
pub fn cells(cells: &[Cell], targets: &[String], all: &[Measured]) {
    println!(
        "\n| era | size | load | target | calls/s | p50 | p99 | CPU per call: proxy | upstream | generator | proxy memory | wrong |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    for cell in cells {
        for target in targets {
            let rows: Vec<&Measured> =
                all.iter().filter(|m| m.cell == *cell && m.target == *target).collect();
            let runs: Vec<&Run> = rows.iter().filter_map(|m| m.result.as_ref().ok()).collect();
            if rows.is_empty() {
                continue;
            }
            let of = |f: &dyn Fn(&Run) -> f64| median(&runs.iter().map(|r| f(r)).collect::<Vec<_>>());
            let time = |share| micros(median(&runs.iter().map(|r| r.latency.at(share)).collect::<Vec<_>>()));
            let cpu = |f: &dyn Fn(&Run) -> Duration| match of(&|r| r.per_call(f(r))) {
                none if none <= 0.0 => "–".to_owned(),
                micros => format!("{micros:.1} µs"),
            };
            let memory = match of(&|r| r.used.through.memory as f64) {
                none if none <= 0.0 => "–".to_owned(),
                bytes => format!("{:.1} MiB", bytes / f64::from(1 << 20)),
            };
            let failed = rows.len() - runs.len();
            let wrong = runs.iter().map(|r| r.errors + r.unsent).sum::<u64>();
            println!(
                "| {} | {} | {} | {target} | {:.0} | {} | {} | {} | {} | {} | {memory} | {wrong}{} |",
                cell.door,
                if target == crate::target::BUILT_IN { "its own".to_owned() } else { size(cell.size) },
                load(cell),
                of(&Run::per_second),
                time(0.5),
                time(0.99),
                cpu(&|r| r.used.through.cpu),
                cpu(&|r| r.used.upstream.cpu),
                cpu(&|r| r.used.generator.cpu),
                if failed > 0 { format!(", {failed} runs failed") } else { String::new() },
            );
        }
    }
    let late: Vec<Duration> = all
        .iter()
        .filter_map(|m| m.result.as_ref().ok())
        .filter(|r| r.late.count() > 0)
        .map(|r| r.late.at(0.99))
        .collect();
    if !late.is_empty() {
        println!(
            "\nopen loop: the generator itself was late by {} at its p99 (median of runs)",
            micros(median(&late))
        );
    }
}

pub fn raw(measured: &Measured) -> Value {
    let cell = &measured.cell;
    let mut page = json!({
        "target": measured.target, "run": measured.run, "door": cell.door, "bytes": cell.size,
        "connections": cell.connections,
        "rate": match cell.pace { Pace::Closed => Value::Null, Pace::Open(rate) => json!(rate) },
    });
    let more = match &measured.result {
        Err(e) => json!({ "failed": format!("{e:#}") }),
        Ok(run) => {
            let usage =
                |u: &crate::process::Usage| json!({ "cpu_us": u.cpu.as_micros() as u64, "memory": u.memory });
            json!({
                "elapsed_us": run.elapsed.as_micros() as u64, "calls": run.latency.count(), "errors": run.errors,
                "unsent": run.unsent, "first_error": run.first_error,
                "proxy": usage(&run.used.through), "upstream": usage(&run.used.upstream),
                "generator": usage(&run.used.generator),
                "latency_ns": run.latency.buckets(), "generator_late_ns": run.late.buckets(),
            })
        }
    };
    if let (Value::Object(page), Value::Object(more)) = (&mut page, more) {
        page.extend(more);
    }
    page
}

/// An error when any answer was not the right one.
pub fn verdict(all: &[Measured]) -> Result<()> {
    let mut wrong = 0;
    for measured in all {
        let name = format!("{}, {}, {}", measured.target, measured.cell.door, load(&measured.cell));
        match &measured.result {
            Err(e) => {
                wrong += 1;
                println!("failed: {name}: {e:#}");
            }
            Ok(run) => {
                wrong += run.errors;
                if let Some(first) = &run.first_error {
                    println!("first error: {name}: {first}");
                }
            }
        }
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
