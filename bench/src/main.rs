//! `make bench`: start the gateway as a user would, put load on it, print what was measured.
//!
//! Everything comes from one run on one machine; every answer is checked to be the right one. The load generator shares
//! the machine's cores with the gateway, so a figure is a floor for the gateway, not its ceiling. First its start, then
//! calls beside the upstream itself, nginx and peers (`compare`), a minute of the built-in tool, connections with sessions
//! (`sessions`), at the end a soak: what clients leave behind that vanish. `counts` counts instructions, `upstream` is what
//! stands behind everything, `report FILE` makes the report of a `raw.json` again.

mod added;
mod call;
mod client;
mod compare;
mod counts;
mod gateway;
mod lists;
mod load;
mod nginx;
mod options;
mod page;
mod peers;
mod process;
mod raw;
mod report;
mod sessions;
mod soak;
mod target;
mod upstream;

use anyhow::{Context, Result};
use call::{Door, Place, Tool};
use compare::{Cell, Measured};
use gateway::Gateway;
use latency as histogram;
use raw::{CellRun, Raw};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).peekable();
    match words.peek().map(String::as_str) {
        Some("upstream") => upstream::main(words.skip(1)),
        Some("lists") => lists::main(words.skip(1)),
        Some("compare") => {
            let options = options::compare(words.skip(1))?;
            println!("{}", machine());
            let mut raw = begun();
            let verdict = compare::run(&options, &mut raw);
            keep(options.out.as_deref(), &mut raw)?;
            verdict
        }
        Some("counts") => {
            let (binary, bounds) = options::counts(words.skip(1))?;
            let counts = counts::run(&binary)?;
            print!("{}", counts::print(&counts));
            bounds.map_or(Ok(()), |bounds| counts::check(&counts, &bounds))
        }
        Some("sessions") => {
            let (binary, connections) = options::sessions(words.skip(1))?;
            print!("{}", sessions::print(&runtime()?.block_on(sessions::run(&binary, connections))?));
            Ok(())
        }
        Some("report") => {
            const USAGE: &str = "usage: toolgate-bench report RAW.JSON [LATER.JSON...] [--write PAGE.MD]";
            let mut words: Vec<String> = words.skip(1).collect();
            let write = words.iter().position(|word| word == "--write");
            let write = write.map(|at| words.drain(at..).nth(1).context(USAGE)).transpose()?;
            let mut raws = words.iter().map(|path| -> Result<Raw> {
                Ok(serde_json::from_slice(&std::fs::read(path).with_context(|| path.clone())?)?)
            });
            let mut raw = raws.next().context(USAGE)??;
            raws.try_for_each(|later| later.map(|later| raw.replace(later)))?;
            match write {
                Some(path) => page::write(&mut raw, Path::new(&path)),
                None => {
                    print!("{}", page::text(&raw));
                    Ok(())
                }
            }
        }
        _ => all(&options::all(words)?),
    }
}

fn begun() -> Raw {
    Raw {
        at: jiff::Timestamp::now().to_string(),
        command: command(),
        machine: raw::machine(),
        ..Raw::default()
    }
}

// As `make` says it: which binary lies where is of no use to a reader.
fn command() -> String {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    if let Some(at) = words.iter().position(|word| word == "--binary") {
        words.drain(at..words.len().min(at + 2));
    }
    match words.first().map(String::as_str) {
        None => "make bench".to_owned(),
        Some(word) if word.starts_with("--") => format!("make bench ARGS=\"{}\"", words.join(" ")),
        Some(_) => format!("toolgate-bench {}", words.join(" ")),
    }
}

fn keep(out: Option<&Path>, raw: &mut Raw) -> Result<()> {
    raw.machine.load_after = raw::load_average();
    let Some(path) = out else { return Ok(()) };
    std::fs::write(path, serde_json::to_vec(&raw)?).with_context(|| path.display().to_string())
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Runtime::new()?)
}

