//! URI templates (RFC 6570 level 1): a URI to the values of its variables.
//!
//! A variable stands for one or more characters but `/`; values are percent-decoded. Matching is linear in the URI.

use serde_json::{Map, Value};

/// Longest URI that is looked at, in bytes.
pub const MAX_URI: usize = 2048;

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Variable(String),
}

/// A parsed template.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

impl Template {
    /// Two variables must have text between them, so that a URI can be read in one way only.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(open) = rest.find('{') {
            let close = rest.find('}').filter(|close| *close > open).ok_or("a { without its }")?;
            let name = &rest[open + 1..close];
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                return Err(format!("{name:?} is not a variable; letters, digits and _"));
            }
            if open > 0 {
                parts.push(Part::Text(rest[..open].to_owned()));
            } else if matches!(parts.last(), Some(Part::Variable(_))) {
                return Err("two variables without text between them".to_owned());
            }
            parts.push(Part::Variable(name.to_owned()));
            rest = &rest[close + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        match parts.first() {
            Some(Part::Text(first)) if first.contains(':') => Ok(Self { text: text.to_owned(), parts }),
            _ => Err("it must begin with its scheme".to_owned()),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it has no variables and so is one URI.
    pub fn is_fixed(&self) -> bool {
        self.parts.iter().all(|part| matches!(part, Part::Text(_)))
    }

    /// The variables of a URI; `None` when it is none of this template's.
    pub fn variables(&self, uri: &str) -> Option<Map<String, Value>> {
        if uri.len() > MAX_URI {
            return None;
        }
        let mut found = Map::new();
        let mut rest = uri;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Text(text) => rest = rest.strip_prefix(text.as_str())?,
                Part::Variable(name) => {
                    let end = match parts.peek() {
                        Some(Part::Text(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let value =
                        decode(&rest[..end]).filter(|v| !v.is_empty() && !rest[..end].contains('/'))?;
                    found.insert(name.clone(), Value::String(value));
                    rest = &rest[end..];
                }
            }
        }
        rest.is_empty().then_some(found)
    }

    /// A URI of this template as it writes it itself, so that two that mean the same are the same.
    pub fn canonical(&self, uri: &str) -> Option<String> {
        let variables = self.variables(uri)?;
        Some(self.expand(|name| variables.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()))
    }

    /// The URI of these values.
    pub fn expand(&self, value: impl Fn(&str) -> String) -> String {
        let mut uri = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => uri.push_str(text),
                Part::Variable(name) => encode(&mut uri, &value(name)),
            }
        }
        uri
    }
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || char::from(rest.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        bytes.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(bytes).ok()
}

fn encode(out: &mut String, value: &str) {
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn templates_read_and_write_uris() {
        let template = Template::parse("test://template/{id}/data").unwrap();
        for (uri, expected) in [
            ("test://template/a%20b/data", Some(json!({"id": "a b"}))),
            ("test://template/%2Fetc/data", Some(json!({"id": "/etc"}))),
            ("test://template//data", None),
            ("test://template/a/b/data", None),
            ("test://template/a/data/", None),
            ("test://template/%zz/data", None),
            ("test://template/%ff/data", None),
            ("other://template/a/data", None),
        ] {
            assert_eq!(template.variables(uri).map(Value::Object), expected, "{uri}");
        }
        assert_eq!(template.canonical("test://template/a:b/data").unwrap(), "test://template/a%3Ab/data");
        assert_eq!(template.canonical("test://template/%61%3ab/data").unwrap(), "test://template/a%3Ab/data");
        assert_eq!(template.expand(|_| "a/b é".to_owned()), "test://template/a%2Fb%20%C3%A9/data");
        assert_eq!(template.variables(&format!("test://template/{}/data", "a".repeat(MAX_URI))), None);
    }

    #[test]
    fn fixed_uris_are_templates_too() {
        let fixed = Template::parse("system://report").unwrap();
        assert!(fixed.is_fixed() && fixed.variables("system://report").is_some_and(|v| v.is_empty()));
        assert_eq!(fixed.variables("system://reports"), None);
    }

    #[test]
    fn what_cannot_be_read_in_one_way_is_refused() {
        for bad in ["{a}://x", "x://{a}{b}", "x://{}", "x://{a", "x://{a-b}", ""] {
            assert!(Template::parse(bad).is_err(), "{bad}");
        }
    }
}
