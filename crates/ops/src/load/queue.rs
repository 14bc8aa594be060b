//! The calls that are due and wait for a connection.
//!
//! Filled by the clock's thread, emptied by the tasks of `run`. Bounded: what does not fit is handed back, to be counted as
//! not sent. The lock is held for a push or a pop, never across an await.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::Semaphore;

/// Calls that wait at most; 24 MB.
const MOST: usize = 1_000_000;

/// One call that fell due.
#[derive(Debug, Clone, Copy)]
pub struct Due {
    pub at: Instant,
    /// When the clock got round to it.
    pub released: Instant,
}

pub struct Queue {
    due: Mutex<VecDeque<Due>>,
    ready: Semaphore,
}

impl Queue {
    pub fn new() -> Self {
        Self { due: Mutex::default(), ready: Semaphore::new(0) }
    }

    /// How many of these did not fit.
    pub fn push(&self, calls: &[Due]) -> usize {
        let fits = {
            let mut due = self.locked();
            let fits = calls.len().min(MOST - due.len());
            due.extend(&calls[..fits]);
            fits
        };
        self.ready.add_permits(fits);
        calls.len() - fits
    }

    /// Nothing comes any more: `readers` get `None` when all is taken.
    pub fn end(&self, readers: usize) {
        self.ready.add_permits(readers);
    }

    /// The call that waits longest; waits for one. `None` after the end.
    pub async fn next(&self) -> Option<Due> {
        // Never closed.
        self.ready.acquire().await.ok()?.forget();
        self.locked().pop_front()
    }

    fn locked(&self) -> MutexGuard<'_, VecDeque<Due>> {
        self.due.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
