//! The journal. (signatures)

use std::path::Path;
use toolgate_core::{Error, Record};

/// An open journal: one chain of segments in a directory.
#[derive(Clone)]
pub struct Journal {}

impl Journal {
    /// Open or create the chain of `node` beneath `dir`; recovers a torn tail and says so in the chain.
    pub fn open(dir: &Path, node: &str) -> Result<Self, Error> {
        let _ = (dir, node);
        todo!()
    }

    /// Append; on return the record survives the death of the process.
    pub fn append(&self, record: &Record) -> Result<Position, Error> {
        let _ = record;
        todo!()
    }

    /// Wait until everything up to `position` is on disk (group-committed fsync).
    pub async fn durable(&self, position: Position) -> Result<(), Error> {
        let _ = position;
        todo!()
    }
}

/// A place in the chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);
