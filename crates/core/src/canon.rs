//! Canonical JSON (RFC 8785, JSON Canonicalization Scheme) and SHA-256 over it.
//!
//! The journal chains canonical records; argument digests are of canonical arguments. Numbers follow ECMAScript's
//! `Number::toString`, member names sort by UTF-16 code units.

use crate::json::{Json, Text};
use crate::json_text::next_special;
use aws_lc_rs::digest::{Context, SHA256};
use serde_json::{Number, Value};
use std::fmt::{self, Write};

/// Canonical text of a value.
pub fn to_string(value: &Value) -> String {
    let mut out = String::new();
    write_value(&mut out, value);
    out
}

/// SHA-256 of a value's canonical text, which is hashed as it is written.
pub fn digest(json: &Json<'_>) -> [u8; 32] {
    let mut hashed = Hashed { context: Context::new(&SHA256), gathered: String::with_capacity(PIECE) };
    write_json(&mut hashed, json);
    hashed.finish()
}

/// SHA-256 of bytes.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    bytes_of(&aws_lc_rs::digest::digest(&SHA256, bytes))
}

fn bytes_of(digest: &aws_lc_rs::digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

// Short texts are gathered to pieces of about this many bytes before they are hashed.
const PIECE: usize = 1024;

struct Hashed {
    context: Context,
    gathered: String,
}

impl Hashed {
    fn finish(mut self) -> [u8; 32] {
        self.context.update(self.gathered.as_bytes());
        bytes_of(&self.context.finish())
    }
}

impl Write for Hashed {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        if self.gathered.len() + text.len() > PIECE {
            self.context.update(self.gathered.as_bytes());
            self.gathered.clear();
            if text.len() > PIECE {
                self.context.update(text.as_bytes());
                return Ok(());
            }
        }
        self.gathered.push_str(text);
        Ok(())
    }
}

/// SHA-256 of bytes as 64 lower-case hexadecimal digits.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&sha256(bytes))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(DIGITS[usize::from(byte >> 4)] as char);
        out.push(DIGITS[usize::from(byte & 15)] as char);
    }
    out
}

fn write_value(out: &mut String, value: &Value) {
    match value {
        Value::Null => put(out, "null"),
        Value::Bool(value) => put(out, if *value { "true" } else { "false" }),
        Value::Number(number) => write_number(out, number),
        Value::String(text) => write_string(out, text),
        Value::Array(items) => write_array(out, items, write_value),
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by(|a, b| in_order(a.0, b.0));
            write_object(
                out,
                &members,
                |out, name| write_string(out, name),
                |out, value| write_value(out, value),
            );
        }
    }
}

// As `write_value`; a text that came without escapes needs none.
fn write_json<W: Write>(out: &mut W, json: &Json<'_>) {
    match json {
        Json::Null => put(out, "null"),
        Json::Bool(value) => put(out, if *value { "true" } else { "false" }),
        Json::Number(number) => write_number(out, number),
        Json::Text(text) => write_text(out, text),
        Json::Array(items) => write_array(out, items, write_json),
        Json::Object(members) => {
            let mut members: Vec<(&Text<'_>, &Json<'_>)> = members.iter().map(|(n, m)| (n, m)).collect();
            members.sort_by(|a, b| in_order(a.0, b.0));
            write_object(
                out,
                &members,
                |out, name| write_text(out, name),
                |out, value| write_json(out, value),
            );
        }
    }
}

fn write_text<W: Write>(out: &mut W, text: &Text<'_>) {
    match text {
        Text::Escaped(text) => write_string(out, text),
        Text::Plain(text) => {
            put(out, "\"");
            put(out, text);
            put(out, "\"");
        }
    }
}

// The order of names. Only characters beyond the first 65,536 sort otherwise than their UTF-8.
fn in_order(a: &str, b: &str) -> std::cmp::Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

fn write_array<W: Write, T>(out: &mut W, items: &[T], write: impl Fn(&mut W, &T)) {
    put(out, "[");
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            put(out, ",");
        }
        write(out, item);
    }
    put(out, "]");
}

fn write_object<W: Write, N, T>(
    out: &mut W,
    members: &[(N, T)],
    write_name: impl Fn(&mut W, &N),
    write: impl Fn(&mut W, &T),
) {
    put(out, "{");
    for (i, (name, member)) in members.iter().enumerate() {
        if i > 0 {
            put(out, ",");
        }
        write_name(out, name);
        put(out, ":");
        write(out, member);
    }
    put(out, "}");
}

// Neither a `String` nor a hash fails.
fn put<W: Write>(out: &mut W, text: &str) {
    let _ = out.write_str(text);
}

