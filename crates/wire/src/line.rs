//! Lines of the stdio transport: one JSON text each, ended by a newline, with a bound.

use tokio::io::{AsyncBufRead, AsyncBufReadExt};

/// Longest line accepted, in bytes, unless said otherwise.
pub const MAX_LINE: usize = 16 << 20;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Line {
    /// Without its line end. Never empty.
    Text(Vec<u8>),
    /// Longer than the bound: skipped to its end, so that the next line can be read.
    TooLong,
    /// No more lines. A last line without a newline has been given before.
    End,
}

/// Reads lines. `next` may be dropped and called again without losing bytes.
#[derive(Debug)]
pub struct LineReader<R> {
    reader: R,
    max: usize,
    line: Vec<u8>,
    skipping: bool,
}

impl<R: AsyncBufRead + Unpin> LineReader<R> {
    pub fn new(reader: R, max: usize) -> Self {
        Self { reader, max, line: Vec::new(), skipping: false }
    }

    /// The next line that is not blank.
    pub async fn next(&mut self) -> std::io::Result<Line> {
        loop {
            let chunk = self.reader.fill_buf().await?;
            if chunk.is_empty() {
                return Ok(self.take().unwrap_or(Line::End));
            }
            let end = chunk.iter().position(|b| *b == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            if self.skipping || self.line.len() + part.len() > self.max {
                self.skipping = true;
                self.line = Vec::new();
            } else {
                self.line.extend_from_slice(part);
            }
            let used = end.map_or(chunk.len(), |at| at + 1);
            self.reader.consume(used);
            if end.is_some()
                && let Some(line) = self.take()
            {
                return Ok(line);
            }
        }
    }

    fn take(&mut self) -> Option<Line> {
        if std::mem::take(&mut self.skipping) {
            return Some(Line::TooLong);
        }
        let line = std::mem::take(&mut self.line);
        let blank = line.iter().all(u8::is_ascii_whitespace);
        (!blank).then(|| {
            let mut line = line;
            if line.last() == Some(&b'\r') {
                line.pop();
            }
            Line::Text(line)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::BufReader;

    #[tokio::test]
    async fn lines_blank_lines_long_lines_and_the_end() {
        let input: &[u8] = b"a\r\n\n  \n123456789012\nbcd\nlast";
        // A small buffer, so that lines come in parts.
        let mut lines = LineReader::new(BufReader::with_capacity(4, input), 10);
        for expected in [
            Line::Text(b"a".to_vec()),
            Line::TooLong,
            Line::Text(b"bcd".to_vec()),
            Line::Text(b"last".to_vec()),
            Line::End,
            Line::End,
        ] {
            assert_eq!(lines.next().await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn an_endless_line_keeps_no_memory() {
        let input = vec![b'x'; 1 << 20];
        let mut lines = LineReader::new(BufReader::new(&input[..]), 1000);
        assert_eq!(lines.next().await.unwrap(), Line::TooLong);
        assert!(lines.line.capacity() <= 1000);
        assert_eq!(lines.next().await.unwrap(), Line::End);
    }
}
