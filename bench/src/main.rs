//! `make bench`: start the gateway as a user would, put load on it, print what was measured.
//!
//! Everything comes from one run on one machine; every answer is checked to be the right one. The load generator shares
//! the machine's cores with the gateway, so a figure is a floor for the gateway, not its ceiling. At the end a soak: what
//! clients leave behind that vanish.

mod client;
mod gateway;
mod histogram;
mod load;
mod soak;

use anyhow::{Context, Result};
use gateway::Gateway;
use std::path::PathBuf;
use std::time::Duration;

// Connections of the rounds, and how long each round lasts.
const ROUNDS: [usize; 3] = [1, 8, 64];

struct Options {
    binary: PathBuf,
    seconds: u64,
    soak_seconds: u64,
}

fn options() -> Result<Options> {
    let mut options =
        Options { binary: PathBuf::from("target/release/toolgate"), seconds: 10, soak_seconds: 10 };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--binary" => options.binary = value.into(),
            "--seconds" => options.seconds = value.parse().context("--seconds")?,
            "--soak-seconds" => options.soak_seconds = value.parse().context("--soak-seconds")?,
            _ => anyhow::bail!("usage: toolgate-bench [--binary FILE] [--seconds N] [--soak-seconds N]"),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<()> {
    let options = options()?;
    println!("{}", machine());

    let mut starts = Vec::new();
    for _ in 0..11 {
        starts.push(Gateway::start(&options.binary, "").await?.to_first_answer);
    }
    starts.sort();
    println!(
        "start to first answered call: median {:?}, worst {:?} of {}",
        starts[5],
        starts[10],
        starts.len()
    );

    let gateway = Gateway::start(&options.binary, "").await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    println!("idle resident memory: {:.1} MiB", mib(gateway.memory()?));

    println!("| door | connections | calls/s | p50 | p90 | p99 | max | errors | gateway CPU per call |");
    println!("|---|---|---|---|---|---|---|---|---|");
    let mut wrong = 0;
    for door in [load::Door::Modern, load::Door::Rest] {
        for connections in ROUNDS {
            let before = gateway.cpu()?;
            let run = load::run(&gateway, door, connections, Duration::from_secs(options.seconds)).await?;
            let cpu = gateway.cpu()? - before;
            let per_call = cpu.as_secs_f64() * 1e6 / run.latency.count().max(1) as f64;
            println!(
                "| {door} | {connections} | {:.0} | {:?} | {:?} | {:?} | {:?} | {} | {per_call:.1} µs |",
                run.latency.count() as f64 / run.elapsed.as_secs_f64(),
                run.latency.at(0.5),
                run.latency.at(0.9),
                run.latency.at(0.99),
                run.latency.at(1.0),
                run.errors,
            );
            wrong += run.errors;
            if let Some(first) = run.first_error {
                println!("\nfirst error: {first}\n");
            }
        }
    }
    println!("resident memory after the load: {:.1} MiB", mib(gateway.memory()?));
    let verdict = gateway.stop_and_verify().await?;
    println!("journal: {verdict}");
    anyhow::ensure!(wrong == 0, "{wrong} answers were not the right one");
    soak::run(&options.binary, Duration::from_secs(options.soak_seconds)).await
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
