//! `Stream`: the events of one answer (or of a session's own stream), kept so that a legacy client that lost its
//! connection can come back for the rest with `Last-Event-ID`.
//!
//! Writers never wait. What is kept is bounded, of one stream and of all (`room`), and the oldest goes first; one reader
//! at a time, the newest.

use super::room::Room;
use axum::body::Bytes;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;
use toolgate_wire::sse;

// Events and bytes of one stream that are kept.
const MAX_EVENTS: usize = 1024;
const MAX_BYTES: usize = 8 << 20;
/// What keeping an event takes beside its bytes, about.
pub(super) const KEEPING: usize = 64;
/// How long a client that was let go waits before it comes back.
const RETRY: Duration = Duration::from_millis(500);

/// One stream of a session.
pub(super) struct Stream {
    pub number: u64,
    state: Mutex<State>,
    news: Notify,
    room: Arc<Room>,
    entry: u64,
}

/// How much a stream keeps, in the order in which streams give it up: last those with nothing but one event that nobody
/// has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct KeptEvents {
    spare: bool,
    pub bytes: usize,
}

#[derive(Default)]
struct State {
    /// Number of the first event that is kept; the first of all is 1, because 0 is the one that opens the stream.
    first: u64,
    events: VecDeque<Bytes>,
    bytes: usize,
    /// Nothing comes any more.
    ended: bool,
    /// The newest event that was read.
    read: u64,
    /// The reader that may read; one of before ends.
    reader: u64,
}

/// An event id as a client sends it back: the stream, and the event in it.
pub(super) fn parse_id(text: &str) -> Option<(u64, u64)> {
    let (stream, event) = text.split_once('-')?;
    Some((stream.parse().ok()?, event.parse().ok()?))
}

impl State {
    fn all_read(&self) -> bool {
        self.read + 1 >= self.first + self.events.len() as u64
    }

    fn drop_oldest(&mut self, room: &Room) {
        if let Some(old) = self.events.pop_front() {
            self.bytes -= old.len() + KEEPING;
            room.free(old.len() + KEEPING);
            self.first += 1;
        }
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.room.free(self.lock().bytes);
        self.room.leave(self.entry);
    }
}

