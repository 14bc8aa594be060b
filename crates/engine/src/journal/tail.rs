//! The newest records, read from the end of the files, and what is added after them.
//!
//! Used by the command line. `Follow` is polled: the caller decides how often. It and `tail` share their starting
//! point, so that nothing falls between them.

use super::io_error;
use super::line::MAX_LINE;
use super::read::{Entry, Filter, Parsed, parse};
use super::segment::{self, Found, Lines};
use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use toolgate_core::Error;

/// The newest wanted records beneath `dir`, oldest of them first; 20 when the filter has no limit.
pub fn tail(dir: &Path, filter: &Filter) -> Result<Vec<Entry>, Error> {
    Follow::start(dir, filter.clone()).map(|(entries, _)| entries)
}

/// Watches a journal grow.
pub struct Follow {
    dir: PathBuf,
    filter: Filter,
    /// By node: segment and offset of the next line.
    read_to: BTreeMap<String, (u64, u64)>,
}

impl Follow {
    /// The newest records (as `tail`), and a `Follow` for those after them.
    pub fn start(dir: &Path, filter: Filter) -> Result<(Vec<Entry>, Self), Error> {
        let mut follow = Self { dir: dir.to_owned(), filter, read_to: BTreeMap::new() };
        let entries = follow.newest().map_err(|e| io_error("read the journal", e))?;
        Ok((entries, follow))
    }

    /// What was added since the last call, in the order of time.
    pub fn poll(&mut self) -> Result<Vec<Entry>, Error> {
        self.added().map_err(|e| io_error("read the journal", e))
    }

    fn newest(&mut self) -> io::Result<Vec<Entry>> {
        let limit = self.filter.limit.unwrap_or(20);
        let mut entries = Vec::new();
        for (node, path) in segment::chains(&self.dir)? {
            let name: Arc<str> = node.as_str().into();
            let mut found = 0;
            let mut end = None;
            for segment in segment::list(&path)?.iter().rev() {
                let mut lines = Backwards::open(&segment.path, segment.len)?;
                let mut first = true;
                while found < limit || first {
                    let line = lines.next()?;
                    if std::mem::take(&mut first) {
                        end.get_or_insert((segment.number, lines.whole));
                    }
                    let Some(line) = line else { break };
                    if let Parsed::Wanted(entry) = parse(&line, &name, &self.filter)
                        && found < limit
                    {
                        entries.push(*entry);
                        found += 1;
                    }
                }
                if found >= limit {
                    break;
                }
            }
            if let Some(end) = end {
                self.read_to.insert(node, end);
            }
        }
        sort(&mut entries);
        entries.drain(..entries.len().saturating_sub(limit));
        Ok(entries)
    }

    fn added(&mut self) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        for (node, path) in segment::chains(&self.dir)? {
            let name: Arc<str> = node.as_str().into();
            let read_to = self.read_to.entry(node).or_default();
            for segment in segment::list(&path)? {
                if segment.number < read_to.0 {
                    continue;
                }
                if segment.number > read_to.0 {
                    *read_to = (segment.number, 0);
                }
                let mut lines = Lines::open(&segment.path, read_to.1, segment.len)?;
                loop {
                    match lines.next()? {
                        Found::Line => {
                            if let Parsed::Wanted(entry) = parse(&lines.bytes, &name, &self.filter) {
                                entries.push(*entry);
                            }
                        }
                        Found::TooLong => {}
                        Found::Partial | Found::End => break,
                    }
                    read_to.1 = lines.offset;
                }
            }
        }
        sort(&mut entries);
        Ok(entries)
    }
}

fn sort(entries: &mut [Entry]) {
    entries.sort_by(|a, b| (&a.record.time, &a.node, a.seq).cmp(&(&b.record.time, &b.node, b.seq)));
}

/// Lines of a file from the last to the first. A partial last line and lines beyond the bound are passed over.
struct Backwards {
    file: File,
    /// Offset of the first byte in `held`.
    at: u64,
    /// Read and not yet given out.
    held: Vec<u8>,
    /// Where the last whole line ends; known after the first `next`.
    whole: u64,
    /// What stands at the end of `held` is no whole line, or one too long: pass over it.
    passing: bool,
}

impl Backwards {
    fn open(path: &Path, len: u64) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, at: len, held: Vec::new(), whole: 0, passing: true })
    }

    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            if let Some(i) = self.held.iter().rposition(|b| *b == b'\n') {
                let line = self.held.split_off(i + 1);
                if self.whole == 0 {
                    self.whole = self.at + self.held.len() as u64;
                }
                self.held.pop();
                if !std::mem::take(&mut self.passing) {
                    return Ok(Some(line));
                }
                continue;
            }
            if self.held.len() > MAX_LINE {
                self.held.clear();
                self.passing = true;
            }
            if self.at == 0 {
                let line = std::mem::take(&mut self.held);
                let passing = std::mem::replace(&mut self.passing, true);
                return Ok((!passing && !line.is_empty()).then_some(line));
            }
            let size = self.at.min(64 * 1024 + self.held.len() as u64);
            self.at -= size;
            let mut block = vec![0; usize::try_from(size).unwrap_or(0)];
            self.file.read_exact_at(&mut block, self.at)?;
            block.append(&mut self.held);
            self.held = block;
        }
    }
}
