//! Secrets masked: in results before they leave, in arguments before they are journaled.
//!
//! Two measures: member names that hold secrets by convention (arguments only), and texts that look like a known kind of
//! credential (CATALOGUE 1.7). A cheap literal scan comes first, so that a clean result costs one pass and no copy.

use crate::caller::KEY_PREFIX;
use aho_corasick::{AhoCorasick, MatchKind};
use regex::Regex;
use serde_json::Value;
use std::borrow::Cow;
use std::sync::LazyLock;

/// What a secret is replaced by.
pub const MASK: &str = "***REDACTED***";
// Longest text that the journal keeps of one argument, in bytes.
const MAX_TEXT: usize = 256;
// About how many bytes the journal keeps of all arguments of a call: bounds on each level alone multiply.
const MAX_ARGUMENTS: usize = 16 * 1024;
// Most items or members of one argument array or object that the journal keeps.
const MAX_ITEMS: usize = 64;

// Literals without which no pattern below can match.
const CLUES: [&str; 21] = [
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "xoxb-",
    "xoxa-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "sk_live_",
    "sk_test_",
    "AIza",
    "-----BEGIN",
    "eyJ",
    "://",
    KEY_PREFIX,
    "sk-ant-",
];

static FIRST: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(CLUES);
    match built {
        Ok(automaton) => automaton,
        Err(error) => unreachable!("fixed literals: {error}"),
    }
});

static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    // No boundary is asked for before a credential: in JSON text a line break before it is `\n`, which ends in a letter.
    let before = concat!(
        r"(?:AKIA|ASIA)[A-Z0-9]{16}(?-u:\b)",
        r"|gh[pousr]_[A-Za-z0-9]{36,}",
        r"|github_pat_[A-Za-z0-9_]{22,}",
        r"|xox[abprs]-[A-Za-z0-9-]{10,}",
        r"|sk_(?:live|test)_[A-Za-z0-9]{24,}",
        r"|sk-ant-[A-Za-z0-9_-]{20,}",
        r"|AIza[A-Za-z0-9_-]{35}",
        r"|",
    );
    let after = concat!(
        r"[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43}",
        r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        r"|-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----[^\x22]*?(?:-----END (?:[A-Z]+ )*PRIVATE KEY-----|\x22|$)",
        r"|[a-z][a-z0-9+.-]{1,20}://[^\s:/@\x22]{0,64}:(?P<password>[^\s/@\x22]{1,256})@",
    );
    match Regex::new(&[before, KEY_PREFIX, after].concat()) {
        Ok(regex) => regex,
        Err(error) => unreachable!("fixed pattern: {error}"),
    }
});

/// Mask every credential in a text. Works on JSON text too: no mask and no match crosses a quote that ends a string,
/// private keys excepted, whose line ends are `\n` escapes there.
pub fn text(input: &str) -> Cow<'_, str> {
    if !FIRST.is_match(input) {
        return Cow::Borrowed(input);
    }
    SECRETS.replace_all(input, |found: &regex::Captures<'_>| match found.name("password") {
        Some(password) => {
            let whole = &found[0];
            let head = whole.len() - password.len() - 1;
            format!("{}{MASK}@", &whole[..head])
        }
        // An unterminated key in JSON text ends where its string does.
        None if found[0].ends_with('"') => format!("{MASK}\""),
        None => MASK.to_owned(),
    })
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
pub fn arguments(value: &Value) -> Value {
    kept(value, &mut MAX_ARGUMENTS.clone())
}

