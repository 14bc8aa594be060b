//! Where credentials are in a text. Called by `text` only.
//!
//! A search of many bytes at a time leads to where a clue is, one pass of an automaton over what follows finds the clues
//! of all kinds; what stands around each is read byte by byte. Texts may be made
//! to be slow, so every byte is looked at a small number of times whatever the text is: what is masked is not searched
//! again, and what was learned by a look ahead that failed (`no_end`, `no_token`, `unbroken`, `next_at`) is kept for the
//! clues that follow. Absent on purpose: a regular expression, which searches from each clue anew.

use super::kinds::{Class, KINDS, Shape, base64, credential, plain, space, upper, url_safe};
use aho_corasick::packed::{Config, Searcher};
use aho_corasick::{AhoCorasick, AhoCorasickKind, Input, Span};
use std::ops::Range;
use std::sync::LazyLock;

// Longest name before a password in a URL, and longest password, in bytes.
const MAX_USER: usize = 256;
const MAX_PASSWORD: usize = 512;

static CLUES: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let clues = KINDS.iter().map(|kind| kind.clue);
    match AhoCorasick::builder().kind(Some(AhoCorasickKind::DFA)).build(clues) {
        Ok(automaton) => automaton,
        Err(error) => unreachable!("fixed literals: {error}"),
    }
});

// Not on every processor.
static FAST: LazyLock<Option<Searcher>> = LazyLock::new(|| {
    let clues = KINDS.iter().map(|kind| kind.clue);
    // There are more of them than it takes by itself, and it is several times as fast as the automaton all the same.
    Config::new().heuristic_pattern_limits(false).builder().extend(clues).build()
});

// So much after a clue is read by the automaton alone: where one is, others are.
const NEAR: usize = 1024;
// Longest clue.
pub(super) const LONGEST: usize = 32;

// Where the next clue begins, at `from` or after it.
fn next_clue(text: &str, from: usize) -> Option<usize> {
    let rest = Span { start: from, end: text.len() };
    let hit = match &*FAST {
        Some(fast) => fast.find_in(text, rest),
        None => CLUES.find(Input::new(text).span(rest)),
    };
    hit.map(|hit| hit.start())
}

pub(super) struct Scan<'a> {
    text: &'a str,
    bytes: &'a [u8],
    /// Private keys that begin before this have no end.
    no_end: usize,
    /// `eyJ` before this begins no token.
    no_token: usize,
    /// Nothing in here ends a password.
    unbroken: Range<usize>,
    /// In here is no `@`, at its end is one (or the end of the text).
    next_at: Range<usize>,
    /// How many bytes were looked at (beside the automaton's pass): what tests hold against the text's length.
    pub looked: usize,
}