/// Write a JSON string as RFC 8785 section 3.2.2.2 asks.
pub fn write_string<W: Write>(out: &mut W, text: &str) {
    put(out, "\"");
    // Everything between two characters that are escaped goes out in one piece. Those are ASCII, so pieces are whole.
    let mut from = 0;
    loop {
        let at = next_special(text.as_bytes(), from);
        put(out, &text[from..at]);
        let Some(&byte) = text.as_bytes().get(at) else { break };
        from = at + 1;
        match byte {
            b'"' => put(out, "\\\""),
            b'\\' => put(out, "\\\\"),
            0x8 => put(out, "\\b"),
            0x9 => put(out, "\\t"),
            0xa => put(out, "\\n"),
            0xc => put(out, "\\f"),
            0xd => put(out, "\\r"),
            byte => {
                let _ = write!(out, "\\u{byte:04x}");
            }
        }
    }
    put(out, "\"");
}

// Integers beyond 2^53 are written as the double that any other reader would see, as the RFC demands.
fn write_number<W: Write>(out: &mut W, number: &Number) {
    const EXACT: u64 = 1 << 53;
    if let Some(n) = number.as_u64().filter(|n| *n <= EXACT) {
        let _ = write!(out, "{n}");
    } else if let Some(n) = number.as_i64().filter(|n| n.unsigned_abs() <= EXACT) {
        let _ = write!(out, "{n}");
    } else {
        write_double(out, number.as_f64().unwrap_or(0.0));
    }
}

// ECMAScript Number::toString: the shortest digits that read back, with an exponent below 1e-6 and from 1e21 on.
fn write_double<W: Write>(out: &mut W, n: f64) {
    if n == 0.0 {
        put(out, "0");
        return;
    }
    let scientific = format!("{n:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else {
        put(out, &scientific);
        return;
    };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let (sign, mantissa) = mantissa.strip_prefix('-').map_or(("", mantissa), |m| ("-", m));
    let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let count = i32::try_from(digits.len()).unwrap_or(i32::MAX);
    put(out, sign);
    let point = exponent + 1;
    if (count..=21).contains(&point) {
        put(out, &digits);
        (count..point).for_each(|_| put(out, "0"));
    } else if (1..=21).contains(&point) {
        let (whole, rest) = digits.split_at(usize::try_from(point).unwrap_or(0));
        let _ = write!(out, "{whole}.{rest}");
    } else if (-5..=0).contains(&point) {
        put(out, "0.");
        (point..0).for_each(|_| put(out, "0"));
        put(out, &digits);
    } else {
        let (first, rest) = digits.split_at(1);
        put(out, first);
        if !rest.is_empty() {
            let _ = write!(out, ".{rest}");
        }
        let _ = write!(out, "e{}{}", if exponent < 0 { '-' } else { '+' }, exponent.abs());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn rfc_8785_example() {
        let value: Value = serde_json::from_str(
            r#"{"numbers":[333333333.33333329,1E30,4.50,2e-3,0.000000000000000000000000001],
                "string":"\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/","literals":[null,true,false]}"#,
        )
        .unwrap();
        assert_eq!(
            to_string(&value),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\"}"
        );
    }

    #[test]
    fn numbers_as_ecmascript_writes_them() {
        for (n, text) in [
            (json!(1e21), "1e+21"),
            (json!(1e20), "100000000000000000000"),
            (json!(-0.0), "0"),
            (json!(0.000001), "0.000001"),
            (json!(1e-7), "1e-7"),
            (json!(123.456), "123.456"),
            (json!(9007199254740993_u64), "9007199254740992"),
            (json!(-5), "-5"),
            (json!(5e-324), "5e-324"),
        ] {
            assert_eq!(to_string(&n), text);
        }
    }

    // Escapes on both sides of each block's end, and none.
    #[test]
    fn escapes_are_found_wherever_they_are() {
        for len in [0, 1, 31, 32, 33, 64, 65, 100] {
            let clean = "x".repeat(len);
            assert_eq!(to_string(&json!(clean)), format!("\"{clean}\""));
            for at in 0..len {
                for escaped in ["\"", "\\", "\n", "\u{0}", "\u{1f}"] {
                    let text = format!("{}{escaped}é{escaped}", &clean[..at]) + &clean[at..];
                    assert_eq!(to_string(&json!(text)), json!(text).to_string());
                }
            }
        }
    }

    #[test]
    fn a_hash_is_of_the_text() {
        for len in [0, 1, PIECE - 3, PIECE - 2, PIECE - 1, PIECE, 5 * PIECE] {
            let value =
                json!({"b": "x".repeat(len), "a": vec!["é\n"; 300], "c": ["y".repeat(PIECE / 2), 1.5, null]});
            let text = value.to_string();
            let json = Json::parse(&text).unwrap();
            assert_eq!(digest(&json), sha256(to_string(&value).as_bytes()), "{len}");
        }
    }

    #[test]
    fn names_sort_by_utf16() {
        let value =
            json!({"\u{20ac}": 1, "\r": 2, "\u{fb33}": 3, "1": 4, "\u{1f600}": 5, "\u{80}": 6, "\u{f6}": 7});
        assert_eq!(
            to_string(&value),
            "{\"\\r\":2,\"1\":4,\"\u{80}\":6,\"\u{f6}\":7,\"\u{20ac}\":1,\"\u{1f600}\":5,\"\u{fb33}\":3}"
        );
    }
}
