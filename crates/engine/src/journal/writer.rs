//! The writing end of a chain: adds a line to the log and moves the head, or leaves both as they were.
//!
//! Lives behind the mutex of `flush::Shared`; made by `open`. Invariant: between calls the segment ends with a whole
//! line, the one that `seq` and `prev` name; after a failure that could not be undone, `dirty` makes the next call
//! undo it first. Never calls fsync, never waits for the anchor.

use super::anchor::Anchor;
use super::head::Head;
use super::key::SigningKey;
use super::line::{self, Draft, HexHash, Place, Recovery};
use super::{Options, Stats, segment};
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;
use toolgate_core::{Error, Kind};

pub struct Writer {
    pub chain: PathBuf,
    pub node: String,
    pub options: Options,
    pub key: SigningKey,
    pub file: Arc<File>,
    /// Number of the open segment and the length of its whole lines.
    pub segment: u64,
    pub len: u64,
    pub head: Head,
    /// Number and hash of the last line.
    pub seq: u64,
    pub prev: HexHash,
    /// Bytes beyond `len` may be in the file.
    pub dirty: bool,
    pub buffer: Vec<u8>,
    /// Lines that no checkpoint covers, and since when there are some.
    pub uncovered: u64,
    pub uncovered_since: Option<Instant>,
    /// Closed segments not yet fsynced; the directory too, when there are some.
    pub retired: Vec<Arc<File>>,
    pub anchor: Option<Anchor>,
    pub closing: bool,
    pub wanted: u64,
    pub stats: Stats,
    /// Held for its lock alone, until closed.
    pub lock: Option<File>,
}

impl Writer {
    /// Append a record; its number.
    pub fn append(&mut self, draft: &Draft) -> Result<u64, Error> {
        if self.closing {
            return Err(Error::new(Kind::Unavailable, "the journal is closed; the gateway is shutting down"));
        }
        let written = self.rotate_before(draft.max_len() as u64).and_then(|()| {
            draft.fill(&Place { seq: self.seq + 1, prev: &self.prev }, &mut self.buffer);
            self.write_buffer()
        });
        if let Err(e) = written {
            self.stats.failures += 1;
            return Err(Error::new(
                Kind::Unavailable,
                format!("the journal cannot be written: {e}; free space or repair the disk, then try again"),
            )
            .because(e));
        }
        self.stats.records += 1;
        self.count_uncovered();
        Ok(self.seq)
    }

    /// Sign a checkpoint over everything so far.
    pub fn checkpoint(&mut self) -> io::Result<()> {
        let line = line::checkpoint_line(&self.next(), &self.node, &self.key);
        self.write_text(&line)?;
        self.uncovered = 0;
        self.uncovered_since = None;
        self.stats.checkpoints += 1;
        if let Some(anchor) = &self.anchor {
            anchor.put(&self.buffer);
        }
        Ok(())
    }

    pub fn recovery(&mut self, recovery: &Recovery) -> io::Result<()> {
        let line = line::recovery_line(&self.next(), recovery);
        self.write_text(&line)?;
        self.count_uncovered();
        Ok(())
    }

    /// Begin the segment `number` with its header.
    pub fn begin_segment(&mut self, number: u64) -> io::Result<()> {
        // Here, because `write_buffer` would then cut the new file.
        if self.dirty {
            self.file.set_len(self.len)?;
            self.dirty = false;
        }
        let path = self.chain.join(segment::file_name(number));
        let file = open_segment(&path)?;
        file.set_len(0)?;
        let line = line::header_line(&self.next(), &self.node, number, self.key.public_hex());
        let before = (std::mem::replace(&mut self.file, Arc::new(file)), std::mem::take(&mut self.len));
        if let Err(e) = self.write_text(&line) {
            (self.file, self.len) = before;
            self.dirty = false;
            let _ = std::fs::remove_file(&path);
            return Err(e);
        }
        self.retired.push(before.0);
        self.segment = number;
        self.count_uncovered();
        Ok(())
    }

    // A closed segment ends with a checkpoint, so that each can be checked alone.
    fn rotate_before(&mut self, more: u64) -> io::Result<()> {
        if self.len + more <= self.options.segment_size.0 || self.len < 1024 {
            return Ok(());
        }
        if self.uncovered > 0 {
            self.checkpoint()?;
        }
        self.begin_segment(self.segment + 1)
    }

    fn next(&self) -> Place<'_> {
        Place { seq: self.seq + 1, prev: &self.prev }
    }

    fn count_uncovered(&mut self) {
        self.uncovered += 1;
        if self.uncovered == 1 {
            self.uncovered_since = Some(Instant::now());
        }
    }

    fn write_text(&mut self, line: &str) -> io::Result<()> {
        self.buffer.clear();
        self.buffer.extend_from_slice(line.as_bytes());
        self.buffer.push(b'\n');
        self.write_buffer()
    }

    fn write_buffer(&mut self) -> io::Result<()> {
        if self.dirty {
            self.file.set_len(self.len)?;
        }
        let hash = line::hash(&self.buffer[..self.buffer.len() - 1]);
        self.dirty = true;
        let written =
            (&*self.file).write_all(&self.buffer).and_then(|()| self.head.write(self.seq + 1, &hash));
        if let Err(e) = written {
            self.dirty = self.file.set_len(self.len).is_err();
            return Err(e);
        }
        self.dirty = false;
        self.len += self.buffer.len() as u64;
        self.stats.bytes += self.buffer.len() as u64;
        self.seq += 1;
        self.prev = hash;
        Ok(())
    }
}

/// Open a segment for appending, made when it is not there.
pub fn open_segment(path: &Path) -> io::Result<File> {
    std::fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}
