//! Lines of a segment: how each kind of line is written, and the few members that every line has.
//!
//! Used by the writer and by everything that reads segments. Invariant: a line is canonical JSON (RFC 8785) in one
//! line, with `phase`, `prev`, `seq` and `time`; `Draft` writes a record's members in sorted order by hand and a
//! property test proves it equal to `canon::to_string`. `phase` is the tag: `intent`, `answer` and `event` are
//! records, `header` opens a segment, `checkpoint` is signed, `recovery` says what an opening found amiss.

use super::key::SigningKey;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::fmt::Write;
use toolgate_core::canon;
use toolgate_core::record::{Decision, Phase};
use toolgate_core::{Caller, Record};

/// Version of the format, in every header.
pub const FORMAT: u64 = 1;
/// Longest line, in bytes without its newline. Longer ones are neither written nor read.
pub const MAX_LINE: usize = 4 * 1024 * 1024;
/// Arguments nested deeper are journaled as their JSON text: readers refuse deep JSON, and no record may hide so.
pub const MOST_DEPTH: usize = 64;
/// Highest number that a line, a head or a segment may have: numbers read from files are added to. No chain gets there,
/// and JSON holds no higher one exactly.
pub const MOST_SEQ: u64 = 1 << 53;
/// What stands in `prev` of the first line of a chain.
pub const GENESIS: [u8; 64] = [b'0'; 64];

/// The SHA-256 of a line as 64 lower-case hexadecimal digits.
pub type HexHash = [u8; 64];

/// Hash of a line's bytes, newline excluded.
pub fn hash(line: &[u8]) -> HexHash {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = [0; 64];
    for (pair, byte) in out.chunks_exact_mut(2).zip(canon::sha256(line)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
    out
}

/// A hash as text.
pub fn hex_text(hash: &HexHash) -> Cow<'_, str> {
    String::from_utf8_lossy(hash)
}

/// Now, as every time in the journal and in reports is written: RFC 3339, UTC, microseconds.
pub fn now() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

/// The record of something that is not a call.
pub fn event(caller: &Caller, what: &str, about: Option<&str>, decision: Decision) -> Record {
    Record {
        id: toolgate_core::id::CallId::new().to_string(),
        phase: Phase::Event,
        time: now(),
        caller: caller.id.clone(),
        caller_name: caller.name.clone(),
        roles: caller.roles.clone(),
        client: None,
        server: None,
        tool: what.into(),
        effect: None,
        args_digest: None,
        args: about.map(Into::into),
        decision,
        rule: "event".into(),
        outcome: None,
        message: None,
        cached: false,
        duration_us: 0,
        bytes: 0,
        trace_id: None,
    }
}

/// What every line has; the rest is the record's.
#[derive(Debug, Deserialize)]
pub struct Line<'a> {
    #[serde(borrow)]
    pub phase: Cow<'a, str>,
    #[serde(borrow)]
    pub prev: Cow<'a, str>,
    pub seq: u64,
    #[serde(borrow)]
    pub time: Cow<'a, str>,
}

impl<'a> Line<'a> {
    pub fn parse(line: &'a [u8]) -> Option<Self> {
        let parsed: Self = serde_json::from_slice(line).ok()?;
        let known = matches!(
            parsed.phase.as_ref(),
            "intent" | "answer" | "event" | "header" | "checkpoint" | "recovery"
        );
        (known && (1..=MOST_SEQ).contains(&parsed.seq)).then_some(parsed)
    }

    pub fn is_record(&self) -> bool {
        matches!(self.phase.as_ref(), "intent" | "answer" | "event")
    }
}

/// First line of a segment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Header {
    pub format: u64,
    pub node: String,
    /// 64 hexadecimal digits.
    pub public_key: String,
    pub segment: u64,
    pub seq: u64,
    pub prev: String,
    pub time: String,
}

/// A signed line: the signature is over the line's canonical text without the member `signature`. Its `prev` is the
/// hash of everything before it, so it vouches for the whole chain up to itself, and can do so standing elsewhere.
#[derive(Debug, Deserialize)]
pub struct Checkpoint {
    pub node: String,
    pub public_key: String,
    pub signature: String,
}

/// Found amiss while opening.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Bytes of a partial last line that were cut, and their SHA-256.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cut_sha256: Option<String>,
    /// First and last number of the lines that the head file knew of and the log has no more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_from: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost_to: Option<u64>,
    /// The head file was missing or unreadable: nobody can tell whether lines are missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub head_missing: bool,
}

impl Recovery {
    /// Whether there is anything to tell.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// A place in the chain: what the next line continues.
pub struct Place<'a> {
    pub seq: u64,
    pub prev: &'a HexHash,
}

pub fn header_line(place: &Place<'_>, node: &str, segment: u64, public_key: &str) -> String {
    canon::to_string(&json!({
        "format": FORMAT, "node": node, "phase": "header", "prev": hex_text(place.prev), "public_key": public_key,
        "segment": segment, "seq": place.seq, "time": now(),
    }))
}

pub fn checkpoint_line(place: &Place<'_>, node: &str, key: &SigningKey) -> String {
    let mut line = json!({
        "node": node, "phase": "checkpoint", "prev": hex_text(place.prev), "public_key": key.public_hex(),
        "seq": place.seq, "time": now(),
    });
    let signature = key.sign(canon::to_string(&line).as_bytes());
    line["signature"] = Value::String(signature);
    canon::to_string(&line)
}

