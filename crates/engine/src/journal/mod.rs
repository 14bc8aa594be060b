//! The journal: an append-only, hash-chained, signed log of every call. `docs/journal.md` has format and guarantees.
//!
//! Written by the engine (`append` before a call is answered, `durable` for what changes something); read, from files
//! alone, by the command line (`verify`, `tail`, `search`, `export`). Invariants: one process per chain (a lock);
//! one line per append, whole or not at all; a number is used once, power loss aside. `append` is one write(2) to the
//! page cache under a std mutex that is never held across an await, an fsync or the anchor file. Absent on purpose:
//! deletion, retention, rewriting.

mod anchor;
mod export;
mod flush;
mod head;
mod key;
mod line;
mod open;
mod read;
mod segment;
mod tail;
mod verify;
mod writer;

#[cfg(test)]
mod tests;

pub use export::{Format, export};
pub use key::PublicKey;
pub use read::{Entry, Filter, Reader, read};
pub use tail::{Follow, tail};
pub use verify::{
    ChainReport, KeySource, Problem, RecoveryNote, Report, TrustedKey, VerifyOptions, What, verify,
};

pub use line::event;
pub(crate) use line::now;

use anchor::Anchor;
use flush::{Shared, Synced};
use line::Draft;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use toolgate_core::record::Phase;
use toolgate_core::unit::{Size, Span};
use toolgate_core::{Error, Kind, Record};
use writer::Writer;

/// How a journal is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Journal")]
pub struct Options {
    /// A segment file is closed before it grows beyond this.
    pub segment_size: Size,
    /// A checkpoint is signed after so many lines,
    pub checkpoint_lines: u64,
    /// and this long after the first line that no checkpoint covers.
    pub checkpoint_after: Span,
    /// A file to which every signed checkpoint is appended too; keep it where this machine cannot change it.
    pub anchor: Option<PathBuf>,
    /// Whether calls are recorded. With `false` no call leaves a trace in the journal, only events do, and the gateway
    /// reports itself degraded; to measure what the journal costs.
    pub calls: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            segment_size: Size(64 << 20),
            checkpoint_lines: 1000,
            checkpoint_after: Span(Duration::from_secs(1)),
            anchor: None,
            calls: true,
        }
    }
}

/// A place in the chain: the number of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// Counters since opening.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
pub struct Stats {
    /// Records appended, and bytes of all lines written.
    pub records: u64,
    pub bytes: u64,
    /// Records that could not be written and were counted instead (`Journal::count_dropped`).
    pub dropped: u64,
    /// Appends that failed.
    pub failures: u64,
    /// Fsyncs done, and how long the last took, in milliseconds.
    pub fsyncs: u64,
    pub last_fsync_ms: f64,
    /// Checkpoints written, and those of them that did not reach the anchor file.
    pub checkpoints: u64,
    pub anchor_failures: u64,
    /// Number of the last line, and of the last line known to be on disk.
    pub seq: u64,
    pub synced: u64,
    /// An fsync has failed: nothing is durable any more until the journal is opened again.
    pub sync_failed: bool,
}

