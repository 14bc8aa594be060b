//! Reading records back, filtered, across chains, in the order of time.
//!
//! Used by `export` and by the command line; needs only files, and no key: it believes what it reads, `verify` does
//! not. Memory is bounded by one line per chain. Lines that are no records are passed over; broken ones are counted.

use super::io_error;
use super::line::Line;
use super::segment::{self, Found, Lines, Segment};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use toolgate_core::record::{Decision, Phase};
use toolgate_core::{Effect, Error, Record};

/// A record and its place. Without `node`, and canonicalised, it is the line in the segment again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Entry {
    pub node: Arc<str>,
    pub seq: u64,
    pub prev: String,
    #[serde(flatten)]
    pub record: Record,
}

/// Which records are wanted. What is `None` is not asked about; the default wants all.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// From this time on,
    pub since: Option<Timestamp>,
    /// and before this one.
    pub until: Option<Timestamp>,
    /// Id or name of the caller.
    pub caller: Option<String>,
    pub server: Option<String>,
    pub tool: Option<String>,
    pub outcome: Option<String>,
    pub phase: Option<Phase>,
    pub effect: Option<Effect>,
    pub decision: Option<Decision>,
    /// Somewhere in the record's texts or arguments, whatever its case.
    pub text: Option<String>,
    /// No more than so many: the oldest (`read`, `export`) or the newest (`tail`).
    pub limit: Option<usize>,
}

impl Filter {
    /// Whether a line's time is wanted; decided before the record is parsed.
    fn wants_time(&self, time: &str) -> bool {
        if self.since.is_none() && self.until.is_none() {
            return true;
        }
        time.parse::<Timestamp>().is_ok_and(|time| {
            self.since.is_none_or(|since| time >= since) && self.until.is_none_or(|until| time < until)
        })
    }

    /// Whether a record is wanted, its time aside.
    fn wants(&self, record: &Record) -> bool {
        let is = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| found == Some(wanted))
        };
        self.caller
            .as_deref()
            .is_none_or(|caller| caller == &*record.caller || caller == &*record.caller_name)
            && is(&self.server, record.server.as_deref())
            && is(&self.tool, Some(&record.tool))
            && is(&self.outcome, record.outcome.as_deref())
            && self.phase.is_none_or(|phase| phase == record.phase)
            && (self.effect.is_none() || self.effect == record.effect)
            && self.decision.is_none_or(|decision| decision == record.decision)
            && self.text.as_deref().is_none_or(|text| contains(record, &text.to_lowercase()))
    }
}

fn contains(record: &Record, text: &str) -> bool {
    let has = |part: &str| part.to_lowercase().contains(text);
    let maybe = |part: Option<&str>| part.is_some_and(has);
    has(&record.caller)
        || has(&record.caller_name)
        || has(&record.tool)
        || has(&record.rule)
        || has(&record.id)
        || record.roles.iter().any(|role| has(role))
        || maybe(record.client.as_deref())
        || maybe(record.server.as_deref())
        || maybe(record.outcome.as_deref())
        || maybe(record.message.as_deref())
        || maybe(record.trace_id.as_deref())
        || maybe(record.args_digest.as_deref())
        || record.args.as_ref().is_some_and(|args| value_has(args, text))
}

fn value_has(value: &Value, text: &str) -> bool {
    match value {
        Value::String(part) => part.to_lowercase().contains(text),
        Value::Array(items) => items.iter().any(|item| value_has(item, text)),
        Value::Object(members) => {
            members.iter().any(|(name, value)| name.to_lowercase().contains(text) || value_has(value, text))
        }
        Value::Number(number) => number.to_string().contains(text),
        Value::Null | Value::Bool(_) => false,
    }
}

/// What a line is to a reader.
pub enum Parsed {
    Wanted(Box<Entry>),
    /// No record, or not wanted.
    Other,
    /// No line of a journal.
    Broken,
}

pub fn parse(bytes: &[u8], node: &Arc<str>, filter: &Filter) -> Parsed {
    let Some(line) = Line::parse(bytes) else { return Parsed::Broken };
    if !line.is_record() || !filter.wants_time(&line.time) {
        return Parsed::Other;
    }
    let Ok(record) = serde_json::from_slice::<Record>(bytes) else { return Parsed::Broken };
    if !filter.wants(&record) {
        return Parsed::Other;
    }
    Parsed::Wanted(Box::new(Entry {
        node: Arc::clone(node),
        seq: line.seq,
        prev: line.prev.into_owned(),
        record,
    }))
}

