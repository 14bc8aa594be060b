//! The words of the command line.

use crate::call::Door;
use crate::compare::Options;
use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::str::FromStr;

/// Of the whole run.
pub struct All {
    pub binary: PathBuf,
    pub seconds: u64,
    pub soak_seconds: u64,
    runs: Option<usize>,
    out: Option<PathBuf>,
}

impl All {
    /// The comparison within it: a few cells, each shorter than a round of the built-in tool.
    pub fn compare(&self) -> Options {
        // A run of a second or so shows that it works and measures nothing.
        let runs = self.runs.unwrap_or(if self.seconds < 5 { 1 } else { 5 });
        let seconds = self.seconds as f64 / 10.0;
        Options { binary: self.binary.clone(), seconds, runs, out: self.out.clone(), ..Options::default() }
    }
}

pub fn all(words: impl Iterator<Item = String>) -> Result<All> {
    let mut options =
        All { binary: Options::default().binary, seconds: 10, soak_seconds: 10, runs: None, out: None };
    each(words, |word, value| {
        match word {
            "--binary" => options.binary = value.into(),
            "--seconds" => options.seconds = value.parse()?,
            "--soak-seconds" => options.soak_seconds = value.parse()?,
            "--runs" => options.runs = Some(value.parse()?),
            "--out" => options.out = Some(value.into()),
            _ => bail!(
                "usage: toolgate-bench [--binary FILE] [--seconds N] [--soak-seconds N] [--runs N] [--out FILE], or \
                 toolgate-bench compare ..., or toolgate-bench upstream ..."
            ),
        }
        Ok(())
    })?;
    Ok(options)
}

pub fn compare(words: impl Iterator<Item = String>) -> Result<Options> {
    let mut options = Options::default();
    each(words, |word, value| {
        match word {
            "--binary" => options.binary = value.into(),
            "--seconds" => options.seconds = value.parse()?,
            "--runs" => options.runs = value.parse()?,
            "--sizes" => options.sizes = list(value, size)?,
            "--connections" => options.connections = list(value, |n| Ok(usize::from_str(n)?))?,
            "--eras" => options.doors = list(value, era)?,
            "--targets" => options.targets = list(value, |name| Ok(name.to_owned()))?,
            "--rate" => options.rate = Some(value.parse()?).filter(|rate: &f64| *rate > 0.0),
            "--peers" => options.peers = Some(value.into()),
            "--upstream" => options.upstream = Some(value.to_owned()),
            "--out" => options.out = Some(value.into()),
            _ => bail!(
                "usage: toolgate-bench compare [--binary FILE] [--seconds N] [--runs N] [--sizes 1k,16k,1m] [--connections \
                 1,8,64,256] [--eras modern,legacy] [--rate N] [--targets direct,nginx,...] [--upstream ADDRESS] [--peers \
                 FILE] [--out FILE]"
            ),
        }
        Ok(())
    })?;
    Ok(options)
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
        _ => bail!("an era is modern or legacy"),
    }
}
