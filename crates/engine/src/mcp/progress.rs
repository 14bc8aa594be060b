//! What goes out before the answer of a call, and its progress as `notifications/progress`.

use bytes::Bytes;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc::Sender;
use toolgate_wire::{Id, notify};

/// Something for the stream of a request.
#[derive(Debug, PartialEq)]
pub enum Out {
    /// A JSON-RPC message.
    Message(Vec<u8>),
    /// The same, an answer; for as long as it is there it holds its place (`channel::Hold`).
    Answer(Bytes),
    /// Let go of the connection; the client comes back for the rest. Where that does not exist, nothing.
    Pause,
}

/// Takes what goes out before the answer, in order.
pub type Outbox = Sender<Out>;

pub(super) struct Progress {
    token: Id,
    /// Largest notification, in bytes; a larger one is left out.
    most: usize,
    last: Mutex<f64>,
}

impl Progress {
    pub fn new(token: Id, most: usize) -> Self {
        Self { token, most, last: Mutex::new(f64::NEG_INFINITY) }
    }

    // The protocol wants the number to grow with each notification, so anything else is not sent. A client that reads
    // slowly misses steps: progress never holds up the work, nor piles up.
    pub fn report(&self, outbox: &Outbox, done: f64, total: Option<f64>, message: Option<&str>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if done.is_nan() || done <= *last || outbox.capacity() == 0 {
            return;
        }
        if let Some(text) = notify::progress(&self.token, done, total, message)
            && text.len() <= self.most
            && outbox.try_send(Out::Message(text)).is_ok()
        {
            *last = done;
        }
    }
}
