//! What is masked, what is not, and that it costs no more than a few looks at each byte.

use super::kinds::KINDS;
use super::*;
use serde_json::json;

fn arguments(value: &Value) -> Value {
    super::arguments(&Json::parse(&value.to_string()).unwrap())
}

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
    for open in
        ["http://h:8080/x?to=a@b", "https://h/a:b@c", "task-0123456789abcdef0123456789abcdef01", "MSG.x.y"]
    {
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
    fn anything_repeated_is_linear(parts in proptest::collection::vec(piece(), 1..5), tail in piece()) {
        let hostile = times(&parts.concat(), 20_000) + &times(&tail, 10_000);
        proptest::prop_assert!(looked(&hostile) < 8 * hostile.len() + 4096);
    }

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
    pieces.extend(KINDS.iter().map(|kind| kind.clue.to_owned()));
    pieces.extend(KINDS.iter().map(|kind| format!("{}{long}", kind.clue)));
    pieces.extend([long.to_lowercase(), long]);
    proptest::sample::select(pieces)
}

#[test]
fn json_stays_json() {
    let key = "-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc";
    let whole = json!({"a": key, "b": 1, "c": format!("{key}\n-----END RSA PRIVATE KEY-----\n")}).to_string();
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

// Bytes looked at beside the automaton's one pass.
fn looked(hostile: &str) -> usize {
    let mut scan = Scan::new(hostile);
    scan.spans();
    scan.looked
}

fn times(atom: &str, bytes: usize) -> String {
    atom.repeat(bytes.div_ceil(atom.len()))
}

/// A text that is made to be slow is not: what is looked at grows with its length, not with the square.
#[test]
fn hostile_texts_cost_what_others_cost() {
    let mut atoms: Vec<String> = [
        "-----BEGIN PRIVATE KEY-----#",
        "-----BEGIN PRIVATE KEY-----",
        "-----BEGIN PRIVATE KEY-----#-----END PRIVATE KEY----",
        "-----BEGIN PRIVATE KEY-----\\",
        "-----BEGIN A ",
        "-eyJ",
        "-eyJabcdefgh",
        "-eyJabcdefgh.",
        "-eyJabcdefgh.eyJabcdefgh.-",
        "aa://a:",
        "aa://a:b@",
        "aa://a:1",
        "aa://",
        "://",
        "aa://a:b@ ",
        "Authorization: Bearer ",
        "SG.aaaaaaaaaaaaaaaaaaaa",
        "hooks.slack.com/services/a/a",
    ]
    .map(str::to_owned)
    .to_vec();
    atoms.extend(KINDS.iter().map(|kind| kind.clue.to_owned()));
    atoms.extend(KINDS.iter().map(|kind| format!("{}{}", kind.clue, "Aa1".repeat(8))));
    for atom in &atoms {
        // What begins or ends it may be far away.
        for tail in ["", "@", " @", "\"", "\n-----END PRIVATE KEY-----", ".eyJ", "x.eyJabcdefghij"] {
            let hostile = times(atom, 100_000) + tail + &"a".repeat(50_000);
            assert!(looked(&hostile) < 8 * hostile.len(), "{atom} {tail}: {}", looked(&hostile));
        }
    }
    // The whole of it: ten times the text is about ten times the work.
    for atom in ["-----BEGIN PRIVATE KEY-----#", "-eyJabcdefgh", "aa://a:"] {
        let (one, ten) = (looked(&times(atom, 100_000)), looked(&times(atom, 1_000_000)));
        assert!(ten < 11 * one, "{atom}: {one} {ten}");
    }
}

/// Clues are met wherever they stand to the pieces in which a text is read.
#[test]
fn a_clue_is_found_at_every_place() {
    let secret = format!("ghp_{}", "a".repeat(36));
    assert!(KINDS.iter().all(|kind| kind.clue.len() <= 32));
    for gap in (0..80).chain(980..1070).chain([2048, 5000]) {
        let input = format!("see http://a/ {} {secret} {} {secret}.", "-".repeat(gap), " ".repeat(gap));
        let shown = format!("see http://a/ {} {MASK} {} {MASK}.", "-".repeat(gap), " ".repeat(gap));
        assert_eq!(text(&input), shown, "{gap}");
    }
}

#[test]
fn no_clue_hides_another() {
    assert!(KINDS.iter().all(|kind| kind.clue.len() <= super::scan::LONGEST));
    for (one, other) in KINDS.iter().flat_map(|one| KINDS.iter().map(move |other| (one.clue, other.clue))) {
        assert!(one == other || !one[1..].contains(other), "{other} in {one}");
    }
}

/// An argument is masked where it is kept, and is not searched to its end.
#[test]
fn only_the_beginning_of_an_argument_is_searched() {
    let secret = format!("ghp_{}", "a".repeat(36));
    let shown = arguments(&json!({"a": format!("{secret} {}", "é".repeat(MAX_LOOK)), secret.as_str(): 1}));
    let shown = shown["a"].as_str().unwrap().to_owned();
    assert!(
        shown.starts_with(MASK) && shown.ends_with(&format!("({} bytes in all)", 41 + 2 * MAX_LOOK)),
        "{shown}"
    );
    let key = format!("-----BEGIN PRIVATE KEY-----{}", "\n0123456789abcdef".repeat(4096));
    assert_eq!(arguments(&key.as_str().into()), format!("{MASK}… ({} bytes in all)", key.len()));
}
