//! What is kept of a stream of output: the first half and the last half of a limit, and a count of what was cut.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

struct Kept {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    max_head: usize,
    max_tail: usize,
    cut: u64,
}

impl Kept {
    fn new(max: usize) -> Self {
        Self { head: Vec::new(), tail: VecDeque::new(), max_head: max - max / 2, max_tail: max / 2, cut: 0 }
    }

    fn push(&mut self, bytes: &[u8]) {
        let (first, rest) = bytes.split_at(bytes.len().min(self.max_head - self.head.len()));
        self.head.extend_from_slice(first);
        let skipped = rest.len().saturating_sub(self.max_tail);
        let rest = &rest[skipped..];
        let over = (self.tail.len() + rest.len()).saturating_sub(self.max_tail);
        self.tail.drain(..over);
        self.tail.extend(rest);
        self.cut += (skipped + over) as u64;
    }

    fn text(&mut self) -> (String, u64) {
        let mut head = std::mem::take(&mut self.head);
        let tail = Vec::from(std::mem::take(&mut self.tail));
        if self.cut == 0 {
            head.extend(tail);
            return (String::from_utf8_lossy(&head).into_owned(), 0);
        }
        // A character that the cut went through is dropped whole, not shown as a replacement mark.
        let end = match std::str::from_utf8(&head) {
            Err(e) if e.error_len().is_none() => e.valid_up_to(),
            _ => head.len(),
        };
        let start = tail.iter().take(3).take_while(|b| **b & 0xc0 == 0x80).count();
        let cut = self.cut + (head.len() - end + start) as u64;
        let text = format!(
            "{}\n[... {cut} bytes cut ...]\n{}",
            String::from_utf8_lossy(&head[..end]),
            String::from_utf8_lossy(&tail[start..])
        );
        (text, cut)
    }
}

/// Reads a stream to its end in a task of its own, so that a child never waits for its reader.
pub(super) struct Capture {
    kept: Arc<Mutex<Kept>>,
    task: JoinHandle<()>,
}

impl Capture {
    pub(super) fn start(stream: Option<impl AsyncRead + Unpin + Send + 'static>, max: usize) -> Self {
        let kept = Arc::new(Mutex::new(Kept::new(max)));
        let into = kept.clone();
        let task = tokio::spawn(async move {
            let Some(mut stream) = stream else { return };
            let mut buffer = vec![0; 16 * 1024];
            while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                into.lock().unwrap_or_else(PoisonError::into_inner).push(&buffer[..n]);
            }
        });
        Self { kept, task }
    }

    /// The text and the bytes cut. Waits until `deadline` for the stream's end: something that left the group of the
    /// child may hold it open.
    pub(super) async fn finish(mut self, deadline: tokio::time::Instant) -> (String, u64) {
        let _ = tokio::time::timeout_at(deadline, &mut self.task).await;
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).text()
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(max: usize, chunks: &[&[u8]]) -> (String, u64) {
        let mut kept = Kept::new(max);
        for chunk in chunks {
            kept.push(chunk);
        }
        kept.text()
    }

    #[test]
    fn head_and_tail() {
        assert_eq!(keep(10, &[b"hello", b"world"]), ("helloworld".into(), 0));
        assert_eq!(keep(4, &[b"abcdefgh"]), ("ab\n[... 4 bytes cut ...]\ngh".into(), 4));
        assert_eq!(keep(4, &[b"abc", b"de", b"fgh"]), ("ab\n[... 4 bytes cut ...]\ngh".into(), 4));
        assert_eq!(keep(0, &[b"abc"]), ("\n[... 3 bytes cut ...]\n".into(), 3));
        // U+00E9 is two bytes; the cuts go through one on each side.
        assert_eq!(keep(6, &["aaéxxxxéaa".as_bytes()]), ("aa\n[... 8 bytes cut ...]\naa".into(), 8));
    }
}