fn all(options: &options::All) -> Result<()> {
    println!("{}", machine());
    let binary = &options.compare.binary;
    let mut raw = begun();
    let version = Command::new(binary).arg("--version").output();
    let version = version.with_context(|| {
        format!("cannot start {}; build it with: cargo build --release", binary.display())
    })?;
    raw.versions.insert("gateway".into(), String::from_utf8_lossy(&version.stdout).trim().to_owned());
    let runtime = runtime()?;
    runtime.block_on(started(binary, &mut raw))?;
    let verdict = compare::run(&options.compare, &mut raw);
    runtime.block_on(sustained(binary, Duration::from_secs(options.sustained_seconds), &mut raw))?;
    raw.sessions = runtime.block_on(sessions::run(binary, options.sessions))?;
    println!("\n{}", sessions::print(&raw.sessions));
    if options.whole {
        raw.counts = counts::run(binary)?;
        println!("{}", counts::print(&raw.counts));
        raw.lists = lists(binary);
        println!("{}", raw.lists);
    }
    keep(options.compare.out.as_deref(), &mut raw)?;
    if let Some(path) = &options.write {
        page::write(&mut raw, path)?;
        println!("written: {}", path.display());
    }
    verdict?;
    runtime.block_on(soak::run(binary, Duration::from_secs(options.soak_seconds)))
}

// Start and idle memory.
async fn started(binary: &Path, raw: &mut Raw) -> Result<()> {
    for _ in 0..11 {
        let took = Gateway::start(binary, "").await?.to_first_answer;
        raw.start_us.push(u64::try_from(took.as_micros())?);
    }
    raw.start_us.sort_unstable();
    println!(
        "start to first answered call, ms: {:?}",
        raw.start_us.iter().map(|us| us / 1000).collect::<Vec<_>>()
    );
    let gateway = Gateway::start(binary, "").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    raw.idle_bytes = gateway.memory();
    println!("idle resident memory: {:.1} MiB", mib(raw.idle_bytes));
    Ok(())
}

// The built-in tool at 64 connections for longer.
async fn sustained(binary: &Path, length: Duration, raw: &mut Raw) -> Result<()> {
    let gateway = Gateway::start(binary, "").await?;
    let cell = Cell { door: Door::Modern, size: 1 << 10, pace: load::Pace::Closed, connections: 64 };
    let plan = load::Plan {
        place: Place::with_key(&gateway.address, "/mcp", &gateway.key),
        door: cell.door,
        tool: Tool::EnvVar,
        size: 0,
        connections: cell.connections,
        pace: cell.pace,
        length,
        warm_up: Duration::from_millis(500),
        through: process::Through::Process(gateway.pid()),
        upstream: Vec::new(),
    };
    let target = target::BUILT_IN.to_owned();
    let mut row = CellRun::of(&Measured { target, cell, run: 0, result: load::run(&plan) });
    row.histogram.clear();
    println!(
        "built-in tool, {length:?} at {} connections: {:.0} calls/s, p50 {}, p99 {}, {:.1} µs of CPU a call, {} wrong{}",
        cell.connections,
        row.per_second(),
        report::time(row.at(0.5)),
        report::time(row.at(0.99)),
        row.per_call(row.proxy),
        row.errors,
        row.failed.as_ref().map(|why| format!("; failed: {why}")).unwrap_or_default(),
    );
    let wrong = row.errors + u64::from(row.failed.is_some());
    raw.sustained = Some(row);
    raw.journals.push(gateway.stop_and_verify().await?);
    anyhow::ensure!(wrong == 0, "{wrong} answers were not the right one");
    Ok(())
}

// The table of `toolgate-bench lists`; nothing when it has none.
fn lists(binary: &Path) -> String {
    let run = || {
        let this = std::env::current_exe().ok()?;
        let output =
            Command::new(this).args(["lists", "--seconds", "2", "--binary"]).arg(binary).output().ok()?;
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let rows = |text: String| text.lines().filter(|l| l.starts_with('|')).map(|l| format!("{l}\n")).collect();
    run().map(rows).unwrap_or_default()
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

// What the figures were measured on.
fn machine() -> String {
    let machine = raw::machine();
    format!("machine: {} cores, {}; gateway and load generator share them", machine.cores, machine.model)
}
