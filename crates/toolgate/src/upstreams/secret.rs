//! Secrets in the settings of upstreams: what is a reference, what looks like a secret and is none, and what may be shown.
//!
//! Used by the checks, by `config show`, the command line, the admin API and imports. A literal that looks like a secret is
//! put into a file of its own (`keep`) wherever the gateway writes settings; in the configuration file it is a warning.

use anyhow::{Context, Result};
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use toolgate_upstream::Upstream;

/// What is shown in the place of text that may be secret.
pub const HIDDEN: &str = "***";
// Schemes before a credential, which are none themselves.
const SCHEMES: [&str; 3] = ["Bearer ", "Basic ", "Token "];
// How tokens that services give out begin.
const BEGINNINGS: [&str; 14] = [
    "sk-",
    "sk_",
    "pk_",
    "rk_",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "glpat-",
    "xox",
    "AKIA",
    "eyJ",
    "tg_",
    "npm_",
];
const WORDS: [&str; 14] = [
    "token",
    "secret",
    "password",
    "passwd",
    "pwd",
    "passphrase",
    "apikey",
    "key",
    "credential",
    "credentials",
    "auth",
    "authorization",
    "cookie",
    "pat",
];

/// A piece of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Piece<'a> {
    Text(&'a str),
    /// What is within `${` and `}`.
    Reference(&'a str),
}

/// The pieces of a value; an error when a `${` has no end.
pub fn pieces(value: &str) -> Result<Vec<Piece<'_>>, String> {
    let mut all = Vec::new();
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        if at > 0 {
            all.push(Piece::Text(&rest[..at]));
        }
        let inner = &rest[at + 2..];
        let end = inner.find('}').ok_or("a reference has no end; write ${env:NAME} or ${file:PATH}")?;
        all.push(Piece::Reference(&inner[..end]));
        rest = &inner[end + 1..];
    }
    if !rest.is_empty() {
        all.push(Piece::Text(rest));
    }
    Ok(all)
}

/// What is wrong with the references of a value.
pub fn problem(value: &str) -> Option<String> {
    let pieces = match pieces(value) {
        Ok(pieces) => pieces,
        Err(why) => return Some(why),
    };
    if value.contains(['\n', '\r', '\0']) {
        return Some("holds a line break or a null character".to_owned());
    }
    pieces.into_iter().find_map(|piece| match piece {
        Piece::Text(_) => None,
        Piece::Reference(text) => match text.split_once(':') {
            Some(("env", name)) if is_variable(name) => None,
            Some(("env", name)) => Some(format!("{name:?} is not the name of an environment variable")),
            Some(("file", path)) if Path::new(path).is_absolute() => None,
            Some(("file", path)) => {
                Some(format!("the path of a secret must be absolute, and {path:?} is not"))
            }
            _ => Some(format!("${{{text}}} is no reference; write ${{env:NAME}} or ${{file:PATH}}")),
        },
    })
}

pub fn is_variable(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The value with every text hidden that is not a reference or a scheme.
pub fn masked(value: &str) -> String {
    let Ok(pieces) = pieces(value) else { return HIDDEN.to_owned() };
    let mut shown = String::new();
    for piece in pieces {
        match piece {
            Piece::Reference(text) => shown.push_str(&format!("${{{text}}}")),
            Piece::Text(text) => {
                let scheme =
                    SCHEMES.iter().find(|scheme| text.starts_with(**scheme)).copied().unwrap_or_default();
                shown.push_str(scheme);
                if text.len() > scheme.len() {
                    shown.push_str(HIDDEN);
                }
            }
        }
    }
    shown
}

/// Whether the text of a value, beside its references, looks like a secret.
pub fn suspicious(key: &str, value: &str) -> bool {
    let Ok(pieces) = pieces(value) else { return false };
    pieces.into_iter().any(|piece| match piece {
        Piece::Reference(_) => false,
        Piece::Text(text) => {
            let (text, schemed) = SCHEMES
                .iter()
                .find_map(|scheme| text.strip_prefix(scheme).map(|rest| (rest, true)))
                .unwrap_or((text, false));
            let text = text.trim();
            let plain = text.len() < 6 || text.bytes().all(|b| b.is_ascii_digit()) || text.starts_with('/');
            let words = words(key);
            let named = WORDS.iter().any(|word| words.iter().any(|w| w == word));
            !plain && (schemed || named || text.split_whitespace().any(token))
        }
    })
}

// A word that only a machine writes.
fn token(text: &str) -> bool {
    let known = BEGINNINGS.iter().any(|start| text.len() >= start.len() + 12 && text.starts_with(start));
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'='));
    let (digits, letters) = (
        text.bytes().filter(u8::is_ascii_digit).count(),
        text.bytes().filter(u8::is_ascii_alphabetic).count(),
    );
    // A UUID in its usual form names something more often than it opens it.
    let uuid = text.len() == 36 && text.matches('-').count() == 4;
    known || (text.len() >= 32 && fits && !uuid && digits >= 5 && letters >= 5)
}

