//! The report of a run, `docs/performance.md`, and its plots: made from `raw.json` and from nothing else.
//!
//! Called by `main`, after a run or for a file of an earlier one. Every figure in it is one of the run; what a figure must
//! reach is in `goals`.

mod chart;
mod goals;
mod plots;
mod tables;

use crate::raw::Raw;
use crate::report::time;
use crate::{added, counts, sessions};
use anyhow::{Context, Result};
use std::path::Path;

/// Write the page to `path`, plots and raw data to the folder of the same name beside it.
pub fn write(raw: &mut Raw, path: &Path) -> Result<()> {
    let folder = path.with_extension("");
    std::fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
    let put =
        |file: &Path, text: &str| std::fs::write(file, text).with_context(|| file.display().to_string());
    for (name, svg) in plots::all(raw) {
        put(&folder.join(name), &svg)?;
    }
    // Percentiles of every run are kept; whole histograms would be megabytes.
    raw.cells.iter_mut().for_each(|row| row.histogram.clear());
    let rows: Vec<String> = raw.cells.iter().map(serde_json::to_string).collect::<Result<_, _>>()?;
    let cells = std::mem::take(&mut raw.cells);
    let mut rest = serde_json::to_value(&*raw)?;
    raw.cells = cells;
    if let Some(rest) = rest.as_object_mut() {
        rest.remove("cells");
    }
    // A line for each run, so that two files can be compared.
    let head = serde_json::to_string_pretty(&rest)?;
    let head = head.trim_end().trim_end_matches('}').trim_end();
    put(&folder.join("raw.json"), &format!("{head},\n  \"cells\": [\n{}\n  ]\n}}\n", rows.join(",\n")))?;
    put(path, &text(raw))
}

/// The page.
pub fn text(raw: &Raw) -> String {
    let mut page = Page::default();
    page.line("# Performance");
    page.line("");
    page.line("Written by `make bench ARGS=--full`; not edited. How it is measured: bench/README.md. Every answer was checked; wrong ones are counted.");
    page.line("Generator, gateway and upstream share the machine, so calls/s are floors; only what stands in one run compares.");
    page.line("");
    machine(raw, &mut page);
    page.part("What it must reach", &goals::table(raw));
    if !raw.cells.is_empty() {
        page.plot(raw, "cpu.svg", "CPU of what stands between caller and tool, per call");
        page.plot(raw, "latency.svg", "Latency at a constant rate");
        page.plot(raw, "latency-peers.svg", "Latency at a rate that every peer is asked to keep up with");
        page.plot(raw, "throughput.svg", "Calls a second by connections");
    }
    page.part("Peers", &tables::peers(raw));
    page.part("CPU per call", &tables::cpu(raw));
    page.part("Calls a second; p50, p99", &tables::speed(raw));
    page.part("All governance, and none", &tables::governance(raw));
    page.part("What the journal costs", &tables::journal(raw));
    if !raw.added.is_empty() {
        page.part("Added latency at one connection", &added::table(&raw.added));
    }
    page.part("Memory", &tables::memory(raw));
    if !raw.sessions.is_empty() {
        page.part("Connections with sessions", &sessions::print(&raw.sessions));
        page.line("A session is of MCP 2025-11-25, with its connection kept. \"Session's own stream\": the `GET` of Streamable HTTP, open on that connection.");
    }
    if !raw.lists.is_empty() {
        page.part("tools/list over 2,000 tools of 20 upstreams", &raw.lists);
    }
    if !raw.counts.is_empty() {
        page.part("Instructions of a call", &counts::print(&raw.counts));
        page.line("Under callgrind, one worker. CI holds the same counts, and those of allocations, of the unoptimised build below bench/bounds.toml.");
    }
    page.text
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    // Nothing when there is no body.
    fn part(&mut self, title: &str, body: &str) {
        if !body.is_empty() {
            self.line(&format!("\n## {title}\n\n{}", body.trim_end()));
        }
    }

    fn plot(&mut self, raw: &Raw, name: &str, title: &str) {
        if plots::all(raw).iter().any(|(n, _)| *n == name) {
            self.line(&format!("\n![{title}](performance/{name})"));
        }
    }
}