/// Read the wanted records beneath `dir`, oldest first. `Unavailable` when files cannot be read.
pub fn read(dir: &Path, filter: Filter) -> Result<Reader, Error> {
    let open = || {
        let mut chains = Vec::new();
        for (node, path) in segment::chains(dir)? {
            let segments = in_time(segment::list(&path)?, &filter)?;
            let mut chain = Chain { node: node.into(), segments, lines: None, next: None };
            let mut broken = 0;
            chain.advance(&filter, &mut broken)?;
            chains.push((chain, broken));
        }
        Ok(chains)
    };
    let chains: Vec<(Chain, u64)> = open().map_err(|e: io::Error| io_error("read the journal", e))?;
    let broken = chains.iter().map(|(_, broken)| broken).sum();
    let left = filter.limit.unwrap_or(usize::MAX);
    Ok(Reader { chains: chains.into_iter().map(|(chain, _)| chain).collect(), filter, left, broken })
}

/// Iterator over the wanted records of all chains in the order of time.
pub struct Reader {
    chains: Vec<Chain>,
    filter: Filter,
    left: usize,
    /// Lines passed over so far because they could not be understood.
    pub broken: u64,
}

impl Iterator for Reader {
    type Item = Result<Entry, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.left = self.left.checked_sub(1)?;
        let first = self
            .chains
            .iter_mut()
            .filter(|chain| chain.next.is_some())
            .min_by(|a, b| a.key().cmp(&b.key()))?;
        let entry = first.next.take()?;
        if let Err(e) = first.advance(&self.filter, &mut self.broken) {
            self.left = 0;
            return Some(Err(io_error("read the journal", e)));
        }
        Some(Ok(*entry))
    }
}

struct Chain {
    node: Arc<str>,
    segments: VecDeque<Segment>,
    lines: Option<Lines>,
    next: Option<Box<Entry>>,
}

impl Chain {
    fn key(&self) -> Option<&str> {
        self.next.as_ref().map(|entry| entry.record.time.as_str())
    }

    fn advance(&mut self, filter: &Filter, broken: &mut u64) -> io::Result<()> {
        loop {
            let Some(lines) = &mut self.lines else {
                let Some(segment) = self.segments.pop_front() else { return Ok(()) };
                self.lines = Some(Lines::open(&segment.path, 0, segment.len)?);
                continue;
            };
            match lines.next()? {
                Found::Line => match parse(&lines.bytes, &self.node, filter) {
                    Parsed::Wanted(entry) => {
                        self.next = Some(entry);
                        return Ok(());
                    }
                    Parsed::Other => {}
                    Parsed::Broken => *broken += 1,
                },
                Found::TooLong => *broken += 1,
                Found::Partial | Found::End => self.lines = None,
            }
        }
    }
}

// Segments whose first records say that they cannot hold what is wanted are not read. A minute of slack for clock steps.
fn in_time(segments: Vec<Segment>, filter: &Filter) -> io::Result<VecDeque<Segment>> {
    let mut kept: VecDeque<Segment> = segments.into();
    if filter.since.is_none() && filter.until.is_none() {
        return Ok(kept);
    }
    let slack = Duration::from_secs(60);
    let begun: Vec<Option<Timestamp>> = kept.iter().map(begun).collect::<io::Result<_>>()?;
    if let Some(since) = filter.since {
        let old =
            begun.iter().skip(1).take_while(|time| time.is_some_and(|time| time + slack < since)).count();
        kept.drain(..old);
        if let Some(until) = filter.until {
            trim(&mut kept, &begun[old..], until + slack);
        }
    } else if let Some(until) = filter.until {
        trim(&mut kept, &begun, until + slack);
    }
    Ok(kept)
}

fn trim(kept: &mut VecDeque<Segment>, begun: &[Option<Timestamp>], until: Timestamp) {
    let late = begun.iter().rev().take_while(|time| time.is_some_and(|time| time > until)).count();
    kept.truncate(kept.len() - late);
}

// Time of the first record. Not the header's: a record's time is its maker's.
fn begun(segment: &Segment) -> io::Result<Option<Timestamp>> {
    let mut lines = Lines::open(&segment.path, 0, segment.len)?;
    while lines.next()? == Found::Line {
        if let Some(line) = Line::parse(&lines.bytes).filter(Line::is_record) {
            return Ok(line.time.parse().ok());
        }
    }
    Ok(None)
}
