//! Set or remove one member of one object in a JSON text, leaving every other byte as it is.
//!
//! Called by `connect`. The text is parsed strictly before and after; an edit that would change anything else in the
//! document is refused. Absent on purpose: JSON with comments, which is refused rather than rewritten without them.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Map, Value};
use std::ops::Range;

/// A text and what was taken out of it and put into it, for a preview that shows nobody else's lines.
#[derive(Debug, PartialEq, Eq)]
pub struct Edit {
    pub text: String,
    pub removed: String,
    pub added: String,
}

/// Parse a client's file: an object, or nothing yet.
pub fn parse(text: &str) -> Result<Map<String, Value>> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    let value: Value = serde_json::from_str(text)
        .context("it is not plain JSON (comments and trailing commas cannot be kept by an automatic edit)")?;
    match value {
        Value::Object(object) => Ok(object),
        _ => bail!("it is not a JSON object"),
    }
}

/// `document[section][name] = entry`.
pub fn set(text: &str, section: &str, name: &str, entry: &Value) -> Result<Edit> {
    let mut expected = parse(text)?;
    let indent = indent_of(text);
    let section_value = expected.entry(section).or_insert_with(|| Value::Object(Map::new()));
    let Some(object) = section_value.as_object_mut() else {
        bail!("its {section:?} is not an object");
    };
    object.insert(name.to_owned(), entry.clone());

    let edit = if text.trim().is_empty() {
        let added = format!("{}\n", pretty(&Value::Object(expected.clone()), &indent, 0)?);
        Edit { text: added.clone(), removed: String::new(), added }
    } else {
        let root = whole(text)?;
        match member(text, root.start, section)? {
            None => {
                let fresh = Value::Object(Map::from_iter([(name.to_owned(), entry.clone())]));
                insert_first(text, root.start, section, &fresh, &indent, 1)?
            }
            Some(found) => match member(text, found.value.start, name)? {
                None => insert_first(text, found.value.start, name, entry, &indent, 2)?,
                Some(old) => splice(text, old.value, &pretty(entry, &indent, 2)?),
            },
        }
    };
    verify(&edit.text, &expected)?;
    Ok(edit)
}

/// Remove `document[section][name]`, and the section when it is left empty. `None` when it is not there.
pub fn remove(text: &str, section: &str, name: &str) -> Result<Option<Edit>> {
    let mut expected = parse(text)?;
    let Some(object) = expected.get_mut(section).and_then(Value::as_object_mut) else { return Ok(None) };
    if object.shift_remove(name).is_none() {
        return Ok(None);
    }
    let empty = object.is_empty();
    if empty {
        expected.shift_remove(section);
    }
    let root = whole(text)?;
    let outer = member(text, root.start, section)?.context("section not found again")?;
    let gone = if empty {
        outer
    } else {
        member(text, outer.value.start, name)?.context("entry not found again")?
    };
    let edit = splice(text, gone.with_comma, "");
    verify(&edit.text, &expected)?;
    Ok(Some(edit))
}

fn verify(text: &str, expected: &Map<String, Value>) -> Result<()> {
    ensure!(parse(text)? == *expected, "the edit would change more than the one entry; nothing was done");
    Ok(())
}

fn splice(text: &str, range: Range<usize>, with: &str) -> Edit {
    Edit {
        removed: text[range.clone()].to_owned(),
        added: with.to_owned(),
        text: format!("{}{with}{}", &text[..range.start], &text[range.end..]),
    }
}

// As the first member, so that no line of another one changes (a comma after it).
fn insert_first(
    text: &str,
    open: usize,
    key: &str,
    value: &Value,
    indent: &str,
    level: usize,
) -> Result<Edit> {
    let after = open + 1;
    let rest = text[after..].trim_start();
    let lead = format!("\n{}", indent.repeat(level));
    let member = format!("{}: {}", Value::from(key), pretty(value, indent, level)?);
    if rest.starts_with('}') {
        let end = text.len() - rest.len();
        return Ok(splice(text, after..end, &format!("{lead}{member}\n{}", indent.repeat(level - 1))));
    }
    let one_line = !text[after..text.len() - rest.len()].contains('\n');
    let tail = if one_line { lead.as_str() } else { "" };
    Ok(splice(text, after..after, &format!("{lead}{member},{tail}")))
}

fn pretty(value: &Value, indent: &str, level: usize) -> Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(indent.as_bytes());
    serde::Serialize::serialize(value, &mut serde_json::Serializer::with_formatter(&mut bytes, formatter))?;
    let text = String::from_utf8(bytes)?;
    Ok(text.replace('\n', &format!("\n{}", indent.repeat(level))))
}

// The white space before the first member that stands on its own line; two spaces when there is none.
fn indent_of(text: &str) -> String {
    text.lines()
        .find_map(|line| {
            let indent: String = line.chars().take_while(|c| *c == ' ' || *c == '\t').collect();
            (!indent.is_empty() && line.trim_start().starts_with('"')).then_some(indent)
        })
        .unwrap_or_else(|| "  ".to_owned())
}

fn whole(text: &str) -> Result<Range<usize>> {
    let start = text.find('{').context("no object")?;
    Ok(start..skip_value(text.as_bytes(), start)?)
}

struct Found {
    value: Range<usize>,
    // The member, one comma beside it, and the white space that belongs to it.
    with_comma: Range<usize>,
}

