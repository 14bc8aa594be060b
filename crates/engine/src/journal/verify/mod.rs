//! `verify`: check a journal's files against themselves, the public key and the anchor.
//!
//! Used by the command line; needs only files, changes none, and may run beside a gateway that writes. Reads every
//! byte once, one line in memory. Invariant: a journal that is not what was written never passes, as far as
//! `docs/journal.md` promises; a finding names chain, segment and line.

mod anchor;
mod chain;
mod report;

pub use report::{ChainReport, KeySource, Problem, RecoveryNote, Report, TrustedKey, What};

use super::head;
use super::key::{self, PublicKey};
use super::line::Header;
use super::open::LOCK_FILE;
use super::segment::{self, Found, Lines, Segment};
use super::{damaged, io_error};
use anchor::Anchor;
use chain::Check;
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use toolgate_core::{Error, Kind};

/// What a journal is checked against, beyond itself.
#[derive(Debug, Clone, Default)]
pub struct VerifyOptions {
    /// Trust this key and no other. Without it `journal.pub` is trusted, which whoever can write the journal can
    /// exchange.
    pub public_key: Option<PublicKey>,
    /// The file that checkpoints were anchored in.
    pub anchor: Option<PathBuf>,
}

/// Check every chain beneath `dir`. `progress` hears of bytes read and bytes in all.
///
/// Errors: `NotFound` when there is no journal, `Unavailable` when files cannot be read. What is wrong with the
/// journal is in the report.
pub fn verify(
    dir: &Path,
    options: &VerifyOptions,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Report, Error> {
    let chains = match segment::chains(dir) {
        Ok(chains) if !chains.is_empty() => chains,
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(io_error("read the journal", e)),
        Ok(_) | Err(_) => {
            return Err(Error::new(Kind::NotFound, format!("there is no journal in {}", dir.display())));
        }
    };
    let mut inputs = Vec::new();
    for (node, path) in chains {
        inputs.push(Input::look(node, path).map_err(|e| io_error("read the journal", e))?);
    }
    let total = inputs.iter().flat_map(|input| &input.segments).map(|segment| segment.len).sum();
    let key = trusted(dir, options, &inputs)?;
    let mut done = 0;
    let mut step = |bytes| {
        done += bytes;
        progress(done, total);
    };
    let mut reports = Vec::new();
    for input in &inputs {
        let anchor = options.anchor.as_deref().map(|path| Anchor::open(path, &input.node)).transpose();
        let anchor = anchor.map_err(|e| io_error("read the anchor file", e))?;
        let check = Check::new(&input.node, key.0, anchor, input.head.clone(), input.live);
        let report = run(check, input, &mut step).map_err(|e| io_error("read the journal", e))?;
        reports.push(report);
    }
    if let Some(path) = &options.anchor {
        let known: Vec<&str> = inputs.iter().map(|input| input.node.as_str()).collect();
        let strangers = anchor::strangers(path, &known).map_err(|e| io_error("read the anchor file", e))?;
        reports.extend(strangers.into_iter().map(report::missing_chain));
    }
    Ok(Report::new(TrustedKey { public_key: key.0.hex(), source: key.1 }, reports))
}

// What of a chain is looked at, fixed before reading: a running gateway adds to it meanwhile.
struct Input {
    node: String,
    segments: Vec<Segment>,
    head: Option<head::HeadValue>,
    live: bool,
}

impl Input {
    // The head first: the log may only be ahead of it.
    fn look(node: String, path: PathBuf) -> io::Result<Self> {
        let live = File::open(path.join(LOCK_FILE))
            .is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)));
        let head = head::read(&path)?;
        Ok(Self { node, segments: segment::list(&path)?, head, live })
    }
}

fn trusted(dir: &Path, options: &VerifyOptions, inputs: &[Input]) -> Result<(PublicKey, KeySource), Error> {
    if let Some(given) = options.public_key {
        return Ok((given, KeySource::Given));
    }
    if let Some(public) = key::read_public(dir)? {
        return Ok((public, KeySource::PublicFile));
    }
    let first = inputs.iter().flat_map(|input| &input.segments).find_map(|segment| {
        let mut lines = Lines::open(&segment.path, 0, segment.len).ok()?;
        let found = lines.next().ok()?;
        let header: Header = serde_json::from_slice(&lines.bytes).ok().filter(|_| found == Found::Line)?;
        PublicKey::parse(&header.public_key).ok()
    });
    first.map(|key| (key, KeySource::Header)).ok_or_else(|| {
        damaged(
            "neither journal.pub nor a header says which key the journal is signed with; give one".to_owned(),
        )
    })
}

fn run(mut check: Check, input: &Input, step: &mut dyn FnMut(u64)) -> io::Result<ChainReport> {
    const STEP: u64 = 1024 * 1024;
    let last = input.segments.last().map(|segment| segment.number);
    for segment in &input.segments {
        check.segment(segment);
        let mut lines = Lines::open(&segment.path, 0, segment.len)?;
        let mut told = 0;
        loop {
            match lines.next()? {
                Found::Line => check.line(lines.number, &lines.bytes),
                Found::TooLong => check.unreadable(lines.number, "longer than any line of a journal"),
                Found::Partial => {
                    check.partial(lines.number, &lines.bytes, last == Some(segment.number));
                }
                Found::End => break,
            }
            if lines.offset - told >= STEP {
                step(lines.offset - told);
                told = lines.offset;
            }
        }
        step(lines.offset - told);
    }
    check.finish()
}
