//! What a child writes to its standard error: line by line into the log, the last lines kept for error messages.
//!
//! Lines are cut, their number in the log is bounded, and secrets are masked before anything is kept: those that look like one, and the values that
//! the child was given.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncReadExt};
use toolgate_core::redact;

const LINES: usize = 50;
const LONGEST_READ: usize = 16 << 10;
const LONGEST_KEPT: usize = 1000;
/// Lines in the log, in a second and in a minute.
const LOGGED: u32 = 50;
const LOGGED_LONG: u32 = 600;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_mins(1);
/// Shorter values are words that stand for many things.
const SHORTEST_SECRET: usize = 6;

/// The last lines. Cheap to clone.
#[derive(Clone, Default)]
pub(super) struct Tail(Arc<Mutex<VecDeque<String>>>);

impl Tail {
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn push(&self, line: String) {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(line);
    }
}

/// Masks what must not be shown.
#[derive(Clone)]
pub(super) struct Mask(Arc<[String]>);

impl Mask {
    pub fn new(mut secrets: Vec<String>) -> Self {
        secrets.retain(|s| s.len() >= SHORTEST_SECRET);
        // One may be part of another.
        secrets.sort_by_key(|s| std::cmp::Reverse(s.len()));
        Self(secrets.into())
    }

    pub fn text(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for secret in self.0.iter() {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), redact::MASK);
            }
        }
        redact::text(&text).into_owned()
    }
}

/// Read to the end.
pub(super) async fn capture(stderr: impl AsyncRead + Unpin, name: Arc<str>, tail: Tail, mask: Mask) {
    let mut sink =
        Sink { name, tail, mask, second: (Instant::now(), 0), minute: (Instant::now(), 0), unlogged: 0 };
    let mut stderr = stderr;
    let mut line = Vec::new();
    let mut chunk = vec![0u8; 8 << 10];
    loop {
        let read = stderr.read(&mut chunk).await.unwrap_or(0);
        if read == 0 {
            break;
        }
        for byte in &chunk[..read] {
            match byte {
                b'\n' => sink.line(&std::mem::take(&mut line)),
                // What is longer is not looked at.
                _ if line.len() >= LONGEST_READ => {}
                _ => line.push(*byte),
            }
        }
    }
    sink.line(&line);
    sink.note();
}

struct Sink {
    name: Arc<str>,
    tail: Tail,
    mask: Mask,
    /// When it began, and the lines in it.
    second: (Instant, u32),
    minute: (Instant, u32),
    unlogged: u64,
}

impl Sink {
    fn line(&mut self, bytes: &[u8]) {
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_end();
        if text.is_empty() {
            return;
        }
        let shown: String = self.mask.text(text).chars().filter(|c| !c.is_control() || *c == '\t').collect();
        let shown = redact::shortened(&shown, LONGEST_KEPT);
        if self.minute.0.elapsed() >= MINUTE {
            self.minute = (Instant::now(), 0);
        }
        // In a minute that is full one note is enough.
        let full = self.minute.1 >= LOGGED_LONG;
        if !full && self.second.0.elapsed() >= SECOND {
            self.note();
            self.second = (Instant::now(), 0);
        }
        if !full && self.second.1 < LOGGED {
            self.second.1 += 1;
            self.minute.1 += 1;
            tracing::info!(server = %self.name, "stderr: {shown}");
        } else {
            self.unlogged += 1;
        }
        self.tail.push(shown);
    }

    fn note(&mut self) {
        if self.unlogged > 0 {
            tracing::info!(server = %self.name, lines = self.unlogged, "stderr: more than {LOGGED} lines in a second or {LOGGED_LONG} in a minute, not logged");
            self.unlogged = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn lines_are_kept_cut_and_masked() {
        let mut input = Vec::new();
        for n in 0..100 {
            input.extend_from_slice(format!("line {n}\n").as_bytes());
        }
        input.extend_from_slice(
            b"key=hunter2hunter2 \x1b[31mAuthorization: Bearer abcdefghijklmnopqrstuvwxyz\n",
        );
        input.extend(vec![b'x'; 1 << 20]);
        input.extend_from_slice(b"\nlast without newline");
        let tail = Tail::default();
        let mask = Mask::new(vec!["hunter2hunter2".into(), "x".into()]);
        capture(&input[..], "s".into(), tail.clone(), mask).await;
        let lines = tail.lines();
        assert_eq!(lines.len(), LINES);
        assert_eq!(lines[LINES - 1], "last without newline");
        assert!(lines[LINES - 2].starts_with("xxx") && lines[LINES - 2].len() < 1100);
        let secret = &lines[LINES - 3];
        assert!(
            !secret.contains("hunter2") && !secret.contains("abcdefgh") && !secret.contains('\x1b'),
            "{secret}"
        );
    }
}
