//! The background thread of an open journal: group-committed fsync, and checkpoints when they are due.
//!
//! A std thread, because fsync blocks. One fsync serves everybody who asked before it began. Invariant: what is
//! published as synced was appended before an fsync began that succeeded; after a failed one nothing more is.

use super::writer::Writer;
use std::fs::File;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use toolgate_core::{Error, Kind};

/// How a file's data is put on disk; tests put a failing or a counting one here.
pub type SyncFile = Box<dyn Fn(&File) -> io::Result<()> + Send + Sync>;

/// What is known to be on disk.
#[derive(Debug, Clone, Copy, Default)]
pub struct Synced {
    pub seq: u64,
    /// An fsync failed; never taken back.
    pub failed: bool,
    /// Closed cleanly: final checkpoint written and everything on disk.
    pub closed: bool,
    /// The thread is gone, whatever the reason.
    pub stopped: bool,
}

/// What appenders, waiters and the thread share.
pub struct Shared {
    writer: Mutex<Writer>,
    pub wake: Condvar,
    pub synced: watch::Sender<Synced>,
    sync: SyncFile,
}

impl Shared {
    pub fn new(writer: Writer, sync: SyncFile) -> Self {
        Self { writer: Mutex::new(writer), wake: Condvar::new(), synced: watch::Sender::default(), sync }
    }

    // A panic under the lock leaves the writer `dirty`, which the next append undoes: nothing else can be amiss.
    pub fn lock(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ask for an fsync that covers `seq`.
    pub fn want(&self, seq: u64) -> Result<(), Error> {
        let mut writer = self.lock();
        if seq > writer.seq {
            return Err(Error::new(Kind::Internal, "no such place in the journal"));
        }
        writer.wanted = writer.wanted.max(seq);
        drop(writer);
        self.wake.notify_one();
        Ok(())
    }

    pub fn begin_closing(&self) {
        self.lock().closing = true;
        self.wake.notify_one();
    }

    // Fsync everything appended so far, without holding the lock.
    fn sync<'a>(&'a self, mut writer: MutexGuard<'a, Writer>) -> MutexGuard<'a, Writer> {
        let seq = writer.seq;
        let files: Vec<Arc<File>> = writer.retired.drain(..).collect();
        let current = Arc::clone(&writer.file);
        let chain = (!files.is_empty()).then(|| writer.chain.clone());
        drop(writer);
        let began = Instant::now();
        let mut result = files.iter().try_for_each(|file| (self.sync)(file));
        if let Some(chain) = chain {
            result = result.and_then(|()| File::open(chain)?.sync_all());
        }
        result = result.and_then(|()| (self.sync)(&current));
        if let Err(e) = &result {
            tracing::error!(error = %e, "the journal could not be put on disk");
        }
        let mut writer = self.lock();
        writer.stats.fsyncs += 1;
        writer.stats.last_fsync_ms = began.elapsed().as_secs_f64() * 1000.0;
        self.synced.send_modify(|synced| match result {
            Ok(()) if !synced.failed => synced.seq = seq,
            _ => synced.failed = true,
        });
        writer
    }
}

/// Run until the journal is closing.
pub fn run(shared: &Shared) {
    let _stopped = Stopped(shared);
    let mut writer = shared.lock();
    loop {
        let due = writer.uncovered_since.map(|since| since + writer.options.checkpoint_after.0);
        let now = Instant::now();
        let full = writer.uncovered >= writer.options.checkpoint_lines;
        if writer.uncovered > 0 && (writer.closing || full || due.is_some_and(|due| due <= now)) {
            match writer.checkpoint() {
                Ok(()) => writer.wanted = writer.seq,
                // Tried again when due; by then there may be space.
                Err(e) => {
                    tracing::error!(error = %e, "a checkpoint of the journal could not be written");
                    writer.uncovered_since = Some(now);
                }
            }
        }
        let synced = *shared.synced.borrow();
        if !synced.failed && (writer.wanted > synced.seq || writer.closing && writer.seq > synced.seq) {
            writer = shared.sync(writer);
            continue;
        }
        if writer.closing {
            break;
        }
        let wait = writer
            .uncovered_since
            .map_or(Duration::from_secs(3600), |since| (since + writer.options.checkpoint_after.0) - now);
        writer = shared.wake.wait_timeout(writer, wait).unwrap_or_else(PoisonError::into_inner).0;
    }
    if let Some(anchor) = writer.anchor.take() {
        drop(writer);
        let failures = anchor.close();
        writer = shared.lock();
        writer.stats.anchor_failures = failures;
    }
    // Nothing is written any more: whoever opens next may continue this chain.
    writer.lock = None;
    let covered = writer.uncovered == 0;
    shared.synced.send_modify(|synced| synced.closed = covered && !synced.failed);
}

struct Stopped<'a>(&'a Shared);

impl Drop for Stopped<'_> {
    fn drop(&mut self) {
        self.0.synced.send_modify(|synced| synced.stopped = true);
    }
}
