//! Reads what a child says, line by line, and hands it on; ends the child when it talks garbage, and tells everybody when it is gone.

use super::super::{ANY_DEPTH, Incoming, LONGEST_NOTIFICATION};
use super::Shared;
use super::pending::{Given, Place};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncBufRead, AsyncRead, BufReader, ReadBuf};
use tokio::process::ChildStdout;
use toolgate_core::json_text::Whole;
use toolgate_core::{Kind, redact};
use toolgate_host::child::Child;
use toolgate_wire::line::{Line, LineReader};
use toolgate_wire::message::parse_str;
use toolgate_wire::{Body, Message};

/// Lines in a row that are no message, and bytes of them: then this is no MCP server.
const MOST_GARBAGE: u32 = 100;
const MOST_GARBAGE_BYTES: usize = 1 << 20;
/// How long everything waits for one reader that does not keep up, once.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a child may take to end after it closed its output, before it is told to.
const LINGER: Duration = Duration::from_secs(1);
/// Bytes of its standard error in a failure.
const LAST_WORDS: usize = 2000;
/// Bytes kept of each end of a line.
const ENDS: usize = 256;

/// Until the end of the output.
pub(super) async fn read(stdout: ChildStdout, max: usize, shared: Arc<Shared>, child: Arc<Child>) {
    let ends = Arc::new(Mutex::new(Ends::default()));
    let tap = Tap { inner: BufReader::with_capacity(64 << 10, stdout), ends: ends.clone() };
    let mut reader = Reader { shared, child, max, garbage: 0, garbage_bytes: 0, stalled: None };
    let why = reader.lines(LineReader::new(tap, max), &ends).await;
    if why.is_some() {
        reader.child.kill();
    } else if tokio::time::timeout(LINGER, reader.child.ended()).await.is_err() {
        reader.child.stop();
    }
    let ended = reader.child.ended().await;
    let mut what = match why {
        Some(why) => format!("was ended: {why}"),
        None if ended.asked => "closed its standard output and was ended".to_owned(),
        None => format!("is gone: {ended}"),
    };
    let tail = reader.child.tail();
    if !tail.is_empty() {
        let last = tail[tail.len().saturating_sub(10)..].join(" | ");
        what.push_str("; its last words: ");
        what.push_str(&redact::shortened(&last, LAST_WORDS));
    }
    let failure = reader.shared.failure(Kind::Unavailable, what);
    reader.shared.say_gone(failure);
}

struct Reader {
    shared: Arc<Shared>,
    child: Arc<Child>,
    max: usize,
    garbage: u32,
    garbage_bytes: usize,
    /// A reader that was waited for once and is not waited for again.
    stalled: Option<Place>,
}

impl Reader {
    /// Why the child must be ended, if it is not its own end.
    async fn lines(&mut self, mut lines: LineReader<Tap>, ends: &Mutex<Ends>) -> Option<String> {
        loop {
            match lines.next().await {
                Ok(Line::Text(line)) => {
                    if let Some(why) = self.line(line).await {
                        return Some(why);
                    }
                }
                Ok(Line::TooLong) => self.too_long(ends),
                Ok(Line::End) | Err(_) => return None,
            }
        }
    }

    async fn line(&mut self, line: Vec<u8>) -> Option<String> {
        let whole: Whole = match String::from_utf8(line) {
            Ok(line) => Arc::new(line),
            Err(error) => return self.rubbish(error.as_bytes()),
        };
        let line: &str = (*whole).as_ref();
        let batch = match parse_str(line, ANY_DEPTH) {
            Ok(Body::One(message)) => {
                self.garbage = 0;
                self.garbage_bytes = 0;
                let (place, call) = self.placed(&message);
                self.hand(place, call, &Incoming::of(&whole, line, message)).await;
                return None;
            }
            Ok(Body::Batch(_)) => true,
            Err(malformed) => {
                let id = malformed.id.as_ref().and_then(|id| {
                    let place = Message::Response { id: Some(id.clone()), result: None, error: None };
                    match self.shared.pending().place(&place) {
                        Place::Response(id) => Some(id),
                        _ => None,
                    }
                });
                if let Some(id) = id {
                    let what =
                        format!("answered with what is no JSON-RPC response: {}", malformed.fault.message);
                    self.shared.pending().fail(&id, self.shared.failure(Kind::Unavailable, what));
                    return None;
                }
                false
            }
        };
        if !batch {
            return self.rubbish(line.as_bytes());
        }
        // Once legal; each is looked at for itself.
        let items: Vec<&serde_json::value::RawValue> = serde_json::from_str(line).unwrap_or_default();
        for item in items {
            if let Ok(Body::One(message)) = parse_str(item.get(), ANY_DEPTH) {
                let (place, call) = self.placed(&message);
                self.hand(place, call, &Incoming::of(&whole, item.get(), message)).await;
            }
        }
        None
    }

