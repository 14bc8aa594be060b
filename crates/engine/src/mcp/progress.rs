//! Progress of a running call as `notifications/progress` on the stream of its request.

use std::sync::Mutex;
use tokio::sync::mpsc::Sender;
use toolgate_core::ctx::ProgressSink;
use toolgate_wire::{Id, notify};

/// Takes JSON-RPC messages that go out before the answer, in order.
pub type Outbox = Sender<Vec<u8>>;

pub(super) struct Progress {
    token: Id,
    outbox: Outbox,
    last: Mutex<f64>,
}

impl Progress {
    pub fn new(token: Id, outbox: Outbox) -> Self {
        Self { token, outbox, last: Mutex::new(f64::NEG_INFINITY) }
    }
}

impl ProgressSink for Progress {
    // The protocol wants the number to grow with each notification, so anything else is not sent. A client that reads
    // slowly misses steps: progress never holds up the work, nor piles up.
    fn progress(&self, done: f64, total: Option<f64>, message: Option<&str>) {
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if done.is_nan() || done <= *last || self.outbox.capacity() == 0 {
            return;
        }
        if let Some(text) = notify::progress(&self.token, done, total, message)
            && self.outbox.try_send(text).is_ok()
        {
            *last = done;
        }
    }
}
