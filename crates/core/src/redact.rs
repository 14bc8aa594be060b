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
const CLUES: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "xoxb-",
    "xoxa-",
    "xoxp-",
    "xoxr-",
    "xoxs-",
    "xapp-",
    "k_live_",
    "k_test_",
    "sk-",
    "AIza",
    "ya29.",
    "npm_",
    "pypi-",
    "hf_",
    "hvs.",
    "dop_v1_",
    "dckr_pat_",
    "whsec_",
    "SG.",
    "AGE-SECRET-KEY-1",
    "-----BEGIN",
    "eyJ",
    "://",
    "hooks.slack.com",
    KEY_PREFIX,
    "AccountKey=",
    "aws_secret_access_key",
    "AWS_SECRET_ACCESS_KEY",
    "uthorization",
    "AUTHORIZATION",
];

static FIRST: LazyLock<AhoCorasick> = LazyLock::new(|| {
    let built = AhoCorasick::builder().match_kind(MatchKind::LeftmostFirst).build(CLUES);
    match built {
        Ok(automaton) => automaton,
        Err(error) => unreachable!("fixed literals: {error}"),
    }
});

// What stands before a credential whose first letter could be part of an escape (`\tg_`), or that has no `_`, `-` or `.`
// and so could be anywhere in Base64: the start, an escape, or a character that is neither of Base64 nor a backslash.
// An escaped backslash is not among them: in `\\\t` the two in the middle look like one.
macro_rules! before {
    () => {
        r"(?:^|[^A-Za-z0-9+/\\]|\\[bfnrt]|\\u[0-9A-Fa-f]{4})"
    };
}
// Between a name and its value, quoted or not, the quotes escaped or not.
macro_rules! is {
    () => {
        r#"(?:\\?["'])?\s{0,8}[:=]\s{0,8}(?:\\?["'])?"#
    };
}
macro_rules! pem {
    ($edge:literal) => {
        concat!("-----", $edge, " (?:[A-Z0-9]+ )*PRIVATE KEY(?: BLOCK)?-----")
    };
}

// One alternative for each kind. What its group matched is masked, else all that it matched. In JSON text that must begin
// and end between characters as JSON writes them: it holds no quote, a backslash only with what it escapes, and does not
// begin with a letter that ends an escape (the others begin with none of `bfnrtu` and no hexadecimal digit).
static SECRETS: LazyLock<Regex> = LazyLock::new(|| {
    let pattern = concat!(
        before!(),
        r"((?:AKIA|ASIA)[A-Z0-9]{16})(?-u:\b)|",
        before!(),
        r"(AIza[A-Za-z0-9_-]{35})|",
        before!(),
        r"(eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,})|",
        before!(),
        r"(tg_[A-Za-z0-9]{12}_[A-Za-z0-9_-]{43})|",
        before!(),
        r"(npm_[A-Za-z0-9]{36,}|rk_(?:live|test)_[A-Za-z0-9]{24,}|dop_v1_[a-f0-9]{64}|dckr_pat_[A-Za-z0-9_-]{20,})|",
        before!(),
        r"(AGE-SECRET-KEY-1[A-Z0-9]{50,}|sk-[A-Za-z0-9]{32,})|",
        r"gh[pousr]_[A-Za-z0-9]{36,}|github_pat_[A-Za-z0-9_]{22,}|glpat-[A-Za-z0-9_-]{20,}",
        r"|xox[abprs]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{20,}",
        r"|sk_(?:live|test)_[A-Za-z0-9]{24,}|sk-(?:ant|proj|svcacct|admin|or)-[A-Za-z0-9_-]{20,}",
        r"|hf_[A-Za-z0-9]{30,}|hvs\.[A-Za-z0-9_-]{24,}|ya29\.[A-Za-z0-9_-]{20,}|pypi-[A-Za-z0-9_-]{50,}",
        r"|whsec_[A-Za-z0-9+/=]{24,}|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}",
        r"|hooks\.slack\.com/(services/[A-Za-z0-9]+/[A-Za-z0-9]+/[A-Za-z0-9]{16,})",
        r"|AccountKey=([A-Za-z0-9+/]{40,}={0,2})",
        r"|(?i-u:aws_secret_access_key)",
        is!(),
        r"([A-Za-z0-9+/]{40})",
        r"|(?i-u:authorization)",
        is!(),
        r"(?i-u:bearer|basic|token) {1,4}([A-Za-z0-9._~+/=-]{8,})",
        // A whole key, or what there is of one.
        "|(",
        pem!("BEGIN"),
        r#"(?s:[^"\\]|\\.)*?"#,
        pem!("END"),
        ")|(",
        pem!("BEGIN"),
        r"(?:[A-Za-z0-9+/=\s:,.-]|\\[nrt\\])*)",
        // Up to the last `@`, since the password may hold one; digits up to a slash are a port.
        r#"|(?i-u:[a-z][a-z0-9+.-]{1,20})://[^\s:/@"]{0,64}:"#,
        r#"([0-9]{0,64}(?:[^\s0-9/@"\\]|\\\\)(?:[^\s"\\]|\\\\){0,256}|[0-9]{1,256})@"#,
    );
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("fixed pattern: {error}"),
    }
});

