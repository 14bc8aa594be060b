//! Secrets by reference: `${env:NAME}` and `${file:PATH}` in a value of `env` or `headers`.
//!
//! Resolved by the transports when a process starts or a client of an origin is made. Errors name the field and the
//! reference, never a value; a value is `Debug`-printed by nobody.

use std::path::Path;

// Largest file of a secret, in bytes.
const MAX_FILE: u64 = 64 << 10;

/// The value with its references resolved. `field` names its place for errors, e.g. `upstreams.notes.headers.Authorization`.
///
/// Reads files, which is quick but blocks: call it where that is allowed.
pub fn resolve(field: &str, value: &str) -> Result<String, String> {
    resolve_with(field, value, &|name| std::env::var(name).ok())
}

fn resolve_with(field: &str, value: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some(at) = rest.find("${") {
        out.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let Some(end) = inner.find('}') else {
            return Err(format!("{field}: a reference has no end; write ${{env:NAME}} or ${{file:PATH}}"));
        };
        out.push_str(&reference(field, &inner[..end], env)?);
        rest = &inner[end + 1..];
    }
    out.push_str(rest);
    if out.contains(['\0', '\n', '\r']) {
        return Err(format!("{field}: its value holds a line break or a null character"));
    }
    Ok(out)
}

fn reference(field: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<String, String> {
    match text.split_once(':') {
        Some(("env", name)) if !name.is_empty() => {
            env(name).ok_or_else(|| format!("{field}: the environment variable {name} is not set"))
        }
        Some(("file", path)) if Path::new(path).is_absolute() => file(field, path),
        Some(("file", path)) => Err(format!("{field}: the path of a secret must be absolute: {path}")),
        _ => Err(format!("{field}: a reference is written ${{env:NAME}} or ${{file:PATH}}")),
    }
}

fn file(field: &str, path: &str) -> Result<String, String> {
    let about = |why: &dyn std::fmt::Display| format!("{field}: the file {path} cannot be read: {why}");
    let size = std::fs::metadata(path).map_err(|e| about(&e))?.len();
    if size > MAX_FILE {
        return Err(about(&format_args!("{size} bytes, at most {MAX_FILE}")));
    }
    let bytes = std::fs::read(path).map_err(|e| about(&e))?;
    let text = String::from_utf8(bytes).map_err(|_| about(&"not UTF-8"))?;
    Ok(text.trim_end_matches(['\n', '\r']).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "TOKEN").then(|| "s3cret".to_owned())
    }

    #[test]
    fn references_are_resolved_anywhere_in_a_value() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("key");
        std::fs::write(&path, "from-file\n").unwrap();
        let value = format!("Bearer ${{env:TOKEN}}/${{file:{}}}!", path.display());
        assert_eq!(resolve_with("f", &value, &env).unwrap(), "Bearer s3cret/from-file!");
        assert_eq!(resolve_with("f", "plain $HOME {x}", &env).unwrap(), "plain $HOME {x}");
    }

    #[test]
    fn errors_name_the_field_and_never_the_value() {
        for value in [
            "s3cret ${env:NONE}",
            "s3cret ${env:}",
            "s3cret ${env:TOKEN",
            "s3cret ${vault:x}",
            "s3cret ${file:x}",
            "s3cret ${file:/nowhere/at/all}",
            "a\n${env:TOKEN}",
        ] {
            let error = resolve_with("upstreams.notes.env.KEY", value, &env).unwrap_err();
            assert!(error.starts_with("upstreams.notes.env.KEY: "), "{error}");
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
