//! The anchor file's writing end: signed checkpoints, appended by a thread of its own.
//!
//! Fed by `Writer::checkpoint` under the journal's lock, closed by `flush`. Invariant: nothing waits for the file, which
//! may stand on another machine and hang; what cannot be kept waiting for it is dropped and counted. Absent on purpose:
//! a second try, since each checkpoint vouches for all before it.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

// Checkpoints that may wait for the file: a quarter of an hour of one each second.
const MOST_WAITING: usize = 1024;
// Longest that closing waits for the file.
const LIMIT: Duration = Duration::from_secs(5);

/// The open anchor file.
pub struct Anchor {
    lines: SyncSender<Vec<u8>>,
    ended: Receiver<()>,
    failures: Arc<AtomicU64>,
}

impl Anchor {
    /// Open or create the file. Blocking.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let torn = torn(&file, path)?;
        let (lines, queue) = sync_channel(MOST_WAITING);
        let (ending, ended) = channel();
        let failures = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&failures);
        std::thread::Builder::new()
            .name("journal-anchor".to_owned())
            .spawn(move || run(&file, torn, &queue, &counted, ending))?;
        Ok(Self { lines, ended, failures })
    }

    /// Have a line, newline included, appended. Never waits.
    pub fn put(&self, line: &[u8]) {
        if self.lines.try_send(line.to_vec()).is_err() {
            self.failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!("the journal's anchor file does not keep up; a checkpoint did not reach it");
        }
    }

    /// Lines that did not reach the file, so far.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Wait, for a while, until what was put is in the file. Says how many lines did not reach it.
    pub fn close(self) -> u64 {
        drop(self.lines);
        if self.ended.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
            tracing::error!("the journal's anchor file hangs; the last checkpoints did not reach it");
            self.failures.fetch_add(1, Ordering::Relaxed);
        }
        self.failures.load(Ordering::Relaxed)
    }
}

// Whether the file ends in the middle of a line, to which nothing may be glued. It may be one that cannot be read.
fn torn(file: &File, path: &Path) -> io::Result<bool> {
    let about = file.metadata()?;
    if !about.is_file() || about.len() == 0 {
        return Ok(false);
    }
    let mut last = [0];
    let read = File::open(path).and_then(|file| file.read_exact_at(&mut last, about.len() - 1));
    Ok(read.is_err() || last != *b"\n")
}

// `_ending` is dropped at the end, which tells `close`.
fn run(file: &File, mut torn: bool, lines: &Receiver<Vec<u8>>, failures: &AtomicU64, _ending: Sender<()>) {
    while let Ok(mut line) = lines.recv() {
        if torn {
            line.insert(0, b'\n');
        }
        let written = (&*file).write_all(&line);
        torn = written.is_err();
        // What is no file of a disk, a pipe for one, says that it cannot be synced.
        let kept = written.and_then(|()| match file.sync_data() {
            Err(e) if e.kind() == io::ErrorKind::InvalidInput => Ok(()),
            synced => synced,
        });
        if let Err(e) = kept {
            failures.fetch_add(1, Ordering::Relaxed);
            tracing::error!(error = %e, "a checkpoint of the journal did not reach the anchor file");
        }
    }
}
