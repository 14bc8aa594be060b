//! The words of the command line.

use crate::call::Door;
use crate::compare::Options;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::str::FromStr;

/// Of the whole run.
pub struct All {
    pub compare: Options,
    pub soak_seconds: u64,
    /// Of the built-in tool at 64 connections; none: not measured.
    pub sustained_seconds: u64,
    /// Connections with sessions.
    pub sessions: usize,
    /// The report as a file, its plots and `raw.json` in a folder beside it.
    pub write: Option<PathBuf>,
    /// Whether instructions are counted, and what `tools/list` over many upstreams costs.
    pub whole: bool,
}

// Of each closed loop of the full run.
const FULL_SECONDS: f64 = 0.25;

pub fn all(words: impl Iterator<Item = String>) -> Result<All> {
    let words: Vec<String> = words.collect();
    let full = words.iter().any(|word| word == "--full");
    let mut all = All {
        compare: Options { seconds: 1.0, ..Options::default() },
        soak_seconds: 10,
        sustained_seconds: 5,
        sessions: 1000,
        write: None,
        whole: full,
    };
    if full {
        all.compare = Options {
            seconds: FULL_SECONDS,
            sizes: vec![1 << 10, 16 << 10, 1 << 20],
            connections: vec![1, 8, 64, 256],
            peers: Some(PathBuf::from("bench/peers.toml")),
            ..Options::default()
        };
        all.sustained_seconds = 60;
        all.sessions = 10_000;
        all.write = Some(PathBuf::from("docs/performance.md"));
    }
    let mut runs = None;
    each(words.into_iter().filter(|word| word != "--full"), |word, value| {
        match word {
            "--seconds" => {
                // Of a round of the built-in tool; each of the many cells is shorter.
                let seconds: u64 = value.parse()?;
                all.sustained_seconds = seconds;
                all.compare.seconds = seconds as f64 / 10.0;
            }
            "--soak-seconds" => all.soak_seconds = value.parse()?,
            "--sessions" => all.sessions = value.parse()?,
            "--write" => all.write = Some(value.into()),
            "--runs" => runs = Some(value.parse()?),
            _ => {
                if !cell(&mut all.compare, word, value)? {
                    bail!(
                        "usage: toolgate-bench [--full] [--seconds N] [--soak-seconds N] [--sessions N] [--write FILE] and \
                         the words of compare, or toolgate-bench compare ..., counts ..., sessions ..., report FILE, upstream ..."
                    );
                }
            }
        }
        Ok(())
    })?;
    // A run of a second or so shows that it works and measures nothing.
    all.compare.runs = runs.unwrap_or(if all.sustained_seconds < 5 { 1 } else { 5 });
    if all.sustained_seconds < 5 {
        all.sessions = all.sessions.min(100);
    }
    Ok(all)
}

pub fn compare(words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    each(words, |word, value| {
        match word {
            "--seconds" => options.seconds = value.parse()?,
            "--runs" => options.runs = value.parse()?,
            _ => {
                if !cell(&mut options, word, value)? {
                    bail!(
                        "usage: toolgate-bench compare [--binary FILE] [--seconds N] [--runs N] [--sizes 1k,16k,1m] \
                         [--connections 1,8,64,256] [--eras modern,legacy,rest] [--rate N] [--targets direct,nginx,...] \
                         [--upstream ADDRESS] [--peers FILE] [--out FILE]"
                    );
                }
            }
        }
        Ok(())
    })?;
    Ok(options)
}

// Words that choose what is compared; whether this was one.
fn cell(options: &mut Options, word: &str, value: &str) -> Result<bool> {
    match word {
        "--binary" => options.binary = value.into(),
        "--sizes" => options.sizes = list(value, size)?,
        "--connections" => options.connections = list(value, |n| Ok(usize::from_str(n)?))?,
        "--eras" => options.doors = list(value, era)?,
        "--targets" => options.targets = list(value, |name| Ok(name.to_owned()))?,
        "--rate" => options.rate = Some(value.parse()?).filter(|rate: &f64| *rate > 0.0),
        "--peers" => options.peers = Some(value.into()),
        "--upstream" => options.upstream = Some(value.to_owned()),
        "--out" => options.out = Some(value.into()),
        _ => return Ok(false),
    }
    Ok(true)
}

/// Of `counts`: the binary, and the file of bounds to hold.
pub fn counts(words: impl Iterator<Item = String>) -> Result<(PathBuf, Option<PathBuf>)> {
    let (mut binary, mut bounds) = (PathBuf::from("target/debug/toolgate"), None);
    each(words, |word, value| {
        match word {
            "--binary" => binary = value.into(),
            "--bounds" => bounds = Some(value.into()),
            _ => bail!("usage: toolgate-bench counts [--binary FILE] [--bounds FILE]"),
        }
        Ok(())
    })?;
    Ok((binary, bounds))
}

/// Of `sessions`: the binary and how many.
pub fn sessions(words: impl Iterator<Item = String>) -> Result<(PathBuf, usize)> {
    let (mut binary, mut connections) = (Options::default().binary, 10_000);
    each(words, |word, value| {
        match word {
            "--binary" => binary = value.into(),
            "--sessions" => connections = value.parse()?,
            _ => bail!("usage: toolgate-bench sessions [--binary FILE] [--sessions N]"),
        }
        Ok(())
    })?;
    Ok((binary, connections))
}

fn each(words: impl Iterator<Item = String>, mut set: impl FnMut(&str, &str) -> Result<()>) -> Result<()> {
    let mut words = words;
    while let Some(word) = words.next() {
        // A word that is not known says how all of them are used.
        let value = if word.starts_with("--") { words.next() } else { None };
        set(&word, value.as_deref().unwrap_or("")).with_context(|| word.clone())?;
    }
    Ok(())
}

fn list<T>(text: &str, one: impl Fn(&str) -> Result<T>) -> Result<Vec<T>> {
    text.split(',').map(|part| one(part.trim())).collect()
}

fn size(text: &str) -> Result<usize> {
    Ok(match text.strip_suffix('k') {
        Some(kib) => kib.parse::<usize>()? << 10,
        None => text.strip_suffix('m').context("a size is like 16k or 1m")?.parse::<usize>()? << 20,
    })
}

fn era(text: &str) -> Result<Door> {
    match text {
        "modern" => Ok(Door::Modern),
        "legacy" => Ok(Door::Legacy),
        "rest" => Ok(Door::Rest),
        _ => bail!("an era is modern, legacy or rest"),
    }
}