/// Mask every credential in a text. Works on JSON text too, which stays JSON: see `SECRETS`.
pub fn text(input: &str) -> Cow<'_, str> {
    if !FIRST.is_match(input) {
        return Cow::Borrowed(input);
    }
    SECRETS.replace_all(input, |found: &regex::Captures<'_>| {
        let Some(whole) = found.get(0) else { return String::new() };
        let part = found.iter().skip(1).flatten().next().unwrap_or(whole);
        format!("{}{MASK}{}", &input[whole.start()..part.start()], &input[part.end()..whole.end()])
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
    fn masks_more_kinds() {
        let (a, hex) = ("aB3".repeat(20), "0f".repeat(32));
        for secret in [
            format!("glpat-{}", &a[..20]),
            format!("npm_{}", &a[..36]),
            format!("sk-proj-{a}"),
            format!("sk-{}", &a[..48]),
            format!("rk_{}_{}", "live", &a[..24]),
            format!("SG.{}.{}", &a[..22], &a[..43]),
            format!("hf_{}", &a[..34]),
            format!("xapp-1-A0B1-123-{a}"),
            format!("dop_v1_{hex}"),
            format!("hvs.{a}"),
            format!("ya29.{a}"),
            format!("pypi-{a}"),
            format!("dckr_pat_{}", &a[..27]),
            format!("whsec_{}", &a[..32]),
            format!("AGE-SECRET-KEY-1{}", "Q5".repeat(29)),
        ] {
            for (before, after) in
                [("", ""), ("x ", " y"), ("\"", "\""), ("\n", "\n"), ("=", ","), ("\u{b}", "\t")]
            {
                let (whole, masked) = (format!("{before}{secret}{after}"), format!("{before}{MASK}{after}"));
                assert_eq!(text(&whole), masked);
                assert_eq!(text(&json!(whole).to_string()), json!(masked).to_string());
            }
        }
        let key = "k/+".repeat(14);
        let forty = &key[..40];
        for (before, secret, after) in [
            ("AccountName=x;AccountKey=", "abc+/".repeat(17).as_str(), ";EndpointSuffix=y"),
            ("aws_secret_access_key = ", forty, "\n"),
            ("AWS_SECRET_ACCESS_KEY=\"", forty, "\""),
            ("{\"aws_secret_access_key\": \"", forty, "\"}"),
            ("Authorization: Bearer ", "abc.def-123", "\r\n"),
            ("authorization: basic ", "dXNlcjpwYXNz", "\n"),
            ("https://hooks.slack.com/", "services/T0/B0/abcdefghijklmnopqrst", " x"),
            ("POSTGRES://bob:", "hunter2", "@db/x"),
            ("postgres://bob:", "a/b/c", "@db/x"),
            ("postgres://bob:", "12a/b", "@db/x"),
            ("redis://:", "p@ss@word", "@db/x"),
            ("amqp://u:", "123456", "@h"),
            (
                "",
                "-----BEGIN PGP PRIVATE KEY BLOCK-----\nVersion: x (y)\n\nabc=\n-----END PGP PRIVATE KEY BLOCK-----",
                "\n",
            ),
        ] {
            let (whole, masked) = (format!("{before}{secret}{after}"), format!("{before}{MASK}{after}"));
            assert_eq!(text(&whole), masked);
            assert_eq!(text(&json!(whole).to_string()), json!(masked).to_string());
        }
        for open in [
            "http://h:8080/x?to=a@b",
            "https://h/a:b@c",
            "task-0123456789abcdef0123456789abcdef01",
            "MSG.x.y",
        ] {
            assert_eq!(text(open), open);
        }
    }

    /// A picture is not a credential.
    #[test]
    fn base64_is_left_alone() {
        const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let mut state = 7_u64;
        let mut data: String = (0..4 << 20)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                char::from(LETTERS[(state >> 58) as usize])
            })
            .collect();
        for (at, clue) in [(100, "AIza"), (5000, "AKIA"), (9000, "/AIza"), (12_000, "+ASIA")] {
            let clue = format!("{clue}{}", "A0".repeat(20));
            data.replace_range(at..at + clue.len(), &clue);
        }
        let whole = json!({"data": data}).to_string();
        assert_eq!(text(&whole), whole);
    }

    /// A mark and a quote, as in source code: neither the rest of the text nor the JSON is lost.
    #[test]
    fn a_mark_without_a_key() {
        let source = "k = \"-----BEGIN PRIVATE KEY-----\"\nfn next() {}";
        let shown: Value = serde_json::from_str(&text(&json!({"t": source}).to_string())).unwrap();
        assert_eq!(shown["t"], format!("k = \"{MASK}\"\nfn next() {{}}"));
    }

    proptest::proptest! {
        #[test]
        fn json_with_anything_stays_json(parts in proptest::collection::vec(piece(), 0..12), more in ".{0,20}") {
            let joined: String = parts.concat();
            let value = json!({"a": joined, "list": parts, joined.as_str(): more});
            let shown: Value = serde_json::from_str(&text(&value.to_string())).unwrap();
            proptest::prop_assert_eq!(shown["list"].as_array().unwrap().len(), parts.len());
        }
    }

    // What patterns begin and end with, and what JSON escapes, so that they meet in every order.
    fn piece() -> impl proptest::strategy::Strategy<Value = String> {
        let long = "A0f3".repeat(16);
        let mut pieces: Vec<String> = [
            "\"",
            "\\",
            "\n",
            "\t",
            "\r",
            "\u{8}",
            "\u{c}",
            "\u{e}",
            "\u{1d}",
            "\u{b}",
            "\u{a}",
            "/",
            "@",
            ":",
            " ",
            "=",
            "é",
            "-----BEGIN PRIVATE KEY-----",
            "-----END PRIVATE KEY-----",
            "-----BEGIN PGP PRIVATE KEY BLOCK-----",
            "g_abcdefghijkl_",
            "pm_",
            "yJabcdefgh.eyJabcdefgh.abcdefgh",
            "op_v1_",
            "k_live_",
            "GE-SECRET-KEY-1",
            "KIA",
            "a://b:c",
            "a://b:",
            "Authorization: Bearer ",
            "aws_secret_access_key = ",
            "AccountKey=",
        ]
        .map(str::to_owned)
        .to_vec();
        pieces.extend(CLUES.iter().map(|clue| (*clue).to_owned()));
        pieces.extend(CLUES.iter().map(|clue| format!("{clue}{long}")));
        pieces.extend([long.to_lowercase(), long]);
        proptest::sample::select(pieces)
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
