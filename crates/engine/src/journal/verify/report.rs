//! What `verify` tells: a report per chain, and problems that each name a place.
//!
//! Serialisable; the command line prints it. Member names are part of the contract.

use serde::{Deserialize, Serialize};

/// The result of verifying a journal.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Whether no chain has a problem.
    pub ok: bool,
    pub key: TrustedKey,
    pub chains: Vec<ChainReport>,
}

impl Report {
    pub fn new(key: TrustedKey, chains: Vec<ChainReport>) -> Self {
        Self {
            ok: chains.iter().all(|chain| chain.problems.is_empty() && chain.more_problems == 0),
            key,
            chains,
        }
    }

    /// The problems of all chains.
    pub fn problems(&self) -> impl Iterator<Item = &Problem> {
        self.chains.iter().flat_map(|chain| &chain.problems)
    }
}

/// The key that signatures were checked with.
#[derive(Debug, Clone, Serialize)]
pub struct TrustedKey {
    pub public_key: String,
    pub source: KeySource,
}

/// Where the trusted key came from, strongest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeySource {
    /// Given by whoever verifies.
    Given,
    /// `journal.pub`, beside the chains.
    PublicFile,
    /// The first header: proves only that the journal agrees with itself.
    Header,
}

/// One chain's result.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ChainReport {
    pub node: String,
    /// A process is writing this chain now.
    pub live: bool,
    pub segments: u64,
    /// Whole lines of every kind, and those of them that are records.
    pub lines: u64,
    pub records: u64,
    pub bytes: u64,
    pub first_seq: Option<u64>,
    pub last_seq: Option<u64>,
    pub first_time: Option<String>,
    pub last_time: Option<String>,
    /// Checkpoints whose signature is right.
    pub checkpoints: u64,
    /// Checkpoints found in the anchor file as they are here.
    pub anchored: u64,
    /// Lines behind the last good checkpoint: chained, but vouched for by no signature.
    pub uncovered: u64,
    /// Openings that found something amiss, as the chain itself tells.
    pub recoveries: Vec<RecoveryNote>,
    pub problems: Vec<Problem>,
    /// Problems beyond the first thousand, counted only.
    pub more_problems: u64,
}

/// A recovery line, told again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecoveryNote {
    pub seq: u64,
    pub time: String,
    #[serde(flatten)]
    pub recovery: super::super::line::Recovery,
}

/// Something that is not as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    pub chain: String,
    /// File in the chain's directory.
    pub file: String,
    /// Line in the file, from 1; 0 when it is about the file or the chain.
    pub line: u64,
    /// Number of the line meant, and of the last one when several are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seq: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    pub what: What,
    pub detail: String,
}

/// What happened to a line, as far as the files tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    Changed,
    Removed,
    Reordered,
    Duplicate,
    /// The end of the chain is gone.
    Truncated,
    BadSignature,
    /// Signed with a key that is not the trusted one.
    UnknownKey,
    /// The last line was not written whole.
    TornTail,
    /// The head file does not belong to the log.
    HeadMismatch,
    SegmentMissing,
    /// The anchor has a checkpoint that the chain has not, or has otherwise.
    AnchorMismatch,
    /// The chain in this directory was written as another node's.
    WrongNode,
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.chain, self.file)?;
        if self.line > 0 {
            write!(f, " line {}", self.line)?;
        }
        match (self.seq, self.last_seq) {
            (Some(seq), Some(last)) if last != seq => write!(f, " (number {seq} to {last})")?,
            (Some(seq), _) => write!(f, " (number {seq})")?,
            _ => {}
        }
        write!(f, ": {}", self.detail)
    }
}

/// A chain of which only the anchor knows.
pub fn missing_chain(node: String) -> ChainReport {
    let problem = Problem {
        chain: node.clone(),
        file: String::new(),
        line: 0,
        seq: None,
        last_seq: None,
        what: What::AnchorMismatch,
        detail: "the anchor has checkpoints of this chain, the journal has no such chain".to_owned(),
    };
    ChainReport { node, problems: vec![problem], ..ChainReport::default() }
}
