//! The kinds of credentials, each a literal (clue) and what stands around it. `scan` finds the clues and reads the rest.
//!
//! What is masked must, in JSON text, begin and end between characters as JSON writes them: it holds no quote, a backslash
//! only with what it escapes, and does not begin with a letter that ends an escape (kinds that are not `guarded` begin with
//! none of `bfnrtu` and no hexadecimal digit).

use crate::caller::KEY_PREFIX;

/// Whether a byte is one of a set.
pub(super) type Class = fn(u8) -> bool;

pub(super) struct Kind {
    /// No clue stands inside another but at its beginning: `scan` meets clues in the order of their ends.
    pub clue: &'static str,
    /// Whether a character of Base64 or a backslash before it speaks against it: its first letter could be part of an
    /// escape (`\tg_`), or it has no `_`, `-` or `.` and could be anywhere in Base64. The end of an escape does not
    /// speak against it. An escaped backslash does: in `\\\t` the two in the middle look like one.
    pub guarded: bool,
    pub shape: Shape,
}

pub(super) enum Shape {
    /// The clue and as many characters of a class as there are, this many at least.
    Run(Class, usize),
    /// The clue and just this many.
    Just(Class, usize),
    /// As `Just`, and no letter, digit or `_` after them.
    Word(Class, usize),
    /// A key of this gateway.
    Own,
    /// Three runs with dots between, the second begins like the first.
    Token,
    /// Two runs with a dot between.
    Pair,
    /// Only what is after the clue: the path of a webhook.
    Hook,
    /// Only what is after the clue: Base64.
    Account,
    /// Only what is after the clue, these letters before it (in any case), and a sign: 40 characters of Base64.
    Secret(&'static [u8]),
    /// Only what is after the clue, these letters before it, a sign and a scheme.
    Header(&'static [u8]),
    /// A private key up to its end, or what there is of one.
    Pem,
    /// The password in a URL.
    Link,
}

pub(super) const fn upper(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit()
}
pub(super) const fn plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
}
const fn lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}
const fn dashed(byte: u8) -> bool {
    plain(byte) || byte == b'-'
}
pub(super) const fn url_safe(byte: u8) -> bool {
    plain(byte) || byte == b'-' || byte == b'_'
}
pub(super) const fn base64(byte: u8) -> bool {
    plain(byte) || byte == b'+' || byte == b'/'
}
const fn padded(byte: u8) -> bool {
    base64(byte) || byte == b'='
}
/// What credentials of the `Authorization` header are made of.
pub(super) const fn credential(byte: u8) -> bool {
    padded(byte) || matches!(byte, b'.' | b'_' | b'~' | b'-')
}
pub(super) const fn space(byte: u8) -> bool {
    matches!(byte, b'\t'..=b'\r' | b' ')
}

const fn anywhere(clue: &'static str, shape: Shape) -> Kind {
    Kind { clue, guarded: false, shape }
}
const fn guarded(clue: &'static str, shape: Shape) -> Kind {
    Kind { clue, guarded: true, shape }
}

pub(super) const KINDS: &[Kind] = &[
    guarded("AKIA", Shape::Word(upper, 16)),
    guarded("ASIA", Shape::Word(upper, 16)),
    guarded("AIza", Shape::Just(url_safe, 35)),
    guarded("eyJ", Shape::Token),
    guarded(KEY_PREFIX, Shape::Own),
    guarded("npm_", Shape::Run(plain, 36)),
    guarded("rk_live_", Shape::Run(plain, 24)),
    guarded("rk_test_", Shape::Run(plain, 24)),
    guarded("dop_v1_", Shape::Just(lower_hex, 64)),
    guarded("dckr_pat_", Shape::Run(url_safe, 20)),
    guarded("AGE-SECRET-KEY-1", Shape::Run(upper, 50)),
    guarded("sk-", Shape::Run(plain, 32)),
    anywhere("ghp_", Shape::Run(plain, 36)),
    anywhere("gho_", Shape::Run(plain, 36)),
    anywhere("ghu_", Shape::Run(plain, 36)),
    anywhere("ghs_", Shape::Run(plain, 36)),
    anywhere("ghr_", Shape::Run(plain, 36)),
    anywhere("github_pat_", Shape::Run(|byte| plain(byte) || byte == b'_', 22)),
    anywhere("glpat-", Shape::Run(url_safe, 20)),
    anywhere("xoxa-", Shape::Run(dashed, 10)),
    anywhere("xoxb-", Shape::Run(dashed, 10)),
    anywhere("xoxp-", Shape::Run(dashed, 10)),
    anywhere("xoxr-", Shape::Run(dashed, 10)),
    anywhere("xoxs-", Shape::Run(dashed, 10)),
    anywhere("xapp-", Shape::Run(dashed, 20)),
    anywhere("sk_live_", Shape::Run(plain, 24)),
    anywhere("sk_test_", Shape::Run(plain, 24)),
    anywhere("sk-ant-", Shape::Run(url_safe, 20)),
    anywhere("sk-proj-", Shape::Run(url_safe, 20)),
    anywhere("sk-svcacct-", Shape::Run(url_safe, 20)),
    anywhere("sk-admin-", Shape::Run(url_safe, 20)),
    anywhere("sk-or-", Shape::Run(url_safe, 20)),
    anywhere("hf_", Shape::Run(plain, 30)),
    anywhere("hvs.", Shape::Run(url_safe, 24)),
    anywhere("ya29.", Shape::Run(url_safe, 20)),
    anywhere("pypi-", Shape::Run(url_safe, 50)),
    anywhere("whsec_", Shape::Run(padded, 24)),
    anywhere("SG.", Shape::Pair),
    anywhere("hooks.slack.com/", Shape::Hook),
    anywhere("AccountKey=", Shape::Account),
    anywhere("ecret_access_key", Shape::Secret(b"aws_s")),
    anywhere("ECRET_ACCESS_KEY", Shape::Secret(b"aws_s")),
    anywhere("ecret_Access_Key", Shape::Secret(b"aws_s")),
    anywhere("uthorization", Shape::Header(b"a")),
    anywhere("UTHORIZATION", Shape::Header(b"a")),
    anywhere("-----BEGIN ", Shape::Pem),
    anywhere("://", Shape::Link),
];