// The last member of that name (which is the one that parsers keep) of the object that begins at `open`.
fn member(text: &str, open: usize, key: &str) -> Result<Option<Found>> {
    let bytes = text.as_bytes();
    ensure!(bytes.get(open) == Some(&b'{'), "not an object");
    let mut found = None;
    let mut boundary = open + 1;
    let mut at = skip_space(bytes, boundary);
    while bytes.get(at) == Some(&b'"') {
        let key_end = skip_value(bytes, at)?;
        let name: String = serde_json::from_str(&text[at..key_end])?;
        let colon = skip_space(bytes, key_end);
        let value = skip_space(bytes, colon + 1);
        let end = skip_value(bytes, value)?;
        let next = skip_space(bytes, end);
        let comma = bytes.get(next) == Some(&b',');
        if name == key {
            ensure!(found.is_none(), "{key:?} is there twice");
            // Take the comma after it; the last member takes the one before it; an only member takes all white space.
            let first = boundary == open + 1;
            let with_comma = match (first, comma) {
                (_, true) => boundary..next + 1,
                (false, false) => boundary - 1..end,
                (true, false) => boundary..next,
            };
            found = Some(Found { value: value..end, with_comma });
        }
        if !comma {
            break;
        }
        boundary = next + 1;
        at = skip_space(bytes, boundary);
    }
    Ok(found)
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
        at += 1;
    }
    at
}

// The end of the value at `at`, in a text that is known to be valid JSON.
fn skip_value(bytes: &[u8], mut at: usize) -> Result<usize> {
    let mut depth = 0_usize;
    loop {
        match bytes.get(at).context("the text ends early")? {
            b'"' => {
                at += 1;
                while *bytes.get(at).context("the text ends early")? != b'"' {
                    at += if bytes[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'{' | b'[' => {
                depth += 1;
                at += 1;
            }
            b'}' | b']' => {
                depth = depth.checked_sub(1).context("unbalanced brackets")?;
                at += 1;
            }
            c if depth == 0 => {
                ensure!(!matches!(c, b',' | b':') && !c.is_ascii_whitespace(), "no value");
                while bytes
                    .get(at)
                    .is_some_and(|c| !matches!(c, b',' | b'}' | b']') && !c.is_ascii_whitespace())
                {
                    at += 1;
                }
            }
            _ => at += 1,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "{\n    \"big\": 12345678901234567890123,\n    \"mcpServers\": {\n        \"github\": { \"command\": \"gh \\\"{,\", \"env\": {\"TOKEN\": \"secret\"} }\n    },\n    \"last\": [1, 2]\n}\n";

    #[test]
    fn sets_and_removes_without_touching_the_rest() {
        let entry = json!({"command": "/bin/toolgate", "args": ["stdio"]});
        let edit = set(FILE, "mcpServers", "toolgate", &entry).unwrap();
        insta::assert_snapshot!(edit.text);
        assert!(!edit.added.contains("secret") && edit.removed.is_empty());
        let back = remove(&edit.text, "mcpServers", "toolgate").unwrap().unwrap();
        assert_eq!(back.text, FILE);
        assert!(remove(FILE, "mcpServers", "toolgate").unwrap().is_none());

        let changed = set(&edit.text, "mcpServers", "toolgate", &json!({"url": "x"})).unwrap();
        assert_eq!(parse(&changed.text).unwrap()["mcpServers"]["toolgate"], json!({"url": "x"}));
        assert!(changed.removed.contains("/bin/toolgate"));
    }

    #[test]
    fn every_shape_of_file() {
        let entry = json!({"url": "x"});
        for text in [
            "",
            "{}",
            " {\n}\n",
            "{\"a\":1}",
            "{\"mcpServers\":{}}",
            "{\"mcpServers\":{\"x\":{}}}",
            "{\n\t\"mcpServers\": {\n\t\t\"x\": {},\n\t\t\"y\": []\n\t}\n}",
            "{\"a\": {\"mcpServers\": {\"toolgate\": 1}}, \"z\": \"}\"}",
        ] {
            let edit = set(text, "mcpServers", "toolgate", &entry).unwrap();
            let parsed = parse(&edit.text).unwrap();
            assert_eq!(parsed["mcpServers"]["toolgate"], entry, "{text}");
            let back = remove(&edit.text, "mcpServers", "toolgate").unwrap().unwrap();
            let mut expected = parse(text).unwrap();
            if expected.get("mcpServers").is_some_and(|section| *section == json!({})) {
                expected.remove("mcpServers");
            }
            assert_eq!(parse(&back.text).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn removes_first_middle_and_last() {
        for name in ["a", "b", "c"] {
            let text = "{\"s\": {\"a\": 1, \"b\": {\"c\": 2}, \"c\": 3}}";
            let edit = remove(text, "s", name).unwrap().unwrap();
            assert_eq!(parse(&edit.text).unwrap()["s"].as_object().unwrap().len(), 2);
        }
    }

    #[test]
    fn refuses_what_it_cannot_keep() {
        let entry = json!({});
        for bad in [
            "{ // mine\n}",
            "{\"a\": 1,}",
            "[]",
            "{\"mcpServers\": []}",
            "{\"mcpServers\": {}, \"mcpServers\": {}}",
        ] {
            assert!(set(bad, "mcpServers", "t", &entry).is_err(), "{bad}");
        }
    }
}
