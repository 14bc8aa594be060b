//! The proxied call: the upstream direct, behind nginx, behind the gateway and behind peers, all in one run.
//!
//! Every cell (era, size, load) is measured on every target before the next cell, and the whole again for every run, the
//! targets in another order each time; the table gives medians over the runs, the file every run by itself. Peers come
//! after that, one at a time, so that what they do when idle disturbs nothing.

use crate::call::{Door, Tool};
use crate::gateway::Gateway;
use crate::load::{Pace, Plan, Run};
use crate::nginx::Nginx;
use crate::peers::Peer;
use crate::raw::{CellRun, Raw};
use crate::target::{self, Kind, Target, Upstream};
use crate::{added, load, peers, report};
use anyhow::Result;
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
            doors: vec![Door::Modern, Door::Legacy, Door::Rest],
            targets: Vec::new(),
            peers: None,
            upstream: None,
            out: None,
            rate: Some(2000.0),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
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
/// Calls a second that every peer is asked to keep up with, so that all stand in one plot.
pub const SLOW: f64 = 50.0;
// Calls that are started before anything is measured, so that every path has been taken.
const TRIES: Duration = Duration::from_secs(20);
// After so long no further run of a peer begins: one needs 25 ms of CPU for a call.
const PEER: Duration = Duration::from_secs(45);
// Where the cost of the journal is measured.
const JOURNAL: Cell = Cell { door: Door::Modern, size: 1 << 10, pace: Pace::Closed, connections: 64 };

/// Fills `cells`, `added`, `versions` and what else of `raw` comes from here.
pub fn run(options: &Options, raw: &mut Raw) -> Result<()> {
    let upstream = Upstream::start(options.upstream.as_deref())?;
    let nginx = Nginx::start(&upstream.address)?;
    let mut gateways = Vec::new();
    let mut targets = vec![upstream.target()];
    targets.extend(nginx.as_ref().map(target::nginx));
    for kind in [Kind::Governed, Kind::Plain, Kind::NoJournal] {
        let settings = target::gateway_settings(&upstream, &std::env::current_exe()?, kind);
        let wanted = |t: &str| {
            options.targets.is_empty() || options.targets.iter().any(|part| t.contains(part.as_str()))
        };
        let names = [target::HTTP, target::STDIO, target::BUILT_IN, target::CHANGES];
        if !names.iter().any(|name| wanted(&format!("{name}{}", kind.suffix()))) {
            continue;
        }
        let gateway = runtime()?.block_on(Gateway::start(&options.binary, &settings))?;
        targets.extend(target::gateway(&gateway, kind).into_iter().filter(|t| wanted(&t.name)));
        gateways.push(gateway);
    }
    targets
        .retain(|t| options.targets.is_empty() || options.targets.iter().any(|part| t.name.contains(part)));
    for target in &targets {
        wait_until_right(target, options, &upstream)?;
    }
    let nginx_version = nginx.as_ref().map_or("not installed, not measured", |n| &n.version);
    raw.versions.insert("nginx".into(), nginx_version.to_owned());
    (raw.seconds, raw.runs) = (options.seconds, options.runs);
    println!(
        "proxied calls: {} runs of {} s for each cell; nginx: {nginx_version}; every answer checked; the machine's cores \
         are shared by generator, proxy and upstream",
        options.runs, options.seconds
    );
    let cells = cells(options);
    for round in 0..options.runs {
        for cell in &cells {
            for i in 0..targets.len() {
                let target = &targets[(i + round) % targets.len()];
                if let Some(plan) = plan(target, cell, options, &upstream) {
                    raw.cells.push(measure(&plan, target, cell, round));
                }
            }
        }
        eprintln!("run {} of {} done", round + 1, options.runs);
    }
    let compared: Vec<&Target> =
        targets.iter().filter(|t| matches!(t.kind, Kind::Direct | Kind::Nginx | Kind::Governed)).collect();
    raw.added = added::measure(&compared, &options.doors, options.sizes[0], options.runs)?;
    for gateway in gateways {
        raw.journals.push(runtime()?.block_on(gateway.stop_and_verify())?);
    }
    if let Some(path) = &options.peers {
        for peer in peers::read(path)? {
            self::peer(&peer, options, &upstream, raw)?;
        }
    }
    report::cells(&cells, raw);
    added::print(&raw.added, options.sizes[0]);
    println!("journals: {}", raw.journals.join(" | "));
    report::verdict(raw)
}

