//! The proxied call: the upstream direct, behind nginx, behind the gateway and behind peers, all in one run.
//!
//! Every cell (era, size, load) is measured on every target before the next cell, and the whole again for every run, the
//! targets in another order each time; the table gives medians over the runs, the file every run by itself.

use crate::call::Door;
use crate::gateway::Gateway;
use crate::load::{Pace, Plan, Run};
use crate::nginx::Nginx;
use crate::target::{Target, Upstream};
use crate::{added, load, peers, report, target};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::time::Duration;

/// What to measure.
pub struct Options {
    pub binary: PathBuf,
    pub seconds: f64,
    pub runs: usize,
    pub sizes: Vec<usize>,
    pub connections: Vec<usize>,
    pub doors: Vec<Door>,
    /// Only targets whose name contains one of these; all when empty.
    pub targets: Vec<String>,
    pub peers: Option<PathBuf>,
    /// Where the upstream of the run listens; default a free port.
    pub upstream: Option<String>,
    pub out: Option<PathBuf>,
    /// Calls a second of the open loop, for the smallest size; none: no open loop.
    pub rate: Option<f64>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            binary: PathBuf::from("target/release/toolgate"),
            seconds: 2.0,
            runs: 5,
            sizes: vec![1 << 10],
            connections: vec![1, 64],
            doors: vec![Door::Modern, Door::Legacy],
            targets: Vec::new(),
            peers: None,
            upstream: None,
            out: None,
            rate: Some(2000.0),
        }
    }
}

#[derive(Clone, Copy, PartialEq)]
pub struct Cell {
    pub door: Door,
    pub size: usize,
    pub pace: Pace,
    pub connections: usize,
}

pub struct Measured {
    pub target: String,
    pub cell: Cell,
    pub run: usize,
    pub result: Result<Run>,
}

// Of the open loop.
const OPEN_CONNECTIONS: usize = 64;
// Calls that are started before anything is measured, so that every path has been taken.
const TRIES: Duration = Duration::from_secs(20);

pub fn run(options: &Options) -> Result<()> {
    let upstream = Upstream::start(options.upstream.as_deref())?;
    let nginx = Nginx::start(&upstream.address)?;
    let wanted = |name: &str| {
        options.targets.is_empty() || options.targets.iter().any(|part| name.contains(part.as_str()))
    };
    let settings = if wanted(target::HTTP) || wanted(target::STDIO) {
        target::gateway_settings(&upstream, &std::env::current_exe()?)
    } else {
        String::new()
    };
    let gateway = runtime()?.block_on(Gateway::start(&options.binary, &settings))?;
    let mut targets = vec![upstream.target()];
    targets.extend(nginx.as_ref().map(target::nginx));
    targets.extend(target::gateway(&gateway));
    if let Some(path) = &options.peers {
        targets.extend(peers::read(path)?);
    }
    targets.retain(|t| wanted(&t.name));
    for target in &targets {
        wait_until_right(target, options, &upstream)?;
    }

    let nginx_version = nginx.as_ref().map_or("not installed, not measured", |n| &n.version);
    println!(
        "proxied calls: {} runs of {} s for each cell; nginx: {nginx_version}; every answer checked; the machine's cores \
         are shared by generator, proxy and upstream",
        options.runs, options.seconds
    );
    let cells = cells(options);
    let mut all = Vec::new();
    for round in 0..options.runs {
        for cell in &cells {
            for i in 0..targets.len() {
                let target = &targets[(i + round) % targets.len()];
                if let Some(plan) = plan(target, cell, options, &upstream) {
                    let result = load::run(&plan);
                    all.push(Measured { target: target.name.clone(), cell: *cell, run: round, result });
                }
            }
        }
    }
    let names: Vec<String> = targets.iter().map(|t| t.name.clone()).collect();
    report::cells(&cells, &names, &all);
    let added = added::measure(&targets, &options.doors, options.sizes[0], options.runs)?;
    added::print(&added, options.sizes[0]);

    if let Some(path) = &options.out {
        let page = json!({
            "at": jiff::Timestamp::now().to_string(),
            "machine": crate::machine(),
            "command": std::env::args().collect::<Vec<_>>(),
            "nginx": nginx_version,
            "cells": all.iter().map(report::raw).collect::<Vec<Value>>(),
            "added": added.iter().map(added::raw).collect::<Vec<Value>>(),
        });
        std::fs::write(path, serde_json::to_vec(&page)?).with_context(|| path.display().to_string())?;
    }
    println!("journal: {}", runtime()?.block_on(gateway.stop_and_verify())?);
    report::verdict(&all)
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

fn cells(options: &Options) -> Vec<Cell> {
    let mut cells = Vec::new();
    for &door in &options.doors {
        for &size in &options.sizes {
            for &connections in &options.connections {
                cells.push(Cell { door, size, pace: Pace::Closed, connections });
            }
            if let Some(rate) = options.rate {
                // Larger texts come less often: a quarter as often for 16 times the size.
                let rate = rate / (size as f64 / 1024.0).max(1.0).sqrt();
                cells.push(Cell {
                    door,
                    size,
                    pace: Pace::Open(rate.round()),
                    connections: OPEN_CONNECTIONS,
                });
            }
        }
    }
    cells
}

fn plan(target: &Target, cell: &Cell, options: &Options, upstream: &Upstream) -> Option<Plan> {
    let tool = target.tool(cell.door)?;
    // A built-in tool has one size.
    if matches!(tool, crate::call::Tool::EnvVar) && cell.size != options.sizes[0] {
        return None;
    }
    let length = Duration::from_secs_f64(options.seconds);
    Some(Plan {
        place: target.place.clone(),
        door: cell.door,
        tool: tool.clone(),
        size: cell.size,
        connections: cell.connections,
        pace: cell.pace,
        length,
        warm_up: (length / 4).min(Duration::from_millis(500)),
        through: target.through.clone(),
        upstream: vec![upstream.pid()],
    })
}

// An upstream is connected to in the background; the first right answer through each door ends the wait.
fn wait_until_right(target: &Target, options: &Options, upstream: &Upstream) -> Result<()> {
    for &door in &options.doors {
        let cell = Cell { door, size: options.sizes[0], pace: Pace::Closed, connections: 1 };
        let Some(mut plan) = plan(target, &cell, options, upstream) else { continue };
        plan.length = Duration::from_millis(1);
        plan.warm_up = Duration::ZERO;
        let begin = std::time::Instant::now();
        loop {
            let wrong = match load::run(&plan) {
                Ok(run) if run.errors == 0 && run.latency.count() > 0 => break,
                Ok(run) => run.first_error.unwrap_or_default(),
                Err(e) => format!("{e:#}"),
            };
            anyhow::ensure!(begin.elapsed() < TRIES, "{}, {door}: no right answer: {wrong}", target.name);
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    Ok(())
}
