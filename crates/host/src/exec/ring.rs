//! The last lines of a long process: a ring bounded by lines and bytes, with the unfinished last line visible.

use std::collections::VecDeque;

const MAX_LINES: usize = 10_000;
const MAX_BYTES: usize = 4 << 20;
/// A longer line is broken.
const MAX_LINE: usize = 64 << 10;

/// Lines have numbers from 0 on, over both streams in the order of arrival.
#[derive(Default)]
pub(super) struct Ring {
    lines: VecDeque<String>,
    /// Number of the first line kept.
    first: u64,
    bytes: usize,
    /// Unfinished line of stdout and of stderr.
    partial: [Vec<u8>; 2],
}

/// Lines asked for.
pub(super) struct Page {
    pub lines: Vec<String>,
    pub from: u64,
    /// The first number not given, or given unfinished.
    pub next: u64,
    pub dropped: u64,
}

impl Ring {
    /// Bytes from one of the two streams.
    pub(super) fn push(&mut self, stream: usize, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            for part in piece.chunks(MAX_LINE) {
                self.partial[stream].extend_from_slice(part);
                if self.partial[stream].ends_with(b"\n") || self.partial[stream].len() >= MAX_LINE {
                    self.finish(stream);
                }
            }
        }
    }

    /// Both streams have ended.
    pub(super) fn close(&mut self) {
        for stream in 0..2 {
            if !self.partial[stream].is_empty() {
                self.finish(stream);
            }
        }
    }

    fn finish(&mut self, stream: usize) {
        let line = text(&std::mem::take(&mut self.partial[stream]));
        self.bytes += line.len();
        self.lines.push_back(line);
        while self.lines.len() > MAX_LINES || self.bytes > MAX_BYTES {
            self.bytes -= self.lines.pop_front().map_or(0, |l| l.len());
            self.first += 1;
        }
    }

    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// Finished lines so far.
    pub(super) fn finished(&self) -> u64 {
        self.first + self.lines.len() as u64
    }

    fn partials(&self) -> impl Iterator<Item = &Vec<u8>> {
        self.partial.iter().filter(|p| !p.is_empty())
    }

    /// Lines so far, unfinished ones included.
    pub(super) fn total(&self) -> u64 {
        self.finished() + self.partials().count() as u64
    }

    /// Whether there is a finished line at or after `from`.
    pub(super) fn has(&self, from: i64) -> bool {
        self.finished() > self.start(from)
    }

    pub(super) fn unfinished(&self) -> bool {
        self.partials().next().is_some()
    }

    fn start(&self, from: i64) -> u64 {
        if from < 0 { self.total().saturating_sub(from.unsigned_abs()) } else { from as u64 }
    }

    pub(super) fn page(&self, from: i64, max: usize) -> Page {
        let wanted = self.start(from);
        // Negative means "the last ones": nothing was asked for that is gone.
        let dropped = if from < 0 { 0 } else { self.first.saturating_sub(wanted) };
        let from = wanted.clamp(self.first, self.finished());
        let mut lines: Vec<_> =
            self.lines.iter().skip((from - self.first) as usize).take(max).cloned().collect();
        let next = from + lines.len() as u64;
        if next == self.finished() {
            let skip = wanted.saturating_sub(self.finished()).min(2) as usize;
            // A number past the end asks for what comes; an unfinished line is given again until it is finished.
            let skip = if wanted >= self.total() { 0 } else { skip };
            let left = max - lines.len();
            lines.extend(self.partials().skip(skip).take(left).map(|p| text(p)));
        }
        Page { lines, from, next, dropped }
    }
}

fn text(bytes: &[u8]) -> String {
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_and_partial_lines() {
        let mut ring = Ring::default();
        ring.push(0, b"a\r\nb\nc");
        let page = ring.page(0, 10);
        assert_eq!((page.lines, page.from, page.next), (vec!["a".into(), "b".into(), "c".into()], 0, 2));
        ring.push(0, b"d\n> ");
        let page = ring.page(2, 10);
        assert_eq!((page.lines, page.next), (vec!["cd".into(), "> ".into()], 3));
        assert_eq!(ring.page(-1, 10).lines, ["> "]);
        assert_eq!(ring.page(-2, 10).lines, ["cd", "> "]);
        assert_eq!(ring.page(0, 1).lines, ["a"]);
        assert_eq!(ring.page(3, 10).lines, ["> "]);
        ring.close();
        assert_eq!((ring.page(3, 10).lines, ring.finished()), (vec!["> ".to_owned()], 4));
        assert!(ring.page(99, 10).lines.is_empty());
    }

    #[test]
    fn bounded() {
        let mut ring = Ring::default();
        for n in 0..MAX_LINES + 5 {
            ring.push(0, format!("{n}\n").as_bytes());
        }
        assert_eq!((ring.first(), ring.lines.len()), (5, MAX_LINES));
        let page = ring.page(0, 1);
        assert_eq!((page.lines, page.from, page.dropped), (vec!["5".to_owned()], 5, 5));
        let mut ring = Ring::default();
        ring.push(1, &vec![b'x'; 10 << 20]);
        assert!(ring.bytes <= MAX_BYTES && ring.partial[1].len() < MAX_LINE);
    }
}
