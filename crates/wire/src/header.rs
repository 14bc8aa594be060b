//! Header rules of the modern revision: what must be there, and that it says what the body says.
//!
//! Called by `http::mcp` for each modern request, before any method runs. Names compare without case (`http` does that),
//! values with case; spaces and tabs around a value do not count; a header that comes twice is refused, because two
//! readers could pick different ones.

use crate::era::{Era, Version};
use crate::fault::Fault;
use crate::members::text;
use crate::params::{Meta, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use std::borrow::Cow;

pub const PROTOCOL_VERSION: &str = "mcp-protocol-version";
pub const METHOD: &str = "mcp-method";
pub const NAME: &str = "mcp-name";
pub const SESSION_ID: &str = "mcp-session-id";
pub const PARAM_PREFIX: &str = "mcp-param-";

const SENTINEL_START: &str = "=?base64?";
const SENTINEL_END: &str = "?=";

/// The one value of a header, trimmed; `None` when absent.
pub fn value<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Fault> {
    let mut values = headers.get_all(name).iter();
    let Some(first) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Fault::header_mismatch(format_args!("header {name} comes twice")));
    }
    let text = first
        .to_str()
        .map_err(|_| Fault::header_mismatch(format_args!("header {name} holds invalid characters")))?;
    Ok(Some(text.trim_matches([' ', '\t'])))
}

/// A value that may be written in the Base64 form `=?base64?...?=`.
pub fn decode<'h>(name: &str, value: &'h str) -> Result<Cow<'h, str>, Fault> {
    let encoded = value.strip_prefix(SENTINEL_START).and_then(|rest| rest.strip_suffix(SENTINEL_END));
    let Some(encoded) = encoded else { return Ok(Cow::Borrowed(value)) };
    STANDARD
        .decode(encoded)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .map(Cow::Owned)
        .ok_or_else(|| Fault::header_mismatch(format_args!("header {name} is not Base64 of UTF-8 text")))
}

/// A value as a client must write it: plain when it survives as a header value, else in the Base64 form.
pub fn encode(value: &str) -> Cow<'_, str> {
    let plain = value.bytes().all(|b| (b' '..=b'~').contains(&b))
        && value.trim_matches(' ').len() == value.len()
        && !(value.starts_with(SENTINEL_START) && value.ends_with(SENTINEL_END));
    if plain {
        return Cow::Borrowed(value);
    }
    Cow::Owned(format!("{SENTINEL_START}{}{SENTINEL_END}", STANDARD.encode(value)))
}

/// Check a modern request: version, then method, then required `_meta`, then name.
///
/// The order decides what a client learns: a version that we do not speak is said first, because nothing else can be
/// judged without it.
pub fn check(
    headers: &HeaderMap,
    method: &str,
    params: &Params<'_>,
    meta: &Meta<'_>,
) -> Result<Version, Fault> {
    let Some(in_header) = value(headers, PROTOCOL_VERSION)? else {
        return Err(Fault::header_mismatch("header MCP-Protocol-Version is missing"));
    };
    let spoken = Version::parse(in_header).is_some_and(|v| v.era() == Era::Modern);
    match meta.version_text() {
        Some(in_body) if in_body != in_header => {
            return Err(Fault::header_mismatch(format_args!(
                "MCP-Protocol-Version is '{}', the body says '{}'",
                shown(in_header),
                shown(&in_body)
            )));
        }
        None if !spoken => return Err(Fault::unsupported_version(in_header)),
        _ => {}
    }
    if spoken && meta.protocol_version.is_some() {
        check_method(headers, method)?;
    }
    let version = meta.require()?;
    check_name(headers, method, params)?;
    Ok(version)
}

fn check_method(headers: &HeaderMap, method: &str) -> Result<(), Fault> {
    match value(headers, METHOD)? {
        None => Err(Fault::header_mismatch("header Mcp-Method is missing")),
        Some(said) if said != method => Err(Fault::header_mismatch(format_args!(
            "Mcp-Method is '{}', the body says '{}'",
            shown(said),
            shown(method)
        ))),
        Some(_) => Ok(()),
    }
}

fn check_name(headers: &HeaderMap, method: &str, params: &Params<'_>) -> Result<(), Fault> {
    let (key, member, required) = match method {
        "tools/call" | "prompts/get" => ("name", params.name, true),
        "resources/read" => ("uri", params.uri, true),
        "tasks/get" | "tasks/update" | "tasks/cancel" => ("taskId", params.task_id, false),
        _ => return Ok(()),
    };
    let Some(in_body) = member.and_then(text) else {
        return Err(Fault::invalid_params(format!("Invalid params: \"{key}\" must be a string")));
    };
    match value(headers, NAME)? {
        None if required => Err(Fault::header_mismatch("header Mcp-Name is missing")),
        None => Ok(()),
        Some(said) => {
            let said = decode("Mcp-Name", said)?;
            if said == in_body {
                return Ok(());
            }
            Err(Fault::header_mismatch(format_args!(
                "Mcp-Name is '{}', the body says '{}'",
                shown(&said),
                shown(&in_body)
            )))
        }
    }
}

// Enough of a value to recognise it, whatever was sent.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(80).collect()
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
