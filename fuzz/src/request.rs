//! Target `request`: of which era a request is, and whether its headers agree with its body, against a plain model.
//!
//! An input is a request as HTTP/1.1 would carry it: header lines, an empty line, the body. Lines that are no header are
//! left out. Also here: what `header::encode` writes must be a header value that `header::decode` reads back.

use http::{HeaderName, HeaderValue};
use serde_json::Value;
use toolgate_wire::{Body, Era, HeaderMap, Incoming, Message, Version, era, fault, header, message};

pub const WORDS: &[&str] = &[
    "MCP-Protocol-Version: ",
    "Mcp-Method: ",
    "Mcp-Name: ",
    "mcp-protocol-version:",
    "\n",
    "\n\n",
    " ",
    "\t",
    "2024-11-05",
    "2025-03-26",
    "2025-06-18",
    "2025-11-25",
    "2026-07-28",
    "v999",
    "tools/call",
    "tools/list",
    "prompts/get",
    "resources/read",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "server/discover",
    "name",
    "uri",
    "taskId",
    "\"name\":\"a\"",
    "\"uri\":\"a://b\"",
    "\"taskId\":\"t\"",
    "\"_meta\":{}",
    "\"_meta\":null",
    "=?base64?",
    "?=",
    "=?base64?YQ==?=",
    "=?base64?w6k=?=",
    "YQ",
    "YR==",
    "=",
    "a",
    "\u{e9}",
    "\\u00e9",
    "\\u0061",
    "\\ud800",
    "{}",
    "null",
    "1",
    "\"io.modelcontextprotocol/protocolVersion\":\"2026-07-28\"",
    "\"io.modelcontextprotocol/clientCapabilities\":{}",
    "io.modelcontextprotocol/protocolVersion",
    ",",
];

pub fn check(input: &[u8]) -> Result<(), String> {
    round_trip(&String::from_utf8_lossy(input))?;
    let (headers, body) = split(input);
    let version = headers.get(header::PROTOCOL_VERSION).and_then(|v| v.to_str().ok());
    for names in [false, true] {
        let (got, wanted) = (era::of(version, names), era_of(version, names));
        if got != wanted {
            return Err(format!("era of {version:?}, {names}: {got:?}, wanted {wanted:?}"));
        }
    }
    if let Some(version) = version {
        negotiated(version)?;
    }
    let Ok(Body::One(Message::Request(request))) = message::parse(body, 64) else { return Ok(()) };
    // The model needs a body without names that come twice and without halves of surrogate pairs; both are refused
    // before the headers are looked at, or are members that nobody reads.
    let (Ok(incoming), Ok(value)) = (Incoming::of(request), serde_json::from_slice::<Value>(body)) else {
        return Ok(());
    };
    let got = header::check(&headers, &incoming.method, &incoming.params, &incoming.meta);
    let got = got.map_err(|fault| fault.code);
    let wanted = model(&headers, &value);
    if got == wanted { Ok(()) } else { Err(format!("headers against body: {got:?}, wanted {wanted:?}")) }
}

fn split(input: &[u8]) -> (HeaderMap, &[u8]) {
    let end = input.windows(2).position(|w| w == b"\n\n");
    let (head, body) = end.map_or((&b""[..], input), |at| (&input[..at], &input[at + 2..]));
    let mut headers = HeaderMap::new();
    for line in head.split(|b| *b == b'\n') {
        let Some(colon) = line.iter().position(|b| *b == b':') else { continue };
        let (name, value) =
            (HeaderName::from_bytes(&line[..colon]), HeaderValue::from_bytes(&line[colon + 1..]));
        if let (Ok(name), Ok(value)) = (name, value) {
            headers.append(name, value);
        }
    }
    (headers, body)
}

fn era_of(version: Option<&str>, meta_names_version: bool) -> Era {
    match version {
        _ if meta_names_version => Era::Modern,
        None | Some("2024-11-05" | "2025-03-26" | "2025-06-18" | "2025-11-25") => Era::Legacy,
        Some(_) => Era::Modern,
    }
}

fn negotiated(wanted: &str) -> Result<(), String> {
    for http in [true, false] {
        let answer = match wanted {
            "2025-03-26" | "2025-06-18" => wanted,
            "2024-11-05" if !http => wanted,
            _ => "2025-11-25",
        };
        let got = era::negotiate(wanted, http).as_str();
        if got != answer {
            return Err(format!("initialize with {wanted:?} (HTTP {http}): {got}, wanted {answer}"));
        }
    }
    Ok(())
}

