//! `Arriving`: what of a message has come in on a WebSocket and is not a message yet.
//!
//! Called by `ws` only. The library shows whole messages; what it keeps of those that are not whole is the difference
//! between the bytes that the connection took in and those that were accounted for. It counts among the bodies of its
//! caller, and it has to become a message in `http.body_timeout`, as a body has to.

use crate::holdings::{Full, Held};
use crate::listen::Received;
use axum::extract::ws::{Message, WebSocket};
use futures_util::StreamExt;
use futures_util::stream::SplitStream;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
use tokio::time::Instant;

/// What happened on the socket.
pub(super) enum Step {
    Came(Option<Result<Message, axum::Error>>),
    /// A message has begun or goes on, and is due at a time.
    Part,
}

pub(super) struct Arriving {
    /// Absent where nobody counts, as in tests without a listener.
    received: Option<Received>,
    accounted: u64,
    since: Option<Instant>,
    within: Duration,
    held: Held,
}

impl Arriving {
    pub fn new(received: Option<Received>, within: Duration, held: Held) -> Self {
        let accounted = received.as_ref().map_or(0, Received::bytes);
        Self { received, accounted, since: None, within, held }
    }

    /// When the message that has begun must be there.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + self.within)
    }

    /// The next step; `Full` when what has come of a message has no room.
    pub async fn step(&mut self, stream: &mut SplitStream<WebSocket>) -> Result<Step, Full> {
        poll_fn(|cx| match stream.poll_next_unpin(cx) {
            Poll::Ready(message) => {
                if let Some(Ok(message)) = &message {
                    self.came(message);
                }
                Poll::Ready(Ok(Step::Came(message)))
            }
            Poll::Pending => match self.part() {
                Ok(false) => Poll::Pending,
                Ok(true) => Poll::Ready(Ok(Step::Part)),
                Err(full) => Poll::Ready(Err(full)),
            },
        })
        .await
    }

    fn came(&mut self, message: &Message) {
        let received = self.received.as_ref().map_or(0, Received::bytes);
        match message {
            // Frames may come in the middle of a message: two bytes, the mask and what they say.
            Message::Ping(said) | Message::Pong(said) => {
                self.accounted = (self.accounted + 6 + said.len() as u64).min(received);
                if self.accounted < received {
                    return;
                }
            }
            // The beginning of another that came with its end is at most what is read at once.
            _ => self.accounted = received,
        }
        self.since = None;
        self.held.release();
    }

    // Whether a message has just begun.
    fn part(&mut self) -> Result<bool, Full> {
        let Some(received) = &self.received else { return Ok(false) };
        let part = usize::try_from(received.bytes() - self.accounted).unwrap_or(usize::MAX);
        if part == 0 {
            return Ok(false);
        }
        self.held.grow(part.saturating_sub(self.held.bytes()))?;
        let has_begun = self.since.is_none();
        self.since.get_or_insert_with(Instant::now);
        Ok(has_begun)
    }
}
