//! The head file: number and hash of the chain's last line, rewritten in place after every append.
//!
//! It is what finds whole lines cut off behind the last checkpoint. Invariant: written after the log, so that it is
//! never ahead of it unless lines were lost. Fixed size, inside one disk sector.

use super::line::{HexHash, MOST_SEQ, hex_text};
use serde::Deserialize;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

pub const HEAD_FILE: &str = "head";
const SIZE: usize = 128;

/// What the head file says.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct HeadValue {
    pub hash: String,
    pub seq: u64,
}

/// The open head file of a chain.
pub struct Head(File);

impl Head {
    pub fn open(chain: &Path) -> io::Result<Self> {
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        Ok(Self(options.open(chain.join(HEAD_FILE))?))
    }

    pub fn write(&self, seq: u64, hash: &HexHash) -> io::Result<()> {
        let mut text = [b' '; SIZE];
        text[SIZE - 1] = b'\n';
        write!(&mut text[..SIZE - 1], "{{\"hash\":\"{}\",\"seq\":{seq}}}", hex_text(hash))?;
        self.0.write_all_at(&text, 0)
    }
}

/// Read a chain's head; `None` when it is missing or not understood.
pub fn read(chain: &Path) -> io::Result<Option<HeadValue>> {
    match File::open(chain.join(HEAD_FILE)) {
        Ok(file) => {
            let mut text = [0; SIZE];
            let head: Option<HeadValue> =
                file.read_exact_at(&mut text, 0).ok().and_then(|()| serde_json::from_slice(&text).ok());
            // Half of it, so that a chain that goes on behind lost lines has numbers left.
            Ok(head.filter(|head| head.seq <= MOST_SEQ / 2))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
