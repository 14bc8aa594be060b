//! `make bench`: start the gateway as a user would, put load on it, print what was measured.
//!
//! Everything comes from one run on one machine; every answer is checked to be the right one. The load generator shares
//! the machine's cores with the gateway, so a figure is a floor for the gateway, not its ceiling. First the built-in tool,
//! then proxied calls beside the upstream itself and nginx, at the end a soak: what clients leave behind that vanish.
//! `toolgate-bench compare` is the middle part alone, with everything that can be chosen of it; `toolgate-bench upstream`
//! is the upstream that stands behind it.

mod added;
mod call;
mod client;
mod compare;
mod gateway;
mod lists;
mod load;
mod nginx;
mod options;
mod peers;
mod process;
mod report;
mod soak;
mod target;
mod upstream;

use anyhow::Result;
use call::{Door, Place, Tool};
use gateway::Gateway;
use latency as histogram;
use std::path::Path;
use std::time::Duration;

// Connections of the rounds of the built-in tool.
const ROUNDS: [usize; 3] = [1, 8, 64];

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1).peekable();
    match words.peek().map(String::as_str) {
        Some("upstream") => upstream::main(words.skip(1)),
        Some("lists") => lists::main(words.skip(1)),
        Some("compare") => {
            let options = options::compare(words.skip(1))?;
            println!("{}", machine());
            compare::run(&options)
        }
        _ => all(&options::all(words)?),
    }
}

fn all(options: &options::All) -> Result<()> {
    println!("{}", machine());
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(built_in(&options.binary, Duration::from_secs(options.seconds)))?;
    compare::run(&options.compare())?;
    runtime.block_on(soak::run(&options.binary, Duration::from_secs(options.soak_seconds)))
}

async fn built_in(binary: &Path, length: Duration) -> Result<()> {
    let mut starts = Vec::new();
    for _ in 0..11 {
        starts.push(Gateway::start(binary, "").await?.to_first_answer);
    }
    starts.sort();
    println!(
        "start to first answered call: median {:?}, worst {:?} of {}",
        starts[5],
        starts[10],
        starts.len()
    );

    let gateway = Gateway::start(binary, "").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("idle resident memory: {:.1} MiB", mib(gateway.memory()));

    println!("| door | connections | calls/s | p50 | p90 | p99 | max | errors | gateway CPU per call |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut wrong = 0;
    for door in [Door::Modern, Door::Rest] {
        for connections in ROUNDS {
            let plan = load::Plan {
                place: Place::with_key(&gateway.address, "/mcp", &gateway.key),
                door,
                tool: Tool::EnvVar,
                size: 0,
                connections,
                pace: load::Pace::Closed,
                length,
                warm_up: Duration::ZERO,
                through: process::Through::Process(gateway.pid()),
                upstream: Vec::new(),
            };
            let run = load::run(&plan)?;
            let [p50, p90, p99, most] =
                [0.5, 0.9, 0.99, 1.0].map(|share| report::micros(run.latency.at(share)));
            println!(
                "| {door} | {connections} | {:.0} | {p50} | {p90} | {p99} | {most} | {} | {:.1} µs |",
                run.per_second(),
                run.errors,
                run.per_call(run.used.through.cpu),
            );
            wrong += run.errors;
            if let Some(first) = run.first_error {
                println!("\nfirst error: {first}\n");
            }
        }
    }
    println!("resident memory after the load: {:.1} MiB", mib(gateway.memory()));
    let verdict = gateway.stop_and_verify().await?;
    println!("journal: {verdict}");
    anyhow::ensure!(wrong == 0, "{wrong} answers were not the right one");
    Ok(())
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / (1 << 20) as f64
}

// What the figures were measured on.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|l| l.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches(['\t', ':', ' ']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    format!("machine: {cores} cores, {model}; gateway and load generator share them")
}