// `left`: bytes that may still be kept. What has begun is finished, so that it is overdrawn by one text at most.
fn kept(value: &Value, left: &mut usize) -> Value {
    match value {
        Value::String(s) => {
            let shown = shortened(&text(s), MAX_TEXT);
            spend(left, shown.len() + 3);
            Value::String(shown)
        }
        Value::Array(items) => {
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
        Value::Object(members) => {
            spend(left, 3);
            let mut shown = serde_json::Map::new();
            let mut seen = 0;
            for (name, member) in members.iter().take(MAX_ITEMS) {
                if *left == 0 {
                    break;
                }
                seen += 1;
                let short = shortened(&text(name), MAX_TEXT);
                spend(left, short.len() + 3);
                let member = if is_secret_name(name) { MASK.into() } else { kept(member, left) };
                shown.insert(short, member);
            }
            if members.len() > seen {
                shown.insert("…".into(), format!("{} more members", members.len() - seen).into());
            }
            Value::Object(shown)
        }
        other => {
            // No number is longer.
            spend(left, 24);
            other.clone()
        }
    }
}

fn spend(left: &mut usize, bytes: usize) {
    *left = left.saturating_sub(bytes);
}

/// The text, or its first `most` bytes and how many there are in all. Mask before: half a credential is not known as one.
pub fn shortened(text: &str, most: usize) -> String {
    if text.len() <= most {
        return text.to_owned();
    }
    let mut cut = most;
    while !text.is_char_boundary(cut) {
        cut -= 1;
    }
    format!("{}… ({} bytes in all)", &text[..cut], text.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn masks_each_kind() {
        let tail = "a".repeat(43);
        for secret in [
            "AKIAIOSFODNN7EXAMPLE".to_owned(),
            format!("ghp_{}", "a".repeat(36)),
            "xoxb-1234567890-abcdef".to_owned(),
            format!("sk_{}_{}", "live", "a".repeat(24)),
            format!("AIza{}", "b".repeat(35)),
            format!("tg_abcdefghijkl_{tail}"),
            "eyJhbGciOiJI.eyJzdWIiOiIx.c2lnbmF0dXJl".to_owned(),
        ] {
            let shown = text(&format!("x {secret} y")).into_owned();
            assert_eq!(shown, format!("x {MASK} y"), "{secret}");
            // As JSON text, where the character before it is the end of an escape.
            for before in ["\n", "\t", "\0", "é"] {
                let shown = text(&json!(format!("{before}{secret}{before}")).to_string()).into_owned();
                assert_eq!(shown, json!(format!("{before}{MASK}{before}")).to_string(), "{secret}");
            }
        }
        assert_eq!(text("postgres://bob:hunter2@db:5432/x"), format!("postgres://bob:{MASK}@db:5432/x"));
    }

    #[test]
    fn json_stays_json() {
        let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc";
        let whole =
            json!({"a": key, "b": 1, "c": format!("{key}\n-----END RSA PRIVATE KEY-----\n")}).to_string();
        let shown: Value = serde_json::from_str(&text(&whole)).unwrap();
        assert_eq!(shown["a"], MASK);
        assert_eq!(shown["b"], 1);
        assert!(!shown["c"].as_str().unwrap().contains("MIIE"));
    }

    #[test]
    fn clean_text_is_not_copied() {
        assert!(matches!(text("nothing here: https://example.org/a@b"), Cow::Borrowed(_)));
        assert_eq!(text("eyJ is not a token"), "eyJ is not a token");
    }

    #[test]
    fn names_of_secrets() {
        for name in ["Set-Cookie", "set_cookie", "PIN", "X-Api-Key", "db-password", "aws_access-Key", "JWT"] {
            assert!(is_secret_name(name), "{name}");
        }
        for name in ["pinned", "key", "cookies", "author", "public_key", ""] {
            assert!(!is_secret_name(name), "{name}");
        }
    }

    #[test]
    fn arguments_are_masked_and_cut() {
        let shown = arguments(&json!({
            "password": "x", "headers": {"Authorization": "Bearer y", "Accept": "z"}, "content": "c".repeat(1000),
            "list": vec![0; 100]
        }));
        assert_eq!(shown["password"], MASK);
        assert_eq!(shown["headers"], json!({"Authorization": MASK, "Accept": "z"}));
        assert!(shown["content"].as_str().unwrap().ends_with("(1000 bytes in all)"));
        assert_eq!(shown["list"].as_array().unwrap().len(), 65);
    }

    #[test]
    fn nested_arguments_have_one_bound_in_all() {
        let mut wide = json!("x".repeat(200));
        for _ in 0..3 {
            wide = Value::Array(vec![wide; 12]);
        }
        let mut deep = json!({"a".repeat(200): 1});
        for _ in 0..100 {
            deep = json!({"b".repeat(200): deep, "c": [1, 2]});
        }
        let many: serde_json::Map<_, _> = (0..64).map(|i| (format!("{i}"), wide.clone())).collect();
        for value in [wide, deep, Value::Object(many)] {
            let text = arguments(&value).to_string();
            assert!((12_000..24_000).contains(&text.len()), "{}", text.len());
            assert!(text.contains(" more "), "what is cut is said");
        }
    }
}