impl<'a> Scan<'a> {
    pub fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        Self { text, bytes, no_end: 0, no_token: 0, unbroken: 0..0, next_at: 0..0, looked: 0 }
    }

    /// What is to be masked, in order and apart from each other.
    pub fn spans(&mut self) -> Vec<Range<usize>> {
        let mut spans: Vec<Range<usize>> = Vec::new();
        let (mut done, mut from, mut read) = (0, 0, 0);
        while let Some(start) = next_clue(self.text, from) {
            let near = self.text.len().min(start + NEAR);
            for hit in CLUES.find_overlapping_iter(Input::new(self.text).span(start..near)) {
                // It was seen already, or is in what is masked.
                if hit.end() <= read || hit.start() < done {
                    continue;
                }
                let kind = &KINDS[hit.pattern().as_usize()];
                if kind.guarded && !self.is_apart(hit.start()) {
                    continue;
                }
                if let Some(span) = self.found(&kind.shape, hit.start(), hit.end()) {
                    done = span.end;
                    spans.push(span);
                }
            }
            if near == self.text.len() {
                break;
            }
            // One may have begun that ends after this.
            (read, from) = (near, near - LONGEST);
        }
        spans
    }

    // Begins no earlier than `start`.
    fn found(&mut self, shape: &Shape, start: usize, end: usize) -> Option<Range<usize>> {
        match *shape {
            Shape::Run(class, least) => Some(start..self.long_run(end, class, least)?),
            Shape::Just(class, many) => Some(start..self.just(end, class, many)?),
            Shape::Word(class, many) => {
                let to = self.just(end, class, many)?;
                let more = self.bytes.get(to).is_some_and(|b| plain(*b) || *b == b'_');
                (!more).then_some(start..to)
            }
            Shape::Own => {
                let id = self.just(end, plain, 12)?;
                Some(start..self.just(self.sign(id, b'_')?, url_safe, 43)?)
            }
            Shape::Token => self.token(start, end),
            Shape::Pair => {
                let dot = self.long_run(end, url_safe, 16)?;
                Some(start..self.long_run(self.sign(dot, b'.')?, url_safe, 16)?)
            }
            Shape::Hook => {
                let team = self.word(end, b"services/")?;
                let slash = self.long_run(team, plain, 1)?;
                let slash = self.long_run(self.sign(slash, b'/')?, plain, 1)?;
                Some(end..self.long_run(self.sign(slash, b'/')?, plain, 16)?)
            }
            Shape::Account => {
                let to = self.long_run(end, base64, 40)?;
                Some(end..to + self.bytes[to..].iter().take(2).take_while(|b| **b == b'=').count())
            }
            Shape::Secret(before) => {
                let value = self.value(start, end, before)?;
                Some(value..self.just(value, base64, 40)?)
            }
            Shape::Header(before) => {
                let value = self.value(start, end, before)?;
                let scheme = ["bearer", "basic", "token"];
                let scheme = scheme.iter().find_map(|scheme| self.word(value, scheme.as_bytes()))?;
                let many = self.bytes[scheme..].iter().take(4).take_while(|b| **b == b' ').count();
                let from = scheme + many;
                (many > 0).then_some(from..self.long_run(from, credential, 8)?)
            }
            Shape::Pem => self.pem(start),
            Shape::Link => self.password(start, end),
        }
    }

    // Before a guarded credential: the start, an escape, or what is neither of Base64 nor a backslash.
    fn is_apart(&self, start: usize) -> bool {
        match &self.bytes[..start] {
            [] | [.., b'\\', b'b' | b'f' | b'n' | b'r' | b't'] => true,
            [.., b'\\', b'u', a, b, c, d] if [a, b, c, d].iter().all(|digit| digit.is_ascii_hexdigit()) => {
                true
            }
            [.., last] => !base64(*last) && *last != b'\\',
        }
    }

    fn run(&mut self, from: usize, class: Class) -> usize {
        let many = self.bytes[from..].iter().take_while(|b| class(**b)).count();
        self.looked += many + 1;
        from + many
    }

    fn long_run(&mut self, from: usize, class: Class, least: usize) -> Option<usize> {
        let to = self.run(from, class);
        (to - from >= least).then_some(to)
    }

    fn just(&mut self, from: usize, class: Class, many: usize) -> Option<usize> {
        self.looked += 1;
        let bytes = self.bytes.get(from..from + many)?;
        self.looked += many;
        bytes.iter().all(|b| class(*b)).then_some(from + many)
    }

    fn sign(&self, at: usize, sign: u8) -> Option<usize> {
        (self.bytes.get(at) == Some(&sign)).then_some(at + 1)
    }

    // After a word in small letters, which may stand there in any.
    fn word(&self, at: usize, word: &[u8]) -> Option<usize> {
        let to = at + word.len();
        self.bytes.get(at..to)?.eq_ignore_ascii_case(word).then_some(to)
    }

    // Between a name and its value, quoted or not, the quotes escaped or not. `before` ends where the clue starts.
    fn value(&mut self, start: usize, end: usize, before: &[u8]) -> Option<usize> {
        self.word(start.checked_sub(before.len())?, before)?;
        let spaces = |at: usize| at + self.bytes[at..].iter().take(8).take_while(|b| space(**b)).count();
        let quote = |at: usize| match &self.bytes[at..] {
            [b'\\', b'"' | b'\'', ..] => at + 2,
            [b'"' | b'\'', ..] => at + 1,
            _ => at,
        };
        let sign = spaces(quote(end));
        matches!(self.bytes.get(sign), Some(b':' | b'=')).then(|| quote(spaces(sign + 1)))
    }

    fn token(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        if start < self.no_token {
            return None;
        }
        let dot = self.run(end, url_safe);
        let found = self.token_from(dot, end);
        if found.is_none() {
            // One that begins later in this run is shorter and goes on the same way.
            self.no_token = dot;
        }
        Some(start..found?)
    }

    fn token_from(&mut self, dot: usize, end: usize) -> Option<usize> {
        let second = (dot - end >= 8).then_some(self.sign(dot, b'.')?)?;
        let second = self.bytes[second..].starts_with(b"eyJ").then_some(second + 3)?;
        let dot = self.long_run(second, url_safe, 8)?;
        self.long_run(self.sign(dot, b'.')?, url_safe, 8)
    }

    // A whole key, or what there is of one.
    fn pem(&mut self, start: usize) -> Option<Range<usize>> {
        let body = self.mark(start, b"-----BEGIN ")?;
        let mut at = body;
        while start >= self.no_end {
            match self.bytes.get(at) {
                // A quote ends the JSON text that it is in.
                None | Some(b'"') => {
                    self.no_end = at;
                    break;
                }
                Some(b'\\') => at += 2,
                Some(b'-') => match self.mark(at, b"-----END ") {
                    Some(end) => return Some(start..end),
                    None => at += 1,
                },
                Some(_) => at += 1,
            }
            self.looked += 1;
        }
        let mut at = body;
        loop {
            self.looked += 1;
            at += match &self.bytes[at..] {
                [b'\\', b'n' | b'r' | b't' | b'\\', ..] => 2,
                [b, ..]
                    if credential(*b) && *b != b'_' && *b != b'~'
                        || space(*b)
                        || *b == b':'
                        || *b == b',' =>
                {
                    1
                }
                _ => return Some(start..at),
            };
        }
    }

    // After `-----BEGIN RSA PRIVATE KEY-----` and its like.
    fn mark(&mut self, at: usize, edge: &[u8]) -> Option<usize> {
        let label = self.bytes[at..].starts_with(edge).then_some(at + edge.len())?;
        let to = self.run(label, |b| upper(b) || b == b' ');
        let label = &self.bytes[label..to];
        let private = label.ends_with(b"PRIVATE KEY") || label.ends_with(b"PRIVATE KEY BLOCK");
        (private && self.bytes[to..].starts_with(b"-----")).then_some(to + 5)
    }

    // `scheme://user:password@`, up to the last `@`, since the password may hold one; digits up to a slash are a port.
    fn password(&mut self, start: usize, end: usize) -> Option<Range<usize>> {
        let scheme = self.bytes[..start].iter().rev().take(21);
        let mut scheme = scheme.take_while(|b| plain(**b) || matches!(b, b'+' | b'.' | b'-')).skip(1);
        if !scheme.any(u8::is_ascii_alphabetic) {
            return None;
        }
        let user = self.run(end, |b| !space(b) && !matches!(b, b':' | b'/' | b'@' | b'"'));
        let from = (user - end <= MAX_USER).then_some(self.sign(user, b':')?)?;
        let sign = self.run(from, |b| b.is_ascii_digit());
        let digits = sign - from;
        match &self.bytes[sign..] {
            [b'@', ..] => return (1..=MAX_PASSWORD).contains(&digits).then_some(from..sign),
            [b'\\', b'\\', ..] => {}
            [] | [b'\\' | b'/' | b'"', ..] => return None,
            [b, ..] if space(*b) => return None,
            _ => {}
        }
        let most = self.password_end(sign).min(sign + MAX_PASSWORD);
        if self.at_sign(sign) >= most {
            return None;
        }
        self.looked += most - sign;
        let last = self.bytes[sign..most].iter().rposition(|b| *b == b'@')?;
        Some(from..sign + last)
    }

    // Where no password goes on: a space, a quote, a backslash that is not two.
    fn password_end(&mut self, from: usize) -> usize {
        if !self.unbroken.contains(&from) {
            let mut at = from;
            loop {
                at += match &self.bytes[at..] {
                    [b'\\', b'\\', ..] => 2,
                    [] | [b'\\' | b'"', ..] => break,
                    [b, ..] if space(*b) => break,
                    _ => 1,
                };
            }
            self.looked += at - from;
            self.unbroken = from..at;
        }
        self.unbroken.end
    }

    // The next `@`, or the end of the text.
    fn at_sign(&mut self, from: usize) -> usize {
        if !self.next_at.contains(&from) {
            let end = self.run(from, |b| b != b'@');
            self.next_at = from..end;
        }
        self.next_at.end
    }
}