pub fn recovery_line(place: &Place<'_>, recovery: &Recovery) -> String {
    let mut line = serde_json::to_value(recovery).unwrap_or_default();
    line["phase"] = json!("recovery");
    line["prev"] = json!(hex_text(place.prev));
    line["seq"] = json!(place.seq);
    line["time"] = json!(now());
    canon::to_string(&line)
}

/// The bytes that a checkpoint's signature is over.
pub fn signed_text(line: &[u8]) -> Option<String> {
    let mut value: Value = serde_json::from_slice(line).ok()?;
    value.as_object_mut()?.remove("signature")?;
    Some(canon::to_string(&value))
}

/// A record's line but for `prev` and `seq`, made before the lock is taken. The two gaps are filled in by `fill`.
pub struct Draft {
    text: String,
    prev_at: usize,
    seq_at: usize,
}

impl Draft {
    pub fn of(record: &Record) -> Self {
        let args = record.args.as_ref().map(|args| {
            let text = canon::to_string(args);
            if deeper(args, MOST_DEPTH) { canon::to_string(&Value::String(text)) } else { text }
        });
        let mut out = String::with_capacity(512 + args.as_ref().map_or(0, String::len));
        out.push('{');
        if let Some(args) = &args {
            out.push_str("\"args\":");
            out.push_str(args);
            out.push(',');
        }
        optional(&mut out, "\"args_digest\":", record.args_digest.as_deref());
        number(&mut out, "\"bytes\":", record.bytes);
        if record.cached {
            out.push_str("\"cached\":true,");
        }
        member(&mut out, "\"caller\":", &record.caller);
        member(&mut out, "\"caller_name\":", &record.caller_name);
        optional(&mut out, "\"client\":", record.client.as_deref());
        out.push_str(match record.decision {
            Decision::Allow => "\"decision\":\"allow\",",
            Decision::Deny => "\"decision\":\"deny\",",
        });
        number(&mut out, "\"duration_us\":", record.duration_us);
        optional(&mut out, "\"effect\":", record.effect.map(|effect| effect.label()));
        member(&mut out, "\"id\":", &record.id);
        optional(&mut out, "\"message\":", record.message.as_deref());
        optional(&mut out, "\"outcome\":", record.outcome.as_deref());
        out.push_str(match record.phase {
            Phase::Intent => "\"phase\":\"intent\",\"prev\":\"",
            Phase::Answer => "\"phase\":\"answer\",\"prev\":\"",
            Phase::Event => "\"phase\":\"event\",\"prev\":\"",
        });
        let prev_at = out.len();
        out.push_str("\",\"roles\":[");
        for (i, role) in record.roles.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            text(&mut out, role);
        }
        out.push_str("],");
        member(&mut out, "\"rule\":", &record.rule);
        out.push_str("\"seq\":");
        let seq_at = out.len();
        out.push(',');
        optional(&mut out, "\"server\":", record.server.as_deref());
        member(&mut out, "\"time\":", &record.time);
        member(&mut out, "\"tool\":", &record.tool);
        optional(&mut out, "\"trace_id\":", record.trace_id.as_deref());
        out.pop();
        out.push('}');
        Self { text: out, prev_at, seq_at }
    }

    /// Upper bound of the finished line's length, newline included.
    pub fn max_len(&self) -> usize {
        self.text.len() + 64 + 20 + 1
    }

    /// Put the finished line, with its newline, into `line`.
    pub fn fill(&self, place: &Place<'_>, line: &mut Vec<u8>) {
        use std::io::Write as _;
        let text = self.text.as_bytes();
        line.clear();
        line.reserve(self.max_len());
        line.extend_from_slice(&text[..self.prev_at]);
        line.extend_from_slice(place.prev);
        line.extend_from_slice(&text[self.prev_at..self.seq_at]);
        let _ = write!(line, "{}", place.seq);
        line.extend_from_slice(&text[self.seq_at..]);
        line.push(b'\n');
    }
}

fn deeper(value: &Value, than: usize) -> bool {
    match value {
        Value::Array(items) => than == 0 || items.iter().any(|item| deeper(item, than - 1)),
        Value::Object(members) => than == 0 || members.values().any(|member| deeper(member, than - 1)),
        _ => false,
    }
}

fn member(out: &mut String, name: &str, value: &str) {
    out.push_str(name);
    text(out, value);
    out.push(',');
}

fn optional(out: &mut String, name: &str, value: Option<&str>) {
    if let Some(value) = value {
        member(out, name, value);
    }
}

fn number(out: &mut String, name: &str, value: u64) {
    out.push_str(name);
    if value <= 1 << 53 {
        let _ = write!(out, "{value},");
    } else {
        // The RFC writes what a double holds; no honest duration or size comes here.
        let _ = write!(out, "{},", canon::to_string(&json!(value)));
    }
}

// Most texts need no escape: one look, one copy.
fn text(out: &mut String, value: &str) {
    if value.bytes().any(|b| b < 0x20 || b == b'"' || b == b'\\') {
        canon::write_string(out, value);
    } else {
        out.push('"');
        out.push_str(value);
        out.push('"');
    }
}