impl Stream {
    pub fn new(number: u64, room: &Arc<Room>) -> Arc<Self> {
        Arc::new_cyclic(|this| Self {
            number,
            state: Mutex::new(State { first: 1, ..State::default() }),
            news: Notify::new(),
            room: room.clone(),
            entry: room.enter(this),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message for the reader.
    pub fn push(&self, message: &[u8]) {
        let mut state = self.lock();
        if state.ended {
            return;
        }
        let number = state.first + state.events.len() as u64;
        let event = sse::event(&format!("{}-{number}", self.number), message);
        state.bytes += event.len() + KEEPING;
        self.room.take(event.len() + KEEPING);
        state.events.push_back(event.into());
        while state.events.len() > MAX_EVENTS || (state.bytes > MAX_BYTES && state.events.len() > 1) {
            state.drop_oldest(&self.room);
        }
        drop(state);
        self.room.make();
        self.news.notify_waiters();
    }

    /// How much is kept.
    pub fn kept(&self) -> KeptEvents {
        let state = self.lock();
        KeptEvents { spare: state.events.len() > 1 || state.all_read(), bytes: state.bytes }
    }

    /// Give up the older half of what is kept; one event that nobody has read only when there is no other.
    pub fn give(&self) {
        let mut state = self.lock();
        let half = state.bytes / 2;
        state.drop_oldest(&self.room);
        while state.bytes > half && (state.events.len() > 1 || state.all_read()) {
            state.drop_oldest(&self.room);
        }
        state.events.shrink_to_fit();
    }

    /// Nothing comes any more.
    pub fn end(&self) {
        self.lock().ended = true;
        self.news.notify_waiters();
    }

    /// Nothing comes any more, and what is there is read no more.
    pub fn cut(&self) {
        let mut state = self.lock();
        state.ended = true;
        while !state.events.is_empty() {
            state.drop_oldest(&self.room);
        }
        drop(state);
        self.news.notify_waiters();
    }

    pub fn is_ended(&self) -> bool {
        self.lock().ended
    }

    /// Ends when nothing comes any more.
    pub async fn ended(&self) {
        loop {
            let news = self.news.notified();
            tokio::pin!(news);
            // Enlisted before the look, so that nothing that comes in between is missed.
            news.as_mut().enable();
            if self.is_ended() {
                return;
            }
            news.await;
        }
    }

    /// Let the reader go; it comes back.
    pub fn pause(&self) {
        self.lock().reader += 1;
        self.news.notify_waiters();
    }

    /// Number of the newest event.
    pub fn newest(&self) -> u64 {
        let state = self.lock();
        state.first + state.events.len() as u64 - 1
    }

    /// What opens a reading of what comes after this event: nothing but an id to come back with, and how soon.
    pub fn opening(&self, after: u64) -> Bytes {
        sse::opening(&format!("{}-{after}", self.number), RETRY).into()
    }

    /// Read what comes after this event, or next when there is no such event yet (a client may come back with one of before
    /// a restart). Whoever read before ends.
    pub fn read(self: &Arc<Self>, after: u64) -> Reader {
        let mut state = self.lock();
        state.reader += 1;
        let turn = state.reader;
        let next = after.min(state.first + state.events.len() as u64 - 1) + 1;
        drop(state);
        self.news.notify_waiters();
        Reader { stream: self.clone(), turn, next }
    }
}

/// Reads a stream to its end, or until another reads.
pub(super) struct Reader {
    stream: Arc<Stream>,
    turn: u64,
    next: u64,
}

impl Reader {
    /// The next event; `None` at the end of the stream, or of this reader's turn.
    pub async fn next(&mut self) -> Option<Bytes> {
        loop {
            let news = self.stream.news.notified();
            tokio::pin!(news);
            // Enlisted before the look, so that nothing that comes in between is missed.
            news.as_mut().enable();
            {
                let mut state = self.stream.lock();
                let at = usize::try_from(self.next.saturating_sub(state.first)).unwrap_or(usize::MAX);
                if let Some(event) = state.events.get(at).filter(|_| state.reader == self.turn).cloned() {
                    self.next = state.first + at as u64 + 1;
                    state.read = state.read.max(self.next - 1);
                    return Some(event);
                }
                if state.ended || state.reader != self.turn {
                    return None;
                }
            }
            news.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn texts(mut reader: Reader) -> Vec<String> {
        let mut all = Vec::new();
        while let Some(event) = reader.next().await {
            all.push(String::from_utf8(event.to_vec()).unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_reader_that_comes_back_gets_the_rest() {
        let stream = Stream::new(3, &Room::new(64 << 20));
        stream.push(b"1");
        let mut first = stream.read(0);
        assert_eq!(first.next().await.unwrap(), "id: 3-1\nevent: message\ndata: 1\n\n");
        stream.pause();
        assert_eq!(first.next().await, None, "let go");
        stream.push(b"2");
        stream.push(b"3");
        stream.end();
        stream.push(b"4");
        let rest = texts(stream.read(1)).await;
        assert_eq!(rest.len(), 2);
        assert!(rest[0].starts_with("id: 3-2\n") && rest[1].ends_with("data: 3\n\n"));
        assert_eq!(parse_id("3-2"), Some((3, 2)));
    }

    #[tokio::test]
    async fn the_newest_reader_reads() {
        let stream = Stream::new(1, &Room::new(64 << 20));
        let old = tokio::spawn(texts(stream.read(0)));
        tokio::task::yield_now().await;
        let new = tokio::spawn(texts(stream.read(0)));
        tokio::task::yield_now().await;
        stream.push(b"x");
        stream.end();
        assert!(old.await.unwrap().is_empty());
        assert_eq!(new.await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn what_is_kept_is_bounded() {
        let stream = Stream::new(1, &Room::new(64 << 20));
        for n in 0..MAX_EVENTS + 10 {
            stream.push(n.to_string().as_bytes());
        }
        stream.push(&vec![b'1'; MAX_BYTES]);
        assert_eq!(stream.lock().events.len(), 1, "the newest always stays");
        assert_eq!(stream.newest(), MAX_EVENTS as u64 + 11);
        stream.end();
        assert_eq!(texts(stream.read(5)).await.len(), 1);
    }
}
