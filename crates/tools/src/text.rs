//! Text files of the file tools: encodings, and lines of a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::ToolError;

/// Encodings that file tools read and write. Serialisable, so that schemas show the default.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Encoding {
    #[default]
    #[serde(rename = "utf-8", alias = "utf8", alias = "UTF-8")]
    Utf8,
    #[serde(rename = "ascii", alias = "us-ascii", alias = "ASCII")]
    Ascii,
    #[serde(rename = "latin-1", alias = "latin1", alias = "iso-8859-1")]
    Latin1,
}

impl Encoding {
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Ascii => "ascii",
            Encoding::Latin1 => "latin-1",
        }
    }

    /// Bytes to text; what does not fit the encoding is said, not replaced.
    pub fn decode(self, bytes: Vec<u8>) -> Result<String, ToolError> {
        match self {
            Encoding::Utf8 => String::from_utf8(bytes).map_err(|e| {
                ToolError::invalid(format!(
                    "not UTF-8 text (byte {}); it may be binary, or try encoding \"latin-1\"",
                    e.utf8_error().valid_up_to()
                ))
            }),
            Encoding::Ascii => match bytes.iter().position(|b| !b.is_ascii()) {
                None => Ok(bytes.into_iter().map(char::from).collect()),
                Some(at) => {
                    Err(ToolError::invalid(format!("not ASCII text (byte {at}); try encoding \"utf-8\"")))
                }
            },
            Encoding::Latin1 => Ok(bytes.into_iter().map(char::from).collect()),
        }
    }

    /// Text to bytes.
    pub fn encode(self, text: String) -> Result<Vec<u8>, ToolError> {
        let most = match self {
            Encoding::Utf8 => return Ok(text.into_bytes()),
            Encoding::Ascii => 0x7f,
            Encoding::Latin1 => 0xff_u32,
        };
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).ok().filter(|b| u32::from(*b) <= most))
            .collect::<Option<_>>()
            .ok_or_else(|| {
                ToolError::invalid(format!("the text has characters that {} cannot hold", self.name()))
            })
    }
}

impl Encoding {
    /// Bytes that a text takes in this encoding.
    pub fn encoded_len(self, text: &str) -> usize {
        match self {
            Encoding::Utf8 | Encoding::Ascii => text.len(),
            Encoding::Latin1 => text.chars().count(),
        }
    }
}

/// Text of the first `most` bytes of a file of `size` bytes; `bytes` may hold a few more. A character that the cut
/// splits is left out.
pub fn decode_prefix(
    encoding: Encoding,
    mut bytes: Vec<u8>,
    size: u64,
    most: usize,
) -> Result<String, ToolError> {
    if bytes.len() > most {
        bytes.truncate(most);
    }
    if encoding == Encoding::Utf8 && (bytes.len() as u64) < size {
        // A UTF-8 character has at most four bytes: its first one is among the last four.
        let last = bytes.iter().rposition(|b| (*b & 0xc0) != 0x80).filter(|at| bytes.len() - at <= 4);
        if let Some(at) = last.filter(|at| std::str::from_utf8(&bytes[*at..]).is_err()) {
            bytes.truncate(at);
        }
    }
    encoding.decode(bytes)
}

/// For `#[serde(default = ...)]`.
pub fn yes() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cut_never_splits_a_character() {
        for most in 1..=6 {
            let text = decode_prefix(Encoding::Utf8, "aé€😀".as_bytes()[..7].to_vec(), 10, most).unwrap();
            assert!("aé€😀".starts_with(&text), "{most}: {text}");
        }
        assert!(decode_prefix(Encoding::Utf8, vec![0xff; 4], 100, 4).is_err(), "binary stays refused");
    }

    #[test]
    fn encodings_hold_what_they_can() {
        assert_eq!(Encoding::Latin1.decode(vec![0xe9]).unwrap(), "é");
        assert_eq!(Encoding::Latin1.encode("é".into()).unwrap(), [0xe9]);
        assert!(Encoding::Latin1.encode("€".into()).is_err());
        assert!(Encoding::Utf8.decode(vec![0xe9]).is_err());
        assert!(Encoding::Ascii.decode(vec![0xe9]).is_err());
        assert!(Encoding::Ascii.encode("é".into()).is_err());
    }
}