// The one value of a header as text; the error is that there is not exactly one readable.
fn one(headers: &HeaderMap, name: &str) -> Result<Option<String>, i64> {
    let values: Vec<&HeaderValue> =
        headers.iter().filter(|(n, _)| n.as_str() == name).map(|(_, v)| v).collect();
    match values[..] {
        [] => Ok(None),
        [only] if only.as_bytes().iter().all(|b| *b == b'\t' || (32..127).contains(b)) => {
            let text = String::from_utf8_lossy(only.as_bytes());
            Ok(Some(text.trim_matches(|c| c == ' ' || c == '\t').to_owned()))
        }
        _ => Err(fault::HEADER_MISMATCH),
    }
}

fn model(headers: &HeaderMap, body: &Value) -> Result<Version, i64> {
    const MODERN: &str = "2026-07-28";
    let (method, params) = (&body["method"], &body["params"]);
    let meta = &params["_meta"];
    let named = meta.get("io.modelcontextprotocol/protocolVersion");
    let in_body = named.and_then(Value::as_str);
    let in_header = one(headers, "mcp-protocol-version")?.ok_or(fault::HEADER_MISMATCH)?;
    if in_body.is_some_and(|v| v != in_header) {
        return Err(fault::HEADER_MISMATCH);
    }
    if in_body.is_none() && in_header != MODERN {
        return Err(fault::UNSUPPORTED_VERSION);
    }
    if in_header == MODERN && named.is_some() && one(headers, "mcp-method")?.as_deref() != method.as_str() {
        return Err(fault::HEADER_MISMATCH);
    }
    match in_body {
        None => return Err(fault::INVALID_PARAMS),
        Some(version) if version != MODERN => return Err(fault::UNSUPPORTED_VERSION),
        Some(_) => {}
    }
    if !meta.get("io.modelcontextprotocol/clientCapabilities").is_some_and(Value::is_object) {
        return Err(fault::INVALID_PARAMS);
    }
    let (member, required) = match method.as_str() {
        Some("tools/call" | "prompts/get") => ("name", true),
        Some("resources/read") => ("uri", true),
        Some("tasks/get" | "tasks/update" | "tasks/cancel") => ("taskId", false),
        _ => return Ok(Version::V2026_07_28),
    };
    let wanted = params[member].as_str().ok_or(fault::INVALID_PARAMS)?;
    match one(headers, "mcp-name")? {
        None if required => Err(fault::HEADER_MISMATCH),
        None => Ok(Version::V2026_07_28),
        Some(said) if decoded(&said).as_deref() == Some(wanted) => Ok(Version::V2026_07_28),
        Some(_) => Err(fault::HEADER_MISMATCH),
    }
}

fn decoded(value: &str) -> Option<String> {
    let (start, end) = ("=?base64?", "?=");
    if value.len() < start.len() + end.len() || !value.starts_with(start) || !value.ends_with(end) {
        return Some(value.to_owned());
    }
    String::from_utf8(base64(&value.as_bytes()[start.len()..value.len() - end.len()])?).ok()
}

// RFC 4648 with padding, which must be there; bits that belong to no byte must be 0.
fn base64(text: &[u8]) -> Option<Vec<u8>> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let padding = text.iter().rev().take_while(|b| **b == b'=').count();
    if !text.len().is_multiple_of(4) || padding > 2 {
        return None;
    }
    let mut bits = Vec::new();
    for byte in &text[..text.len() - padding] {
        let digit = DIGITS.iter().position(|d| d == byte)?;
        bits.extend((0..6).rev().map(|shift| (digit >> shift) & 1));
    }
    let whole = bits.len() / 8 * 8;
    if bits[whole..].contains(&1) {
        return None;
    }
    Some(
        bits[..whole]
            .chunks(8)
            .map(|bits| bits.iter().fold(0u8, |byte, bit| byte << 1 | *bit as u8))
            .collect(),
    )
}

fn round_trip(text: &str) -> Result<(), String> {
    let written = header::encode(text);
    let Ok(value) = HeaderValue::from_str(&written) else {
        return Err(format!("{written:?} is no header value"));
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::NAME, value);
    let read = header::value(&headers, header::NAME).ok().flatten();
    let back = read.and_then(|value| header::decode(header::NAME, value).ok());
    if back.as_deref() == Some(text) {
        Ok(())
    } else {
        Err(format!("{text:?} was written {written:?}, read {back:?}"))
    }
}
