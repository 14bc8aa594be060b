//! Target `stream`: server-sent events, written and read, against a plain reader by the living standard.
//!
//! An input is used twice: its lines are written as events by `wire::sse` and must read back; and the bytes as they are
//! must be read by `Decoder` as the plain reader reads them. Neither may depend on where the chunks are cut.

use crate::random::Random;
use std::time::Duration;
use toolgate_wire::sse::{self, Decoder, Event};

pub const WORDS: &[&str] = &[
    "data: ",
    "data:",
    "data",
    "event: message",
    "id: ",
    "id: 7",
    "retry: 500",
    "retry: x",
    "retry: 99999999999999999999",
    ": keep-alive",
    "\n",
    "\n\n",
    "\r\n",
    "\r",
    "\r\r",
    "\n\r",
    ":",
    " ",
    "\u{feff}",
    "\0",
    "{\"a\": 1}",
    "other: y",
];

// Small, so that inputs reach it.
const SMALL: usize = 48;

pub fn check(input: &[u8]) -> Result<(), String> {
    written(input)?;
    let whole = read(input, input.len(), 1 << 20);
    let wanted = (model(input), false);
    if whole != wanted {
        return Err(format!("read {whole:?}\nwanted {wanted:?}"));
    }
    for max in [1 << 20, SMALL] {
        let at_once = read(input, input.len(), max);
        for step in [1, 2, 3, 7] {
            let chunked = read(input, step, max);
            if chunked != at_once {
                return Err(format!("chunks of {step}, bound {max}: {chunked:?}\nat once: {at_once:?}"));
            }
        }
    }
    Ok(())
}

// The events, and whether one was too large. Chunks have about `step` bytes.
fn read(bytes: &[u8], step: usize, max: usize) -> (Vec<Event>, bool) {
    let mut decoder = Decoder::new(max);
    let (mut events, mut random, mut rest) = (Vec::new(), Random::new(step as u64), bytes);
    while !rest.is_empty() {
        let size =
            if step >= bytes.len() { rest.len() } else { (1 + random.below(2 * step)).min(rest.len()) };
        let (chunk, after) = rest.split_at(size);
        rest = after;
        let fed = decoder.feed(chunk);
        events.extend(std::iter::from_fn(|| decoder.next_event()));
        if fed.is_err() {
            return (events, true);
        }
    }
    (events, false)
}

// Each line of the input becomes an event of one of the kinds that the gateway writes. JSON text may hold line breaks
// between its tokens: here they stand wherever the input has a tab.
fn written(input: &[u8]) -> Result<(), String> {
    let text = String::from_utf8_lossy(input);
    let (mut stream, mut wanted) = (Vec::new(), Vec::new());
    for (number, line) in text.lines().enumerate() {
        let json = line.replace('\t', "\n").replace('\u{b}', "\r");
        let data = json.replace(['\n', '\r'], " ");
        let message = Event { name: Some("message".to_owned()), data, ..Event::default() };
        let id = format!("s-{number}");
        match line.len() % 4 {
            0 => {
                stream.extend(sse::message(json.as_bytes()));
                wanted.push(message);
            }
            1 => {
                stream.extend(sse::event(&id, json.as_bytes()));
                wanted.push(Event { id: Some(id), ..message });
            }
            2 => {
                let retry = line.len() as u64 * 1000;
                stream.extend(sse::opening(&id, Duration::from_millis(retry)));
                wanted.push(Event { id: Some(id), retry: Some(retry), ..Event::default() });
            }
            _ => stream.extend(sse::KEEP_ALIVE),
        }
    }
    for step in [1, 5, stream.len().max(1)] {
        let (events, too_large) = read(&stream, step, 1 << 20);
        if too_large || events != wanted {
            return Err(format!("written, chunks of {step}: read {events:?}\nwanted {wanted:?}"));
        }
    }
    Ok(())
}

fn model(bytes: &[u8]) -> Vec<Event> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'\r' | b'\n' => {
                if bytes[at] == b'\r' && bytes.get(at + 1) == Some(&b'\n') {
                    at += 1;
                }
                lines.push(Vec::new());
            }
            byte => {
                if let Some(line) = lines.last_mut() {
                    line.push(byte);
                }
            }
        }
        at += 1;
    }
    // What follows the last line break is no line yet.
    lines.pop();
    let (mut events, mut event, mut data) = (Vec::new(), Event::default(), Vec::<String>::new());
    for line in lines {
        let line = String::from_utf8_lossy(&line).into_owned();
        if line.is_empty() {
            let primes = event.id.is_some() || event.retry.is_some();
            if !data.is_empty() || primes {
                event.data = data.join("\n");
                events.push(event);
            }
            (event, data) = (Event::default(), Vec::new());
            continue;
        }
        let (name, value) = match line.find(':') {
            None => (line.as_str(), ""),
            Some(colon) => {
                (&line[..colon], line[colon + 1..].strip_prefix(' ').unwrap_or(&line[colon + 1..]))
            }
        };
        match name {
            "data" => data.push(value.to_owned()),
            "event" => event.name = Some(value.to_owned()),
            "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
            "retry" if value.chars().all(|c| c.is_ascii_digit()) => event.retry = value.parse().ok(),
            _ => {}
        }
    }
    events
}
