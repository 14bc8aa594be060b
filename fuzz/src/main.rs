//! Inputs nobody thought of, against plain models of what the wire must do: `cargo run -p toolgate-fuzz -- --seconds 600`
//!
//! Each target starts from the inputs in `corpus/TARGET` and mutates them; a panic or a difference from the model ends
//! the run with the input, which goes into the corpus once the cause is fixed. Deterministic for a seed and a thread
//! count up to where the clock cuts it off. Absent on purpose: guidance by coverage, which needs a nightly compiler.

mod envelope;
mod json;
mod random;
mod request;
mod stream;

use anyhow::{Context, Result, bail};
use random::{Random, mutate};
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

#[derive(Clone, Copy)]
struct Target {
    name: &'static str,
    check: fn(&[u8]) -> Result<(), String>,
    words: &'static [&'static str],
}

const TARGETS: [Target; 3] = [
    Target { name: "envelope", check: envelope::check, words: envelope::WORDS },
    Target { name: "request", check: request::check, words: request::WORDS },
    Target { name: "stream", check: stream::check, words: stream::WORDS },
];

// Inputs between two looks at the clock.
const ROUND: usize = 500;
// Mutants kept to be mutated again, beside the corpus.
const KEPT: usize = 256;

struct Options {
    seconds: u64,
    seed: u64,
    threads: usize,
}

fn options() -> Result<Options> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut options = Options { seconds: 10, seed: 1, threads };
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        let number: u64 = value.parse().with_context(|| format!("{word} {value}"))?;
        match word.as_str() {
            "--seconds" => options.seconds = number,
            "--seed" => options.seed = number,
            "--threads" => options.threads = usize::try_from(number)?.max(1),
            _ => bail!("usage: toolgate-fuzz [--seconds N] [--seed N] [--threads N]"),
        }
    }
    Ok(options)
}

fn main() -> ExitCode {
    match hunt() {
        Ok(()) => ExitCode::SUCCESS,
        Err(finding) => {
            eprintln!("toolgate-fuzz: {finding:#}");
            ExitCode::FAILURE
        }
    }
}

fn hunt() -> Result<()> {
    let options = options()?;
    let end = Instant::now() + Duration::from_secs(options.seconds);
    // A panic is a finding like any other and is told with its input, not with a trace.
    std::panic::set_hook(Box::new(|_| {}));
    let workers: Vec<_> = (0..options.threads as u64)
        .map(|number| std::thread::spawn(move || work(options.seed.wrapping_add(number << 32), end)))
        .collect();
    let mut total = [0u64; TARGETS.len()];
    let mut findings = Vec::new();
    for worker in workers {
        match worker.join() {
            Ok(Ok(counts)) => total.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count),
            Ok(Err(finding)) => findings.push(finding),
            Err(_) => bail!("the harness itself panicked"),
        }
    }
    for (target, count) in TARGETS.iter().zip(total) {
        println!("{}: {count} inputs without a finding", target.name);
    }
    println!("seed {}, {} threads, {} s", options.seed, options.threads, options.seconds);
    if let Some(first) = findings.first() {
        bail!("{first:#}");
    }
    Ok(())
}

fn corpus(name: &str) -> Result<Vec<Vec<u8>>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(&folder)
        .with_context(|| format!("reading {}", folder.display()))?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.sort();
    paths.iter().map(|path| Ok(std::fs::read(path)?)).collect()
}

// Work on all targets by turns until the end; how many inputs each had.
fn work(seed: u64, end: Instant) -> Result<[u64; TARGETS.len()]> {
    let mut random = Random::new(seed);
    let mut counts = [0; TARGETS.len()];
    let mut pools: Vec<Vec<Vec<u8>>> = TARGETS.iter().map(|t| corpus(t.name)).collect::<Result<_>>()?;
    let fixed: Vec<usize> = pools.iter().map(Vec::len).collect();
    for (target, pool) in TARGETS.iter().zip(&pools) {
        for input in pool {
            run(target, input)?;
        }
    }
    loop {
        for (at, target) in TARGETS.iter().enumerate() {
            let pool = &mut pools[at];
            for _ in 0..ROUND {
                // Every second one starts from the corpus again: a chain of changes ends in rubbish.
                let from = if random.below(2) == 0 { fixed[at] } else { pool.len() };
                let (one, other) = (random.below(from), random.below(pool.len()));
                let input = mutate(&mut random, &pool[one], &pool[other], target.words);
                run(target, &input)?;
                counts[at] += 1;
                // Some mutants take the place of earlier ones, so that changes add up; the corpus itself stays.
                if random.below(8) == 0 {
                    let place = fixed[at] + random.below(KEPT);
                    match pool.get_mut(place) {
                        Some(old) => *old = input,
                        None => pool.push(input),
                    }
                }
            }
        }
        if Instant::now() >= end {
            return Ok(counts);
        }
    }
}

fn run(target: &Target, input: &[u8]) -> Result<()> {
    let check = target.check;
    let said = match catch_unwind(|| check(input)) {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(difference)) => difference,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            format!("panic: {}", text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("no message"))
        }
    };
    bail!("{}: {said}\ninput: {}", target.name, input.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn corpus_and_some_mutants_agree_with_the_models() {
        work(7, Instant::now()).unwrap();
    }

    #[test]
    fn a_difference_and_a_panic_are_findings() {
        let differs = Target { name: "d", check: |_| Err("differs".into()), words: &[] };
        let panics = Target { name: "p", check: |input| panic!("{}", input.len()), words: &[] };
        assert!(run(&differs, b"\xff").unwrap_err().to_string().contains("\\xff"));
        assert!(run(&panics, b"abc").unwrap_err().to_string().contains("panic: 3"));
    }
}