fn machine(raw: &Raw, page: &mut Page) {
    let m = &raw.machine;
    page.line("| | |\n|---|---|");
    let mut row = |name: &str, value: String| page.line(&format!("| {name} | {value} |"));
    row("date", raw.at.clone());
    row(
        "machine",
        format!(
            "{} cores of {}, {:.0} GiB, Linux {}",
            m.cores,
            m.model,
            crate::mib(m.memory) / 1024.0,
            m.kernel
        ),
    );
    row("load average before, after (1, 5, 15 minutes)", format!("{}; {}", m.load_before, m.load_after));
    row("command", format!("`{}`", raw.command));
    raw.again.iter().for_each(|again| row("its rows measured again", again.clone()));
    row("runs of each cell, length of a closed loop", format!("{}, {} s", raw.runs, raw.seconds));
    for (name, version) in &raw.versions {
        row(name, version.clone());
    }
    let all = || raw.cells.iter().chain(&raw.sustained);
    let calls: u64 = all().map(|r| r.calls).sum();
    let ours = |r: &&crate::raw::CellRun| !raw.settings.contains_key(&r.target);
    let wrong: u64 = all().filter(ours).map(|r| r.errors).sum();
    row("calls, wrong answers of all but peers", format!("{calls}, {wrong}"));
    let late: Vec<u64> = raw.cells.iter().map(|r| r.late_p99).filter(|late| *late > 0).collect();
    if !late.is_empty() {
        row("open loop: the generator's own lateness, p99", time(crate::report::median(&late)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::call::Door;
    use crate::raw::{CellRun, SHARES};

    fn row(target: &str, door: Door, connections: usize, rate: Option<f64>, cpu: u64) -> CellRun {
        CellRun {
            target: target.into(),
            door,
            bytes: 1 << 10,
            connections,
            rate,
            elapsed_us: 1_000_000,
            calls: 1000,
            proxy: (cpu, 1 << 20),
            latency: SHARES.iter().map(|s| (s * 1e6) as u64).collect(),
            ..CellRun::default()
        }
    }

    #[test]
    fn a_page_says_what_was_reached_and_raw_data_make_the_same_page_again() {
        let mut raw = Raw { start_us: vec![40_000; 11], idle_bytes: 20 << 20, ..Raw::default() };
        for door in [Door::Modern, Door::Legacy] {
            for connections in [1, 64] {
                raw.cells.push(row("direct", door, connections, None, 0));
                raw.cells.push(row("nginx", door, connections, None, 20_000));
                raw.cells.push(row(crate::target::HTTP, door, connections, None, 50_000));
                raw.cells.push(row("other", door, connections, None, 4_000_000));
                let quick = row("quick to say no", door, connections, None, 10_000);
                raw.cells.push(CellRun { errors: 990, ..quick });
            }
            raw.cells.push(row(crate::target::HTTP, door, 64, Some(2000.0), 50_000));
        }
        raw.settings.insert("other".into(), "as it comes".into());
        raw.settings.insert("quick to say no".into(), "as it comes".into());
        let sustained = row(crate::target::BUILT_IN, Door::Modern, 64, None, 10_000);
        raw.sustained = Some(CellRun { errors: 7, ..sustained });
        raw.absent.insert("third".into(), "it has no HTTP".into());
        let page = text(&raw);
        for words in [
            "2.5 times",
            "**no**",
            "80.0 times below other, the cheapest; 4 cells with wrong answers left out | yes",
            "of all but peers | 23000, 7 |",
            "it has no HTTP",
            "start to first answered call",
        ] {
            assert!(page.contains(words), "{words}\n{page}");
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("performance.md");
        write(&mut raw, &file).unwrap();
        let kept = std::fs::read(folder.path().join("performance/raw.json")).unwrap();
        assert_eq!(text(&serde_json::from_slice(&kept).unwrap()), std::fs::read_to_string(&file).unwrap());
        let svg = std::fs::read_to_string(folder.path().join("performance/cpu.svg")).unwrap();
        assert!(
            svg.starts_with("<svg")
                && svg.contains("prefers-color-scheme: dark")
                && svg.ends_with("</svg>\n")
        );
    }
}