fn measure(plan: &Plan, target: &Target, cell: &Cell, run: usize) -> CellRun {
    CellRun::of(&Measured { target: target.name.clone(), cell: *cell, run, result: load::run(plan) })
}

// A peer that does not work says so in the report and does not end the run.
fn peer(peer: &Peer, options: &Options, upstream: &Upstream, raw: &mut Raw) -> Result<()> {
    eprintln!("peer {}", peer.name);
    let running = match peer.start(&upstream.url()) {
        Ok(running) => running,
        Err(why) => {
            raw.absent.insert(peer.name.clone(), format!("{why:#}"));
            return Ok(());
        }
    };
    raw.versions.insert(peer.name.clone(), running.version.clone());
    raw.settings.insert(peer.name.clone(), peer.settings.clone());
    let target = &running.target;
    if let Err(why) = wait_until_right(target, options, upstream) {
        raw.absent.insert(peer.name.clone(), format!("{why:#}; {}", running.last_words()));
        return Ok(());
    }
    let begin = std::time::Instant::now();
    for round in 0..options.runs {
        if round > 0 && begin.elapsed() > PEER {
            let settings = raw.settings.entry(peer.name.clone()).or_default();
            settings
                .push_str(&format!("; {round} runs instead of {}, because one takes so long", options.runs));
            break;
        }
        for cell in peer_cells(options) {
            if let Some(plan) = plan(target, &cell, options, upstream) {
                raw.cells.push(measure(&plan, target, &cell, round));
            }
        }
    }
    Ok(())
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
                let rate = (rate / (size as f64 / 1024.0).max(1.0).sqrt()).round();
                cells.push(Cell { door, size, pace: Pace::Open(rate), connections: OPEN_CONNECTIONS });
            }
        }
    }
    if options.peers.is_some() && options.doors.contains(&Door::Legacy) {
        cells.push(slow(Door::Legacy));
    }
    cells
}

fn slow(door: Door) -> Cell {
    Cell { door, size: 1 << 10, pace: Pace::Open(SLOW), connections: 8 }
}

// Fewer than ours: some need half a minute for what takes others a tenth of a second.
pub fn peer_cells(options: &Options) -> Vec<Cell> {
    let mut cells = Vec::new();
    for door in [Door::Modern, Door::Legacy, Door::Rest] {
        let loads = [(1 << 10, 1), (1 << 10, 8), (1 << 10, 64), (16 << 10, 8), (1 << 20, 1)];
        let wanted = loads.iter().filter(|(size, _)| options.sizes.contains(size));
        cells.extend(wanted.map(|&(size, connections)| Cell { door, size, pace: Pace::Closed, connections }));
        cells.push(slow(door));
    }
    cells
}

fn plan(target: &Target, cell: &Cell, options: &Options, upstream: &Upstream) -> Option<Plan> {
    let tool = target.tool(cell.door)?;
    // A built-in tool has one size.
    if matches!(tool, Tool::EnvVar) && cell.size != options.sizes[0] {
        return None;
    }
    // A pair each: all cells by closed loop with governance off, one cell without the journal and of what changes.
    let changes = target.name.starts_with(target::CHANGES);
    let only = match target.kind {
        Kind::Plain => cell.pace == Pace::Closed && !changes,
        Kind::NoJournal => *cell == JOURNAL,
        _ => !changes || *cell == JOURNAL,
    };
    if !only {
        return None;
    }
    let length = Duration::from_secs_f64(match cell.pace {
        Pace::Open(rate) if rate <= SLOW => options.seconds * 4.0,
        Pace::Open(_) => options.seconds * 2.0,
        Pace::Closed => options.seconds,
    });
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
    for (door, tool) in &target.tools {
        let plan = Plan {
            place: target.place.clone(),
            door: *door,
            tool: tool.clone(),
            size: options.sizes[0],
            connections: 1,
            pace: Pace::Closed,
            length: Duration::from_millis(1),
            warm_up: Duration::ZERO,
            through: target.through.clone(),
            upstream: vec![upstream.pid()],
        };
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
