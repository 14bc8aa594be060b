//! Segments on disk: their names, and reading their lines forwards with a bound on memory.
//!
//! Used by opening, verifying and reading. Knows nothing of what lines mean.

use super::line::{MAX_LINE, MOST_SEQ};
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

/// One segment file of a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    pub number: u64,
    pub path: PathBuf,
    pub len: u64,
}

impl Segment {
    pub fn name(&self) -> String {
        file_name(self.number)
    }
}

pub fn file_name(number: u64) -> String {
    format!("{number:08}.jsonl")
}

/// Segments of a chain in order. Other files in the directory are not the journal's and are passed over.
pub fn list(chain: &Path) -> io::Result<Vec<Segment>> {
    let mut segments = Vec::new();
    for entry in std::fs::read_dir(chain)? {
        let entry = entry?;
        let name = entry.file_name();
        let number =
            name.to_str().and_then(|name| name.strip_suffix(".jsonl")).filter(|stem| stem.len() >= 8);
        let number = number.and_then(|stem| stem.parse().ok()).filter(|number| *number <= MOST_SEQ);
        let Some(number) = number else { continue };
        segments.push(Segment { number, path: entry.path(), len: entry.metadata()?.len() });
    }
    segments.sort_by_key(|segment| segment.number);
    Ok(segments)
}

/// Chains beneath a journal's directory: name and path, in the order of their names. A chain has a segment or a head.
pub fn chains(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        let path = entry.path();
        let Ok(name) = entry.file_name().into_string() else { continue };
        if path.is_dir() && (path.join(super::head::HEAD_FILE).exists() || !list(&path)?.is_empty()) {
            found.push((name, path));
        }
    }
    found.sort();
    Ok(found)
}

/// What `Lines::next` found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// A line, its newline cut off.
    Line,
    /// Bytes without a newline at the end of the file.
    Partial,
    /// A line longer than `MAX_LINE`; only its beginning is kept.
    TooLong,
    End,
}

/// Lines of a file, forwards, from an offset to a fixed end.
pub struct Lines {
    reader: io::Take<BufReader<File>>,
    pub bytes: Vec<u8>,
    /// Offset of the next line.
    pub offset: u64,
    /// Number of the line in `bytes`, from 1.
    pub number: u64,
}

impl Lines {
    pub fn open(path: &Path, from: u64, to: u64) -> io::Result<Self> {
        let mut file = File::open(path)?;
        if from > 0 {
            file.seek(SeekFrom::Start(from))?;
        }
        let reader = BufReader::with_capacity(256 * 1024, file).take(to.saturating_sub(from));
        Ok(Self { reader, bytes: Vec::with_capacity(4096), offset: from, number: 0 })
    }

    /// Read the next line into `bytes`.
    pub fn next(&mut self) -> io::Result<Found> {
        self.bytes.clear();
        let bound = MAX_LINE as u64 + 1;
        let mut read = (&mut self.reader).take(bound).read_until(b'\n', &mut self.bytes)? as u64;
        if read == 0 {
            return Ok(Found::End);
        }
        self.number += 1;
        let mut ended = self.bytes.last() == Some(&b'\n');
        let too_long = !ended && read == bound;
        let mut rest = Vec::new();
        while !ended && read >= bound {
            rest.clear();
            let more = (&mut self.reader).take(bound).read_until(b'\n', &mut rest)?;
            ended = rest.last() == Some(&b'\n');
            read += more as u64;
            if more == 0 {
                break;
            }
        }
        self.offset += read;
        if too_long {
            return Ok(Found::TooLong);
        }
        if ended {
            self.bytes.pop();
            return Ok(Found::Line);
        }
        Ok(Found::Partial)
    }
}