// `X-Api-Key`, `GITHUB_TOKEN` and `apiKey` in words of lower case.
fn words(key: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in key.chars() {
        if !c.is_ascii_alphanumeric() || (c.is_ascii_uppercase() && before.is_ascii_lowercase()) {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words
}

/// Visit every value of `env` and `headers`, with the name of its section and its key.
pub fn values_mut(upstream: &mut Upstream, visit: &mut dyn FnMut(&str, &str, &mut String)) {
    upstream.env.iter_mut().for_each(|(key, value)| visit("env", key, value));
    upstream.headers.iter_mut().for_each(|(key, value)| visit("headers", key, value));
}

/// The settings as they may be shown.
pub fn shown(upstream: &Upstream) -> Upstream {
    let mut shown = upstream.clone();
    values_mut(&mut shown, &mut |_, _, value| *value = masked(value));
    shown.args = arguments(&shown.args);
    shown
}

/// Arguments with hidden what looks like a secret.
pub fn arguments(args: &[String]) -> Vec<String> {
    let mut before = "";
    args.iter()
        .map(|arg| {
            let (flag, value) =
                arg.split_once('=').filter(|(flag, _)| flag.starts_with('-')).unwrap_or((before, arg));
            let hide = suspicious(flag, value);
            before = if arg.starts_with('-') { arg } else { "" };
            match (hide, arg.split_once('=').filter(|_| arg.starts_with('-'))) {
                (false, _) => arg.clone(),
                (true, Some((flag, _))) => format!("{flag}={HIDDEN}"),
                (true, None) => HIDDEN.to_owned(),
            }
        })
        .collect()
}

/// The directory of one upstream's secrets.
pub fn directory(data: &Path, name: &str) -> PathBuf {
    data.join("secrets").join(name)
}

/// Put every literal that looks like a secret into a file of its own, and a reference in its place. Returns the fields that
/// were changed, e.g. `env.API_KEY`. Blocks.
pub fn keep(data: &Path, name: &str, upstream: &mut Upstream) -> Result<Vec<String>> {
    let mut kept = Vec::new();
    let mut failed = None;
    values_mut(upstream, &mut |section, key, value| {
        if failed.is_some() || !suspicious(key, value) {
            return;
        }
        // A scheme stays in the settings, so that the file holds what its owner calls the secret.
        let scheme = SCHEMES.iter().find(|scheme| value.starts_with(**scheme)).copied().unwrap_or_default();
        let secret = &value[scheme.len()..];
        if secret.contains("${") {
            failed = Some(anyhow::anyhow!(
                "{section}.{key}: a reference and a secret in one value; put the whole value behind one reference"
            ));
            return;
        }
        match write(&directory(data, name), key, secret) {
            Ok(file) => {
                *value = format!("{scheme}${{file:{}}}", file.display());
                kept.push(format!("{section}.{key}"));
            }
            Err(problem) => failed = Some(problem),
        }
    });
    failed.map_or(Ok(kept), Err)
}

// A file is never written over: what an earlier version of the settings refers to stays what it is.
fn write(directory: &Path, key: &str, secret: &str) -> Result<PathBuf> {
    let about = || format!("{} cannot be written", directory.display());
    DirBuilder::new().recursive(true).mode(0o700).create(directory).with_context(about)?;
    let key: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
    let key = key.trim_start_matches('.');
    for n in 1..1000 {
        let file = directory.join(if n == 1 { key.to_owned() } else { format!("{key}-{n}") });
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&file) {
            Ok(mut open) => {
                open.write_all(secret.as_bytes()).and_then(|()| open.sync_all()).with_context(about)?;
                return Ok(file);
            }
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => {
                if fs::read(&file).is_ok_and(|found| found == secret.as_bytes()) {
                    return Ok(file);
                }
            }
            Err(problem) => return Err(problem).with_context(about),
        }
    }
    anyhow::bail!("{} holds too many versions of {key}; remove the old ones", directory.display())
}

/// Remove the secrets of an upstream that none of these texts refers to. Blocks.
pub fn sweep(data: &Path, name: &str, texts: &[String]) {
    let directory = directory(data, name);
    for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let reference = format!("${{file:{}}}", path.display());
        // In JSON a path may be escaped; such a file is kept.
        let escaped = serde_json::to_string(&reference).unwrap_or_default();
        if !texts.iter().any(|text| text.contains(&reference) || text.contains(escaped.trim_matches('"'))) {
            let _ = fs::remove_file(path);
        }
    }
    // Only when it is empty.
    let _ = fs::remove_dir(directory);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn references_are_checked() {
        for good in ["", "x", "Bearer ${env:A_1}", "${file:/a/b}", "$HOME {x}"] {
            assert_eq!(problem(good), None, "{good}");
        }
        for bad in ["${env:}", "${env:1A}", "${env:A", "${A}", "${file:a}", "${input:x}", "a\nb"] {
            assert!(problem(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn nothing_but_references_and_schemes_is_shown() {
        assert_eq!(masked("Bearer ${env:T}"), "Bearer ${env:T}");
        assert_eq!(masked("Bearer abc"), "Bearer ***");
        assert_eq!(masked("pre${env:T}post"), "***${env:T}***");
        assert_eq!(masked("plain"), "***");
        assert_eq!(masked("${env:T"), "***");
        let args = ["--api-key", "abcdefgh", "--token=abcdefgh", "/tmp/x", "-y"].map(str::to_owned);
        assert_eq!(arguments(&args), ["--api-key", "***", "--token=***", "/tmp/x", "-y"]);
    }

    #[test]
    fn what_looks_like_a_secret() {
        for (key, value) in [
            ("GITHUB_TOKEN", "whatever1"),
            ("apiKey", "abcdef"),
            ("X-Api-Key", "abcdef"),
            ("Authorization", "Bearer abcdef"),
            ("X", "ghp_0123456789abcdef"),
            ("X", "0123456789abcdef0123456789abcdef"),
            ("DB_PASSWORD", "hunter2!"),
        ] {
            assert!(suspicious(key, value), "{key}={value}");
        }
        for (key, value) in [
            ("GITHUB_TOKEN", "${env:X}"),
            ("Authorization", "Bearer ${env:X}"),
            ("LOG_LEVEL", "information"),
            ("TOKEN_LIMIT", "4096000"),
            ("KEY_FILE", "/etc/some/path/to/a/key"),
            ("PROJECT", "123e4567-e89b-12d3-a456-426614174000"),
            ("KEYBOARD", "qwertyuiop"),
        ] {
            assert!(!suspicious(key, value), "{key}={value}");
        }
    }

    #[test]
    fn literals_become_references_to_private_files_and_are_swept() {
        let data = tempfile::tempdir().unwrap();
        let mut first = Upstream::default();
        first.headers.insert("Authorization".into(), "Bearer s3cret-value".into());
        first.env.insert("MODE".into(), "fast".into());
        assert_eq!(keep(data.path(), "notes", &mut first).unwrap(), ["headers.Authorization"]);
        let file = directory(data.path(), "notes").join("Authorization");
        assert_eq!(first.headers["Authorization"], format!("Bearer ${{file:{}}}", file.display()));
        assert_eq!(fs::read_to_string(&file).unwrap(), "s3cret-value");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(keep(data.path(), "notes", &mut first.clone()).unwrap(), Vec::<String>::new());

        let mut second = Upstream::default();
        second.headers.insert("Authorization".into(), "Bearer another-value".into());
        keep(data.path(), "notes", &mut second).unwrap();
        assert!(second.headers["Authorization"].ends_with("Authorization-2}"));
        sweep(data.path(), "notes", &[serde_json::to_string(&second).unwrap()]);
        assert!(!file.exists() && directory(data.path(), "notes").join("Authorization-2").exists());
        sweep(data.path(), "notes", &[]);
        assert!(!directory(data.path(), "notes").exists());
    }
}