    /// Where it goes, and whether it wants an answer.
    fn placed(&self, message: &Message<'_>) -> (Place, bool) {
        (self.shared.pending().place(message), matches!(message, Message::Request(_)))
    }

    async fn hand(&mut self, place: Place, wants_answer: bool, message: &Incoming) {
        if message.len() > LONGEST_NOTIFICATION && !matches!(place, Place::Response(_)) {
            tracing::warn!(server = %self.shared.name, bytes = message.len(), "a notification or request is too long and was dropped");
            return;
        }
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            if self.shared.pending().give(&place, message) == Given::Yes {
                if self.stalled.as_ref() == Some(&place) {
                    self.stalled = None;
                }
                return;
            }
            let waited = self.stalled.as_ref() == Some(&place) || tokio::time::Instant::now() >= deadline;
            if waited {
                break;
            }
            // The queue of a channel cannot be waited for without holding a place in it.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if self.stalled.as_ref() != Some(&place) {
            tracing::warn!(server = %self.shared.name, "sends faster than its messages are taken; notifications are dropped");
        }
        if let (true, Place::Request(id)) = (wants_answer, &place) {
            let what = "asks for something while its earlier messages are not taken: the call was given up";
            self.shared.pending().fail(id, self.shared.failure(Kind::Unavailable, what));
        }
        self.stalled = Some(place);
    }

    fn rubbish(&mut self, line: &[u8]) -> Option<String> {
        self.garbage += 1;
        self.garbage_bytes += line.len();
        let start = String::from_utf8_lossy(&line[..line.len().min(2000)]).into_owned();
        let shown: String = self.child.masked(&start).chars().filter(|c| !c.is_control()).collect();
        let shown = redact::shortened(&shown, 300);
        if self.garbage <= 10 {
            tracing::warn!(server = %self.shared.name, line = shown, "a line on standard output is no JSON-RPC message (logs belong on standard error)");
        }
        (self.garbage >= MOST_GARBAGE || self.garbage_bytes >= MOST_GARBAGE_BYTES).then(|| {
            format!(
                "it wrote {} lines ({} bytes) in a row to its standard output that are no JSON-RPC messages, the last: {shown}",
                self.garbage, self.garbage_bytes
            )
        })
    }

    fn too_long(&self, ends: &Mutex<Ends>) {
        let (head, tail) = ends.lock().unwrap_or_else(PoisonError::into_inner).finished.clone();
        let what =
            format!("sent a message longer than {} bytes, which are the most (`max_message`)", self.max);
        tracing::warn!(server = %self.shared.name, "{what}");
        let mut pending = self.shared.pending();
        if let Some(id) = pending.too_long(&head, &tail) {
            pending.fail(&id, self.shared.failure(Kind::TooLarge, what));
        }
    }
}

/// First and last bytes of a line: those of one too long to be kept say whose it was.
#[derive(Default)]
struct Ends {
    head: Vec<u8>,
    tail: Vec<u8>,
    finished: (Vec<u8>, Vec<u8>),
}

impl Ends {
    fn took(&mut self, bytes: &[u8]) {
        let (part, ended) = match bytes.split_last() {
            Some((b'\n', part)) => (part, true),
            _ => (bytes, false),
        };
        let room = ENDS.saturating_sub(self.head.len()).min(part.len());
        self.head.extend_from_slice(&part[..room]);
        if part.len() >= ENDS {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&part[part.len().saturating_sub(ENDS)..]);
        let over = self.tail.len().saturating_sub(ENDS);
        self.tail.drain(..over);
        if ended {
            self.finished = (std::mem::take(&mut self.head), std::mem::take(&mut self.tail));
        }
    }
}

/// A reader that keeps the ends of the line that is read.
struct Tap {
    inner: BufReader<ChildStdout>,
    ends: Arc<Mutex<Ends>>,
}

impl AsyncRead for Tap {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl AsyncBufRead for Tap {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<&[u8]>> {
        let filled = ready!(Pin::new(&mut self.get_mut().inner).poll_fill_buf(cx));
        Poll::Ready(filled)
    }

    fn consume(mut self: Pin<&mut Self>, amount: usize) {
        let this = &mut *self;
        let taken = this.inner.buffer();
        this.ends.lock().unwrap_or_else(PoisonError::into_inner).took(&taken[..amount.min(taken.len())]);
        Pin::new(&mut this.inner).consume(amount);
    }
}
