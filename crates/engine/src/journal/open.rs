//! Opening a chain: take its lock, check its last segment, cut a torn tail, and say in the chain what was amiss.
//!
//! Called by `Journal::open`. Invariant: nothing is cut or lost silently, and a chain that does not hold together is
//! not continued. Reads one segment, not the whole chain: that is `verify`.

use super::anchor::Anchor;
use super::head::{self, Head};
use super::key::{self, SigningKey};
use super::line::{self, GENESIS, Header, HexHash, Line, Recovery};
use super::segment::{self, Found, Lines, Segment};
use super::writer::{Writer, open_segment};
use super::{Options, Stats, damaged, io_error};
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};
use toolgate_core::{Error, Kind, canon};

pub const LOCK_FILE: &str = "lock";
const MOST_CHAINS: usize = 64;

pub fn open(dir: &Path, node: &str, options: Options) -> Result<Writer, Error> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if node.is_empty() || node.len() > 64 || node.starts_with('.') || !node.chars().all(legal) {
        return Err(Error::invalid(
            "a node's name is 1 to 64 letters, digits, '-', '_' or '.', not beginning with '.'",
        ));
    }
    create_dir(dir).map_err(|e| io_error("create the journal's directory", e))?;
    let key = {
        // Two first openers must not make two keys.
        let lock = lock_file(dir).map_err(|e| io_error("lock the journal's directory", e))?;
        lock.lock().map_err(|e| io_error("lock the journal's directory", e))?;
        let chains = segment::chains(dir).map_err(|e| io_error("read the journal's directory", e))?;
        key::load_or_create(dir, !chains.is_empty())?
    };
    let (node, chain, lock) = free_chain(dir, node)?;
    let anchor = options.anchor.as_deref().map(Anchor::open).transpose();
    let anchor = anchor.map_err(|e| io_error("open the journal's anchor file", e))?;
    let opening = Opening { node, chain, lock, options, key, anchor };
    let segments = segment::list(&opening.chain).map_err(|e| io_error("read the journal", e))?;
    let head = head::read(&opening.chain).map_err(|e| io_error("read the journal's head", e))?;
    match last_state(&opening, segments)? {
        Some(state) => opening.resume(state, head),
        None if head.as_ref().is_none_or(|head| head.seq == 0) => {
            opening.begin().map_err(|e| io_error("create the journal", e))
        }
        None => Err(opening.broken(1, 1, "it is missing or empty")),
    }
}

struct Opening {
    node: String,
    chain: PathBuf,
    lock: File,
    options: Options,
    key: SigningKey,
    anchor: Option<Anchor>,
}

// What the last segment says.
struct State {
    segment: u64,
    len: u64,
    seq: u64,
    prev: HexHash,
    uncovered: u64,
    /// Hashes of the lines with the numbers from `lines_before + 1` on: one of them is the line that the head file names,
    /// when it is in this segment.
    lines_before: u64,
    hashes: Vec<HexHash>,
    recovery: Recovery,
    /// The segment before, when there is one.
    closed: Option<PathBuf>,
}

impl Opening {
    fn broken(&self, segment: u64, line: u64, why: &str) -> Error {
        damaged(format!(
            "journal damaged at {}/{} line {line}: {why}; run `toolgate audit verify`, then move the directory {} \
             aside to start a new chain",
            self.node,
            segment::file_name(segment),
            self.chain.display()
        ))
    }

    fn writer(self, file: File, state: &State) -> io::Result<Writer> {
        Ok(Writer {
            head: Head::open(&self.chain)?,
            chain: self.chain,
            node: self.node,
            options: self.options,
            key: self.key,
            file: Arc::new(file),
            segment: state.segment,
            len: state.len,
            seq: state.seq,
            prev: state.prev,
            dirty: false,
            buffer: Vec::with_capacity(4096),
            uncovered: state.uncovered,
            uncovered_since: (state.uncovered > 0).then(Instant::now),
            retired: Vec::new(),
            anchor: self.anchor,
            closing: false,
            wanted: 0,
            stats: Stats::default(),
            lock: Some(self.lock),
        })
    }

    // The header is on disk before anything else, so that a chain whose header is missing is a damaged one.
    fn begin(self) -> io::Result<Writer> {
        let first = self.chain.join(segment::file_name(1));
        let state = State {
            segment: 1,
            len: 0,
            seq: 0,
            prev: GENESIS,
            uncovered: 0,
            lines_before: 0,
            hashes: Vec::new(),
            recovery: Recovery::default(),
            closed: None,
        };
        let chain = self.chain.clone();
        let mut writer = self.writer(open_segment(&first)?, &state)?;
        writer.begin_segment(1)?;
        writer.retired.clear();
        writer.file.sync_all()?;
        File::open(&chain)?.sync_all()?;
        if let Some(dir) = chain.parent() {
            File::open(dir)?.sync_all()?;
        }
        Ok(writer)
    }

