//! Rule `licences`: what is built may be shipped, and no banned crate is among it.
//!
//! Judges the packages of the host's target only; a banned crate that sits in `Cargo.lock` for another platform, or for
//! a feature that is off, is not built and is not reported.

use super::{Problem, Rule};
use crate::metadata::{Metadata, Package};
use crate::spdx;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "licences",
    why: "One package under a licence that forbids shipping, or a second TLS stack, would be in every binary we give away.",
    check,
};

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    // Copyleft by file: its files are used unchanged.
    "MPL-2.0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const BANNED: &[(&str, &str)] = &[
    (
        "ring",
        "one crypto provider, aws-lc-rs: with two, rustls refuses to choose and panics at its first use",
    ),
    ("openssl-sys", "TLS is rustls: no system library to patch"),
    ("native-tls", "TLS is rustls: no system library to patch"),
    ("serde_yaml", "unmaintained: YAML is serde-saphyr"),
];

fn check(_: &Tree, metadata: &Metadata) -> Vec<Problem> {
    metadata.packages.iter().flat_map(problems_of).collect()
}

fn problems_of(package: &Package) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut say = |what: String| problems.push(Problem::new(RULE.name, "Cargo.lock", 1, what));
    let (name, version) = (&package.name, &package.version);
    if let Some((_, why)) = BANNED.iter().find(|(banned, _)| banned == name) {
        say(format!("`{name}` {version} is built: {why}; `cargo tree -i {name}` shows who brings it"));
    }
    match package.license.as_deref() {
        None => say(format!("`{name}` {version} names no licence: choose another crate")),
        Some(expression) => match spdx::allowed(expression, ALLOWED) {
            Ok(true) => {}
            Ok(false) => say(format!("`{name}` {version} is under `{expression}`: choose another crate")),
            Err(error) => say(format!("`{name}` {version}: licence `{expression}` cannot be read: {error}")),
        },
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, license: Option<&str>) -> usize {
        problems_of(&Package {
            name: name.to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            manifest: None,
            dependencies: Vec::new(),
        })
        .len()
    }

    #[test]
    fn copyleft_unknown_and_missing_licences_are_refused() {
        assert_eq!(found("a", Some("MIT OR LGPL-2.1-or-later")), 0);
        assert_eq!(found("a", Some("GPL-3.0-only")), 1);
        assert_eq!(found("a", Some("MIT AND AGPL-3.0-only")), 1);
        assert_eq!(found("a", None), 1);
        assert_eq!(found("a", Some("MIT OR")), 1);
    }

    #[test]
    fn a_banned_crate_is_refused_whatever_its_licence() {
        assert_eq!(found("ring", Some("Apache-2.0 AND ISC")), 1);
        assert_eq!(found("openssl-sys", Some("MIT")), 1);
    }
}
