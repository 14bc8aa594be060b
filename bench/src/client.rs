//! A minimal HTTP/1.1 client on one kept connection: one request after the other, whole answers.
//!
//! Own code so that the generator costs little CPU beside what it measures. Reads answers with Content-Length, and
//! chunked ones (an answer that came as a stream of events) with their chunks joined.

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
    // Of a chunked answer.
    joined: Vec<u8>,
}

pub struct Answer<'a> {
    pub status: u16,
    pub head: &'a str,
    pub body: &'a [u8],
}

impl Connection {
    pub async fn open(address: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(16 << 10), joined: Vec::new() })
    }

    pub async fn send(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                break end + 4;
            }
            self.more().await?;
        };
        let text = std::str::from_utf8(&self.buffer[..head])?;
        let status: u16 = text.get(9..12).context("no status line")?.parse()?;
        if header(text, "transfer-encoding").is_some() {
            self.join_chunks(head).await?;
            let head = std::str::from_utf8(&self.buffer[..head])?;
            return Ok(Answer { status, head, body: &self.joined });
        }
        let length: usize = match header(text, "content-length") {
            Some(length) => length.parse()?,
            None if matches!(status, 202 | 204) => 0,
            None => bail!("no Content-Length"),
        };
        if let Some(missing) = (head + length).checked_sub(self.buffer.len()) {
            self.buffer.reserve(missing);
        }
        while self.buffer.len() < head + length {
            self.more().await?;
        }
        let head_text = std::str::from_utf8(&self.buffer[..head])?;
        Ok(Answer { status, head: head_text, body: &self.buffer[head..head + length] })
    }

    async fn join_chunks(&mut self, mut at: usize) -> Result<()> {
        self.joined.clear();
        loop {
            let line = loop {
                if let Some(end) = self.buffer[at..].windows(2).position(|w| w == b"\r\n") {
                    break at + end;
                }
                self.more().await?;
            };
            let size = std::str::from_utf8(&self.buffer[at..line])?;
            let size = usize::from_str_radix(size.split(';').next().unwrap_or("").trim(), 16)?;
            let begin = line + 2;
            while self.buffer.len() < begin + size + 2 {
                self.more().await?;
            }
            ensure!(&self.buffer[begin + size..begin + size + 2] == b"\r\n", "a broken chunk");
            if size == 0 {
                return Ok(());
            }
            self.joined.extend_from_slice(&self.buffer[begin..begin + size]);
            at = begin + size + 2;
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.buffer).await? == 0 {
            bail!("the connection was closed after {} bytes of an answer", self.buffer.len());
        }
        Ok(())
    }
}

/// The value of a header in a head.
pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = |line: &'a str| line.split_once(':').filter(|(n, _)| n.eq_ignore_ascii_case(name));
    head.lines().find_map(line).map(|(_, value)| value.trim())
}

/// A POST with a JSON body; `headers` are whole lines.
pub fn post(host: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\n\
         Accept: application/json, text/event-stream\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// The header line of a key.
pub fn bearer(key: &str) -> String {
    format!("Authorization: Bearer {key}\r\n")
}
