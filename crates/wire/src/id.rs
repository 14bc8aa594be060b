//! `Id`: a JSON-RPC request id, kept as it was written so that the answer carries the very same text.

use serde_json::value::RawValue;
use std::fmt;

/// Longest id accepted, in bytes of JSON text.
pub const MAX_ID: usize = 1024;

/// A request id: the JSON text of a string or of an integer.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Id(Box<str>);

impl Id {
    /// A string or an integer. `null`, fractions, exponents and everything else are refused, with the reason.
    pub fn parse(raw: &RawValue) -> Result<Self, &'static str> {
        let text = raw.get();
        if text.len() > MAX_ID {
            return Err("the id is longer than 1024 bytes");
        }
        let digits = text.strip_prefix('-').unwrap_or(text);
        let integer = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        match text.as_bytes().first() {
            Some(b'"') => Ok(Self(text.into())),
            _ if integer => Ok(Self(text.into())),
            Some(b'n') => Err("the id is null; a request needs a string or an integer"),
            _ => Err("the id is neither a string nor an integer"),
        }
    }

    /// JSON text.
    pub fn json(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