/// An open journal: one chain of segments in a directory. Cheap to clone; the last clone's drop closes it, and waits
/// for the disk, so call `close` first where waiting is unwelcome.
#[derive(Clone)]
pub struct Journal(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
    chain: PathBuf,
    node: String,
    calls: bool,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.begin_closing();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Journal {
    /// Open or create the chain of `node` beneath `dir`; recovers a torn tail and says so in the chain.
    ///
    /// A chain that another process holds is left alone and the next of `node-2` ... `node-64` is taken. Blocking.
    /// Errors: `Invalid` for a node name that is no file name, `Unavailable` when files cannot be read or written,
    /// `Internal` when the chain is damaged or its key is missing.
    pub fn open(dir: &Path, node: &str) -> Result<Self, Error> {
        Self::open_with(dir, node, Options::default())
    }

    /// `open`, with options.
    pub fn open_with(dir: &Path, node: &str, options: Options) -> Result<Self, Error> {
        Self::start(open::open(dir, node, options)?, Box::new(std::fs::File::sync_data))
    }

    fn start(writer: Writer, sync: flush::SyncFile) -> Result<Self, Error> {
        let (chain, node, calls) = (writer.chain.clone(), writer.node.clone(), writer.options.calls);
        let shared = Arc::new(Shared::new(writer, sync));
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn({
                let shared = Arc::clone(&shared);
                move || flush::run(&shared)
            })
            .map_err(|e| io_error("start the journal's thread", e))?;
        Ok(Self(Arc::new(Handle { shared, thread: Some(thread), chain, node, calls })))
    }

    /// Append; on return the record survives the death of the process.
    ///
    /// `Unavailable` when it cannot be written: the chain is then as it was before, and the next append tries again.
    /// `TooLarge` for a record of more than 4 MiB. Where calls are not recorded, theirs is at position 0: nowhere.
    pub fn append(&self, record: &Record) -> Result<Position, Error> {
        if !self.0.calls && record.phase != Phase::Event {
            return Ok(Position(0));
        }
        let draft = Draft::of(record);
        if draft.max_len() > line::MAX_LINE {
            return Err(Error::new(Kind::TooLarge, "the record of this call is larger than 4 MiB"));
        }
        let mut writer = self.0.shared.lock();
        let idle = writer.uncovered == 0;
        let appended = writer.append(&draft);
        let full = writer.uncovered >= writer.options.checkpoint_lines;
        let wake = writer.uncovered > 0 && (idle || full);
        drop(writer);
        if wake {
            self.0.shared.wake.notify_one();
        }
        appended.map(Position)
    }

    /// Wait until everything up to `position` is on disk (group-committed fsync).
    ///
    /// `Unavailable` once an fsync has failed, for good: what the kernel then holds is unknown until reopened.
    pub async fn durable(&self, position: Position) -> Result<(), Error> {
        let shared = &self.0.shared;
        let mut synced = shared.synced.subscribe();
        if synced.borrow().seq < position.0 {
            shared.want(position.0)?;
        }
        wait(&mut synced, |s| s.seq >= position.0).await
    }

    /// Sign a last checkpoint, put everything on disk, accept nothing more and let go of the chain.
    pub async fn close(&self) -> Result<(), Error> {
        let mut synced = self.0.shared.synced.subscribe();
        self.0.shared.begin_closing();
        wait(&mut synced, |s| s.closed).await
    }

    /// Counters since opening.
    pub fn stats(&self) -> Stats {
        let synced = *self.0.shared.synced.borrow();
        let writer = self.0.shared.lock();
        let anchor_failures = writer.anchor.as_ref().map_or(writer.stats.anchor_failures, Anchor::failures);
        Stats {
            seq: writer.seq,
            anchor_failures,
            synced: synced.seq,
            sync_failed: synced.failed,
            ..writer.stats.clone()
        }
    }

    /// Count a record that could not be written, where settings say drop-and-count.
    pub fn count_dropped(&self) {
        self.0.shared.lock().stats.dropped += 1;
    }

    /// Whether calls are recorded.
    pub fn records_calls(&self) -> bool {
        self.0.calls
    }

    /// Directory of the chain, and the node it is of (which has a suffix when the node's own chain was held).
    pub fn chain(&self) -> (&Path, &str) {
        (&self.0.chain, &self.0.node)
    }
}

async fn wait(synced: &mut watch::Receiver<Synced>, done: impl Fn(&Synced) -> bool) -> Result<(), Error> {
    let state = synced.wait_for(|s| s.failed || s.stopped || done(s)).await;
    if state.is_ok_and(|s| !s.failed && done(&s)) {
        return Ok(());
    }
    Err(Error::new(
        Kind::Unavailable,
        "the journal could not be put on disk; look after the disk and restart the gateway",
    ))
}

/// A damaged journal; the text says what to do.
fn damaged(text: String) -> Error {
    Error::new(Kind::Internal, text)
}

fn io_error(doing: &str, e: std::io::Error) -> Error {
    Error::new(Kind::Unavailable, format!("cannot {doing}: {e}")).because(e)
}
