//! Patterns with `*`, and `Choice`: which resources or prompts of an upstream are offered.
//!
//! A URI is judged by what it comes to, not by how it is written: whoever writes it otherwise must not get round a rule.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a name fits a pattern, in which `*` stands for any text.
pub fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let Some(last) = pattern.rsplit_once('*').map(|(_, last)| last) else { return rest.is_empty() };
    let mut middle: Vec<&str> = parts.collect();
    middle.pop();
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.len() >= last.len() && rest.ends_with(last)
}

/// What is offered of what an upstream has.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Choice {
    /// Names or URIs, or patterns with `*`; all of them when empty.
    pub allow: Vec<String>,
    /// Names or URIs, or patterns with `*`; goes before `allow`.
    pub deny: Vec<String>,
}

impl Choice {
    fn is_all(&self) -> bool {
        self.allow.is_empty() && self.deny.is_empty()
    }

    /// Of names.
    pub fn has(&self, name: &str) -> bool {
        let any = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, name));
        (self.allow.is_empty() || any(&self.allow)) && !any(&self.deny)
    }

    /// Of URIs. One that cannot be judged is not offered where there is a rule.
    pub fn has_uri(&self, uri: &str) -> bool {
        self.is_all() || plain(uri).is_some_and(|plain| self.allows(&plain) && !self.denies_uri(&plain, uri))
    }

    fn allows(&self, plain: &str) -> bool {
        self.allow.is_empty() || self.allow.iter().any(|pattern| fits_uri(pattern, plain))
    }

    // Also as it is without what most readers leave out.
    fn denies_uri(&self, plain: &str, uri: &str) -> bool {
        let path = plain.split(['?', '#']).next().unwrap_or_default();
        let forms = [plain, path, path.trim_end_matches('/')];
        self.denies(uri) || self.deny.iter().any(|pattern| forms.iter().any(|form| fits_uri(pattern, form)))
    }

    /// Of URI templates: whether something that it may become is offered.
    pub fn has_template(&self, template: &str) -> bool {
        let before = |text: &str, mark: char| text.split(mark).next().unwrap_or_default().to_owned();
        let own = before(template, '{');
        let meets = |pattern: &String| {
            let start = before(pattern, '*');
            start.starts_with(&own) || (own.starts_with(&start) && pattern.contains('*'))
        };
        (self.allow.is_empty() || self.allow.iter().any(meets)) && !self.denies(template)
    }

    fn denies(&self, name: &str) -> bool {
        self.deny.iter().any(|pattern| fits(pattern, name))
    }
}

// A pattern is read as a URI is, where it is one.
fn fits_uri(pattern: &str, plain_uri: &str) -> bool {
    fits(pattern, plain_uri) || plain(pattern).is_some_and(|pattern| fits(&pattern, plain_uri))
}

// What a URI comes to: scheme and host in small letters, nothing percent-encoded, no empty parts of the path. None where the
// path goes up, or where it is encoded again and again.
fn plain(uri: &str) -> Option<String> {
    let mut text = uri.to_owned();
    for round in 0.. {
        let decoded = decode(&text)?;
        if decoded == text {
            break;
        }
        if round == 3 {
            return None;
        }
        text = decoded;
    }
    // Other readers leave these out, or take a backslash for a slash.
    if text.contains(|c: char| c.is_control() || c == '\\') || text.trim() != text {
        return None;
    }
    let (scheme, rest) = text.split_once(':')?;
    let scheme = scheme.to_ascii_lowercase();
    let file = scheme == "file";
    let (host, path) = match rest.strip_prefix("//") {
        Some(rest) => rest.split_at(rest.find('/').unwrap_or(rest.len())),
        None => ("", rest),
    };
    if path.split('/').any(|part| matches!(part.split(';').next(), Some("." | ".."))) {
        return None;
    }
    let mut plain = scheme + ":";
    // `file:/a`, `file:///a` and `file://localhost/a` are one file.
    if file || rest.starts_with("//") {
        plain.push_str("//");
        let host = host.to_ascii_lowercase();
        plain.push_str(if file && host == "localhost" { "" } else { &host });
    }
    let mut slash = false;
    plain.extend(path.chars().filter(|c| {
        let again = slash && *c == '/';
        slash = *c == '/';
        !again
    }));
    Some(plain)
}

// A percent sign that encodes nothing stays; None where bytes are no text.
fn decode(text: &str) -> Option<String> {
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::with_capacity(text.len()), 0);
    while let Some(&byte) = bytes.get(at) {
        let hex = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
        match (byte, hex(at + 1), hex(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).ok()?);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, name, good) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a/*", "a/bc", true),
            ("*a", "ba", true),
            ("*a", "ab", false),
            ("*", "", true),
            ("*/read_*", "x/read_file", true),
            ("*/read_*", "x/unread", false),
            ("a*b*c", "a1b2c", true),
            ("a*b*c", "a1c2b", false),
            ("ab*ba", "aba", false),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern, name), good, "{pattern} {name}");
        }
    }

    #[test]
    fn a_uri_that_is_written_otherwise_gets_round_no_rule() {
        let denied = ["file:///secret/*", "http://Example.com/Kept%20Back"].map(str::to_owned);
        let deny = Choice { deny: denied.into(), ..Choice::default() };
        let allow = Choice { allow: vec!["file:///pub/*".into()], ..Choice::default() };
        for (uri, denied, allowed) in [
            ("file:///pub/a", false, true),
            ("file:///pub/a%20b", false, true),
            ("file:///secret/a", true, false),
            ("FILE:///secret/a", true, false),
            ("file:///%73ecret/a", true, false),
            ("file:///%2573ecret/a", true, false),
            ("file:////secret//a", true, false),
            ("file:///pub/../secret/a", true, false),
            ("file:///pub/%2e%2e/secret/a", true, false),
            ("file:///pub/..%5csecret/a", true, false),
            ("file:/secret/a", true, false),
            ("file://localhost/secret/a", true, false),
            ("file:///secret\\a", true, false),
            ("file:///sec\tret/a", true, false),
            (" file:///secret/a", true, false),
            ("file:/pub/a", false, true),
            ("file:///pub/..;/secret/a", true, false),
            ("file:///secret/a?x", true, false),
            ("http://example.com/Kept%20Back?", true, false),
            ("http://EXAMPLE.com/Kept%20Back/#x", true, false),
            ("http://example.com/Kept", false, false),
            ("file:///pub/%252525252e", true, false),
            ("file:///pub/%ff", true, false),
            ("no uri", true, false),
            ("note://a", false, false),
        ] {
            assert_eq!((!deny.has_uri(uri), allow.has_uri(uri)), (denied, allowed), "{uri}");
        }
        assert!(Choice::default().has_uri("../whatever"), "without a rule nothing is judged");
    }

    #[test]
    fn a_template_is_offered_when_it_may_lead_to_what_is() {
        let choice = Choice { allow: vec!["file:///pub/*".into(), "a:b".into()], deny: vec!["a:{z}".into()] };
        for (template, good) in [
            ("file:///{path}", true),
            ("file:///pub/{name}", true),
            ("file:///secret/{name}", false),
            ("{+any}", true),
            ("a:{x}", true),
            ("a:{z}", false),
            ("b:{x}", false),
        ] {
            assert_eq!(choice.has_template(template), good, "{template}");
        }
    }
}
