//! Secrets masked: in results before they leave, in arguments before they are journaled.
//!
//! Two measures: member names that hold secrets by convention (arguments only), and texts that look like a known kind of
//! credential (CATALOGUE 1.7). One scan for literals finds where such a text may be (`scan`), so that a clean result costs one pass and
//! no copy; what must stand around each literal is in `kinds`.

mod kinds;
mod scan;
#[cfg(test)]
mod tests;

use crate::json::Json;
use scan::Scan;
use serde_json::Value;
use std::borrow::Cow;

/// What a secret is replaced by.
pub const MASK: &str = "***REDACTED***";
// Longest text that the journal keeps of one argument, in bytes.
const MAX_TEXT: usize = 256;
// How much of one argument is searched: all that is kept, and what it takes to know a credential that begins there.
const MAX_LOOK: usize = 16 * 1024;
// About how many bytes the journal keeps of all arguments of a call: bounds on each level alone multiply.
const MAX_ARGUMENTS: usize = 16 * 1024;
// Most items or members of one argument array or object that the journal keeps.
const MAX_ITEMS: usize = 64;

/// Mask every credential in a text. Works on JSON text too, which stays JSON: see `kinds`. The time is linear in the text's
/// length whatever it holds, about 10 ms for each MB at worst; a long text is still no work for a thread of the runtime.
pub fn text(input: &str) -> Cow<'_, str> {
    let spans = Scan::new(input).spans();
    if spans.is_empty() {
        return Cow::Borrowed(input);
    }
    let mut shown = String::with_capacity(input.len());
    let mut done = 0;
    for span in spans {
        shown.push_str(&input[done..span.start]);
        shown.push_str(MASK);
        done = span.end;
    }
    shown.push_str(&input[done..]);
    Cow::Owned(shown)
}

/// Whether a member of this name holds a secret by convention.
pub fn is_secret_name(name: &str) -> bool {
    const WHOLE: [&str; 7] = ["auth", "cookie", "set_cookie", "pin", "otp", "jwt", "bearer"];
    const PARTS: [&str; 10] = [
        "password",
        "passwd",
        "passphrase",
        "secret",
        "token",
        "api_key",
        "apikey",
        "private_key",
        "credential",
        "authorization",
    ];
    let plain = |c: char| if c == '-' { '_' } else { c.to_ascii_lowercase() };
    let name: String = name.chars().map(plain).collect();
    WHOLE.contains(&name.as_str())
        || PARTS.iter().any(|p| name.contains(p))
        || name.ends_with("_key") && name.contains("access")
        || name == "x_api_key"
}

/// Arguments as the journal keeps them: secrets masked, long texts and lists cut (what is cut is said), about 16 KiB in
/// all however they are nested.
pub fn arguments(given: &Json<'_>) -> Value {
    kept(given, &mut MAX_ARGUMENTS.clone())
}

// `left`: bytes that may still be kept. What has begun is finished, so that it is overdrawn by one text at most.
fn kept(given: &Json<'_>, left: &mut usize) -> Value {
    match given {
        Json::Text(s) => {
            let shown = opening(s);
            spend(left, shown.len() + 3);
            Value::String(shown)
        }
        Json::Array(items) => {
            spend(left, 3);
            let mut shown = Vec::new();
            for item in items.iter().take(MAX_ITEMS) {
                if *left == 0 {
                    break;
                }
                shown.push(kept(item, left));
            }
            if items.len() > shown.len() {
                shown.push(format!("… {} more items", items.len() - shown.len()).into());
            }
            Value::Array(shown)
        }
        Json::Object(members) => {
            spend(left, 3);
            let mut shown = serde_json::Map::new();
            let mut seen = 0;
            for (name, member) in members.iter().take(MAX_ITEMS) {
                if *left == 0 {
                    break;
                }
                seen += 1;
                let short = opening(name);
                spend(left, short.len() + 3);
                let member = if is_secret_name(name) { MASK.into() } else { kept(member, left) };
                shown.insert(short, member);
            }
            if members.len() > seen {
                shown.insert("…".into(), format!("{} more members", members.len() - seen).into());
            }
            Value::Object(shown)
        }
        short => {
            // No number is longer.
            spend(left, 24);
            match short {
                Json::Number(number) => Value::Number(number.clone()),
                Json::Bool(value) => Value::Bool(*value),
                _ => Value::Null,
            }
        }
    }
}

fn spend(left: &mut usize, bytes: usize) {
    *left = left.saturating_sub(bytes);
}

// The beginning of an argument, masked.
fn opening(whole: &str) -> String {
    if whole.len() <= MAX_LOOK {
        return shortened(&text(whole), MAX_TEXT);
    }
    let shown = text(&whole[..whole.floor_char_boundary(MAX_LOOK)]);
    format!("{}… ({} bytes in all)", &shown[..shown.floor_char_boundary(MAX_TEXT)], whole.len())
}

/// The text, or its first `most` bytes and how many there are in all. Mask before: half a credential is not known as one.
pub fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    format!("{}… ({} bytes in all)", &text[..text.floor_char_boundary(most)], text.len())
}
