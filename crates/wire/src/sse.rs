//! Server-sent events: writing one, and reading a stream of them with a bound.
//!
//! Writing is used by `http::mcp`; reading by clients of upstream servers and by tests.

use std::collections::VecDeque;
use std::time::Duration;

/// Largest event accepted when reading, in bytes, unless said otherwise.
pub const MAX_EVENT: usize = 16 << 20;
/// A comment that keeps the connection from being taken for dead.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// One `message` event with a JSON text as its data.
pub fn message(json: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(json.len() + 24);
    out.extend_from_slice(b"event: message\ndata: ");
    let start = out.len();
    out.extend_from_slice(json);
    on_one_line(&mut out[start..]);
    out.extend_from_slice(b"\n\n");
    out
}

/// The same with an id, which the client can come back with.
pub fn event(id: &str, json: &[u8]) -> Vec<u8> {
    let mut out = format!("id: {id}\n").into_bytes();
    out.extend_from_slice(&message(json));
    out
}

/// An event without data, which gives the client an id and says how long to wait before it comes back.
pub fn opening(id: &str, retry: Duration) -> Vec<u8> {
    format!("id: {id}\nretry: {}\ndata: \n\n", retry.as_millis()).into_bytes()
}

/// Make JSON text fit on one line. A raw line break can only be white space between tokens, so a space means the same.
pub fn on_one_line(json: &mut [u8]) {
    for byte in json.iter_mut().filter(|b| matches!(b, b'\n' | b'\r')) {
        *byte = b' ';
    }
}

/// A received event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// `message` when the stream named none.
    pub name: Option<String>,
    pub id: Option<String>,
    pub data: String,
    /// Reconnection time in milliseconds.
    pub retry: Option<u64>,
}

/// An event went beyond the bound; the stream cannot be read on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a server-sent event is larger than {0} bytes")]
pub struct TooLarge(pub usize);

/// Reads events out of chunks as they come.
#[derive(Debug)]
pub struct Decoder {
    max: usize,
    line: Vec<u8>,
    event: Event,
    has_data: bool,
    size: usize,
    after_return: bool,
    at_start: bool,
    ready: VecDeque<Event>,
}

impl Decoder {
    /// `max` bounds the bytes of one event, its field names included.
    pub fn new(max: usize) -> Self {
        Self {
            max,
            line: Vec::new(),
            event: Event::default(),
            has_data: false,
            size: 0,
            after_return: false,
            at_start: true,
            ready: VecDeque::new(),
        }
    }

    /// Take in the next bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), TooLarge> {
        for &byte in bytes {
            let after_return = std::mem::replace(&mut self.after_return, byte == b'\r');
            match byte {
                b'\n' if after_return => {}
                b'\n' | b'\r' => self.end_line(),
                _ => {
                    self.size += 1;
                    if self.size > self.max {
                        return Err(TooLarge(self.max));
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    /// The next whole event.
    pub fn next_event(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let mut line: &[u8] = &line;
        if std::mem::take(&mut self.at_start) {
            line = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line);
        }
        if line.is_empty() {
            self.end_event();
        } else if line[0] != b':' {
            self.field(&String::from_utf8_lossy(line));
        } else {
            self.size = self.size.saturating_sub(line.len());
        }
    }

    fn field(&mut self, line: &str) {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            "event" => self.event.name = Some(value.to_owned()),
            "id" if !value.contains('\0') => self.event.id = Some(value.to_owned()),
            "retry" if value.bytes().all(|b| b.is_ascii_digit()) => self.event.retry = value.parse().ok(),
            _ => {}
        }
    }

    // A block without data is kept when it has an id or a retry time: MCP servers prime streams with one.
    fn end_event(&mut self) {
        let event = std::mem::take(&mut self.event);
        let has_data = std::mem::take(&mut self.has_data);
        self.size = 0;
        if has_data || event.id.is_some() || event.retry.is_some() {
            self.ready.push_back(event);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(chunks: &[&[u8]]) -> Vec<Event> {
        let mut decoder = Decoder::new(1000);
        for chunk in chunks {
            decoder.feed(chunk).unwrap();
        }
        std::iter::from_fn(|| decoder.next_event()).collect()
    }

    fn data(text: &str) -> Event {
        Event { data: text.to_owned(), ..Event::default() }
    }

    #[test]
    fn reads_what_the_living_standard_says() {
        assert_eq!(read(&[b"data: a\n\n"]), [data("a")]);
        assert_eq!(read(&[b"\xef\xbb\xbfdata:a\r\n", b"\r\ndata: b\r", b"\r"]), [data("a"), data("b")]);
        assert_eq!(read(&[b"data: a\ndata:  b\ndata\n\n"]), [data("a\n b\n")]);
        assert_eq!(read(&[b": comment\n\n"]), []);
        assert_eq!(read(&[b"data: unfinished\n"]), []);
        let full = read(&[b"event: x\nid: 7\nretry: 500\ndata: d\nretry: soon\nother: y\n\n"]);
        assert_eq!(
            full,
            [Event { name: Some("x".into()), id: Some("7".into()), data: "d".into(), retry: Some(500) }]
        );
    }

    #[test]
    fn bounds_an_event_but_not_the_stream() {
        let mut decoder = Decoder::new(16);
        for _ in 0..1000 {
            decoder.feed(b"data: 12345\n\n: c\n\n").unwrap();
            assert!(decoder.next_event().is_some());
        }
        for _ in 0..100 {
            decoder.feed(b": idle\n").unwrap();
        }
        assert_eq!(decoder.feed(b"data: 12345678901"), Err(TooLarge(16)));
    }

    proptest::proptest! {
        #[test]
        fn written_messages_read_back(text in proptest::prelude::any::<String>(), cut in 0usize..40) {
            let pretty = serde_json::to_string_pretty(&serde_json::json!({"t": text})).unwrap();
            let bytes = message(pretty.as_bytes());
            let (a, b) = bytes.split_at(cut.min(bytes.len()));
            let mut decoder = Decoder::new(1 << 20);
            decoder.feed(a).unwrap();
            decoder.feed(b).unwrap();
            let event = decoder.next_event().unwrap();
            proptest::prop_assert_eq!(
                serde_json::from_str::<serde_json::Value>(&event.data).unwrap(),
                serde_json::json!({"t": text})
            );
        }

        #[test]
        fn reading_never_panics(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200)) {
            let mut decoder = Decoder::new(64);
            let _ = decoder.feed(&bytes);
        }
    }
}