    fn resume(self, mut state: State, head: Option<head::HeadValue>) -> Result<Writer, Error> {
        match &head {
            None => state.recovery.head_missing = true,
            Some(head) if head.seq > state.seq => {
                state.recovery.lost_from = Some(state.seq + 1);
                state.recovery.lost_to = Some(head.seq);
            }
            Some(head) if head.seq > state.lines_before => {
                let at = usize::try_from(head.seq - state.lines_before - 1).unwrap_or(usize::MAX);
                if state.hashes.get(at).is_none_or(|hash| hash != head.hash.as_bytes()) {
                    return Err(self.broken(
                        state.segment,
                        at as u64 + 1,
                        "it is not the line the head file knows",
                    ));
                }
            }
            // A power loss can leave the head behind; whatever it says is covered by the segments before.
            Some(_) => {}
        }
        let path = self.chain.join(segment::file_name(state.segment));
        let finish = || {
            let file = open_segment(&path)?;
            file.set_len(state.len)?;
            let mut writer = self.writer(file, &state)?;
            if state.recovery.is_empty() {
                writer.head.write(state.seq, &state.prev)?;
            } else {
                // Numbers of lost lines are not used again.
                writer.seq = state.recovery.lost_to.unwrap_or(state.seq);
                writer.recovery(&state.recovery)?;
                tracing::warn!(recovery = ?state.recovery, "the journal was not closed cleanly; see its recovery line");
            }
            // The process before may have died between closing a segment and its fsync: what is published as durable
            // from here on stands on that segment and on both names.
            if let Some(closed) = &state.closed {
                File::open(closed)?.sync_all()?;
            }
            File::open(&writer.chain)?.sync_all()?;
            writer.file.sync_all()?;
            Ok(writer)
        };
        finish().map_err(|e| io_error("continue the journal", e))
    }
}

// Check the last segment that has a whole line; `None` when none has.
fn last_state(opening: &Opening, mut segments: Vec<Segment>) -> Result<Option<State>, Error> {
    let mut cut = Recovery::default();
    while let Some(last) = segments.pop() {
        let mut state = scan(opening, &last)?;
        if state.seq > 0 {
            // The torn beginning of a next segment counts as this one's tail.
            if cut.cut_bytes.is_some() {
                state.recovery = cut;
            }
            state.closed = segments.pop().map(|before| before.path);
            return Ok(Some(state));
        }
        if !segments.is_empty() {
            cut = state.recovery;
            fs::remove_file(&last.path).map_err(|e| io_error("remove a torn segment", e))?;
        }
    }
    Ok(None)
}

fn scan(opening: &Opening, segment: &Segment) -> Result<State, Error> {
    let unreadable = |e| io_error("read the journal", e);
    let broken = |line: u64, why: &str| opening.broken(segment.number, line, why);
    let mut lines = Lines::open(&segment.path, 0, segment.len).map_err(unreadable)?;
    let mut state = State {
        segment: segment.number,
        len: 0,
        seq: 0,
        prev: GENESIS,
        uncovered: 0,
        lines_before: 0,
        hashes: Vec::new(),
        recovery: Recovery::default(),
        closed: None,
    };
    loop {
        match lines.next().map_err(unreadable)? {
            Found::End => return Ok(state),
            Found::TooLong => return Err(broken(lines.number, "it is longer than any line of a journal")),
            Found::Partial => {
                state.recovery.cut_bytes = Some(lines.bytes.len() as u64);
                state.recovery.cut_sha256 = Some(canon::sha256_hex(&lines.bytes));
                return Ok(state);
            }
            Found::Line => {}
        }
        let line =
            Line::parse(&lines.bytes).ok_or_else(|| broken(lines.number, "it is no line of a journal"))?;
        if lines.number == 1 {
            check_header(opening, segment, &lines.bytes).map_err(|why| broken(1, why))?;
            state.lines_before = line.seq.saturating_sub(1);
        } else {
            if line.prev.as_bytes() != state.prev {
                return Err(broken(
                    lines.number,
                    "it does not continue the line before, or that line was changed",
                ));
            }
            let lost = line.phase == "recovery" && line.seq > state.seq;
            if line.seq != state.seq + 1 && !lost {
                return Err(broken(lines.number, "its number does not follow"));
            }
            // Keep the index by number whole across numbers that were lost.
            let gap = usize::try_from(line.seq - state.seq - 1).unwrap_or(0);
            if gap > 0 {
                state.hashes.clear();
                state.lines_before = line.seq - 1;
            }
        }
        state.uncovered = if line.phase == "checkpoint" { 0 } else { state.uncovered + 1 };
        state.seq = line.seq;
        state.prev = line::hash(&lines.bytes);
        state.hashes.push(state.prev);
        state.len = lines.offset;
    }
}

fn check_header(opening: &Opening, segment: &Segment, line: &[u8]) -> Result<(), &'static str> {
    let header: Header = serde_json::from_slice(line).map_err(|_| "it is not the header of a segment")?;
    if header.format != line::FORMAT {
        return Err("it is of a format that this version does not write");
    }
    if header.segment != segment.number || header.node != opening.node || header.seq == 0 {
        return Err("it is the header of another segment");
    }
    if header.public_key != opening.key.public_hex() {
        return Err("the chain is signed with another key than journal.key");
    }
    Ok(())
}

fn free_chain(dir: &Path, node: &str) -> Result<(String, PathBuf, File), Error> {
    for n in 1..=MOST_CHAINS {
        let name = if n == 1 { node.to_owned() } else { format!("{node}-{n}") };
        let chain = dir.join(&name);
        create_dir(&chain).map_err(|e| io_error("create the chain's directory", e))?;
        let lock = lock_file(&chain).map_err(|e| io_error("lock the chain", e))?;
        // `verify` touches the lock for a moment to see whether the chain is in use; that is no reason to move on.
        for attempt in 0..3 {
            match lock.try_lock() {
                Ok(()) => return Ok((name, chain, lock)),
                Err(TryLockError::WouldBlock) if attempt < 2 => std::thread::sleep(Duration::from_millis(10)),
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(e)) => return Err(io_error("lock the chain", e)),
            }
        }
    }
    Err(Error::new(
        Kind::Unavailable,
        format!("all {MOST_CHAINS} chains of node {node} are held by other processes; stop some of them"),
    ))
}

fn lock_file(dir: &Path) -> io::Result<File> {
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(dir.join(LOCK_FILE))
}

fn create_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}
