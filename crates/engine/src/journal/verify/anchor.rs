//! The anchor file, read in step with a chain: both have their checkpoints in the same order.
//!
//! Used by `chain`. Lines that are no checkpoints, or of other chains, are passed over. Signatures are not checked
//! here: an anchored line that is also in the chain is checked there.

use super::super::line::{self, Checkpoint, HexHash, Line};
use super::super::segment::{Found, Lines};
use std::collections::BTreeSet;
use std::io;
use std::path::Path;

/// The anchored checkpoints of one chain.
pub struct Anchor {
    lines: Lines,
    node: String,
    next: Option<(u64, HexHash)>,
    /// First, last and count of anchored checkpoints that the chain has not.
    pub absent: Option<(u64, u64, u64)>,
}

/// What the anchor says to a checkpoint of the chain.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    Same,
    Different,
    Unknown,
}

impl Anchor {
    pub fn open(path: &Path, node: &str) -> io::Result<Self> {
        let len = std::fs::metadata(path)?.len();
        let lines = Lines::open(path, 0, len)?;
        let mut anchor = Self { lines, node: node.to_owned(), next: None, absent: None };
        anchor.advance()?;
        Ok(anchor)
    }

    /// Compare a checkpoint of the chain.
    pub fn compare(&mut self, seq: u64, hash: &HexHash) -> io::Result<Answer> {
        self.pass_before(seq)?;
        match self.next {
            Some((anchored, theirs)) if anchored == seq => {
                self.advance()?;
                Ok(if theirs == *hash { Answer::Same } else { Answer::Different })
            }
            _ => Ok(Answer::Unknown),
        }
    }

    /// Count the anchored checkpoints before `seq` as absent from the chain.
    pub fn pass_before(&mut self, seq: u64) -> io::Result<()> {
        while let Some((anchored, _)) = self.next.filter(|(anchored, _)| *anchored < seq) {
            let (first, _, count) = self.absent.unwrap_or((anchored, anchored, 0));
            self.absent = Some((first, anchored, count + 1));
            self.advance()?;
        }
        Ok(())
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        loop {
            match self.lines.next()? {
                Found::Line => {
                    let bytes = &self.lines.bytes;
                    if let Some((seq, node)) = checkpoint(bytes)
                        && node == self.node
                    {
                        self.next = Some((seq, line::hash(bytes)));
                        return Ok(());
                    }
                }
                Found::TooLong => {}
                Found::Partial | Found::End => return Ok(()),
            }
        }
    }
}

/// Nodes that the anchor names and that are not among `known`.
pub fn strangers(path: &Path, known: &[&str]) -> io::Result<BTreeSet<String>> {
    let mut lines = Lines::open(path, 0, std::fs::metadata(path)?.len())?;
    let mut found = BTreeSet::new();
    loop {
        match lines.next()? {
            Found::Line => {
                if let Some((_, node)) = checkpoint(&lines.bytes)
                    && !known.contains(&node.as_str())
                {
                    found.insert(node);
                }
            }
            Found::TooLong => {}
            Found::Partial | Found::End => return Ok(found),
        }
    }
}

fn checkpoint(bytes: &[u8]) -> Option<(u64, String)> {
    let line = Line::parse(bytes).filter(|line| line.phase == "checkpoint")?;
    let checkpoint: Checkpoint = serde_json::from_slice(bytes).ok()?;
    Some((line.seq, checkpoint.node))
}
