//! Rule `edges`: a crate uses lower levels only, and some dependencies have one home.
//!
//! The tables are the design; `docs/architecture.md` draws them. A new crate needs a level before it needs code.

use super::{Problem, Rule};
use crate::metadata::{Dependency, Metadata, Package, Use};
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "edges",
    why: "A wide and short graph keeps a change in one leaf, and a boundary that no tool checks is gone in a month.",
    check,
};

const TESTKIT: &str = "toolgate-testkit";

/// A crate may use crates of a smaller level.
const LEVELS: &[(&str, u8)] = &[
    ("latency", 0),
    ("toolgate-core", 0),
    ("toolgate-host", 1),
    ("toolgate-store", 1),
    ("toolgate-wire", 2),
    ("toolgate-tools", 2),
    ("toolgate-tools-kube", 2),
    ("toolgate-tools-cloud", 2),
    ("toolgate-engine", 3),
    ("toolgate-upstream", 3),
    ("toolgate-http", 4),
    ("toolgate-ops", 4),
    ("toolgate", 5),
    (TESTKIT, 5),
    ("toolgate-bench", 5),
    ("toolgate-fuzz", 5),
    ("xtask", 5),
];

/// Edges that the levels would allow and the design does not; a trailing `*` stands for any ending.
const NEVER: &[(&str, &str, &str)] = &[
    ("toolgate-engine", "toolgate-tools*", "the engine never names a tool server; the binary mounts them"),
    ("toolgate-engine", "toolgate-store", "the data path reads a snapshot and never asks the database"),
    ("toolgate-http", "toolgate-tools*", "the edge sees tools only through the engine's catalogue"),
    (
        "toolgate-http",
        "toolgate-store",
        "the edge asks the engine; a second way to data would skip admission",
    ),
    ("toolgate-tools*", "toolgate-store", "a tool server asks for what it keeps through a trait of its own"),
    ("toolgate-tools*", "toolgate-wire", "a tool knows calls, not the protocol they came by"),
    ("toolgate-bench", "toolgate*", "it measures the binary from outside, as a user has it"),
    ("xtask", "toolgate*", "chores must build in seconds and judge the product from outside"),
];

/// A third-party crate that has a home. `tests_too`: also as a dev-dependency.
struct Home {
    dependency: &'static str,
    crates: &'static [&'static str],
    tests_too: bool,
    why: &'static str,
}

const HOMES: &[Home] = &[
    Home { dependency: "sqlx", crates: &["toolgate-store"], tests_too: true, why: "SQL has one home" },
    Home {
        dependency: "libsqlite3-sys",
        crates: &["toolgate-store"],
        tests_too: true,
        why: "SQL has one home",
    },
    Home {
        dependency: "axum",
        crates: &["toolgate-http"],
        tests_too: true,
        why: "the edge has one framework and one home",
    },
    Home {
        dependency: "kube",
        crates: &["toolgate-tools-kube"],
        tests_too: true,
        why: "its build time stays in one leaf",
    },
    Home {
        dependency: "k8s-openapi",
        crates: &["toolgate-tools-kube"],
        tests_too: true,
        why: "its build time stays in one leaf",
    },
    Home {
        dependency: "rmcp",
        crates: &[TESTKIT],
        tests_too: true,
        why: "it is an oracle for tests; the protocol core is our own (docs/adr/0001)",
    },
    Home {
        dependency: "reqwest",
        crates: &["toolgate-host", TESTKIT],
        tests_too: false,
        why: "outgoing HTTP has one door, Host, with its egress rules",
    },
    Home {
        dependency: "anyhow",
        crates: &["toolgate", TESTKIT, "toolgate-bench", "toolgate-fuzz", "xtask"],
        tests_too: false,
        why: "libraries return typed errors",
    },
];

fn check(tree: &Tree, metadata: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (package, manifest) in metadata.members() {
        let Some(level) = level_of(&package.name) else {
            let what =
                format!("`{}` has no level: add it to LEVELS in xtask/src/rules/edges.rs", package.name);
            problems.push(Problem::new(RULE.name, manifest, 1, what));
            continue;
        };
        for dependency in &package.dependencies {
            if let Some(what) = refuse(package, level, dependency) {
                let line = line_of(tree, manifest, &dependency.name);
                problems.push(Problem::new(RULE.name, manifest, line, what));
            }
        }
    }
    problems
}

fn refuse(package: &Package, level: u8, dependency: &Dependency) -> Option<String> {
    let (from, to, test) = (package.name.as_str(), dependency.name.as_str(), dependency.used == Use::Test);
    if to == TESTKIT {
        return (!test).then(|| format!("`{TESTKIT}` is for tests: list it under [dev-dependencies]"));
    }
    if let Some((_, _, why)) = NEVER.iter().find(|(a, b, _)| matches(a, from) && matches(b, to)) {
        return Some(format!("`{from}` must not use `{to}`: {why}"));
    }
    if let Some(home) = HOMES.iter().find(|home| home.dependency == to) {
        let at_home = home.crates.contains(&from) || (test && !home.tests_too);
        return (!at_home)
            .then(|| format!("`{to}` belongs to {} only: {}", home.crates.join(", "), home.why));
    }
    // A dev-dependency on a sibling is no edge of the product.
    let below = level_of(to).is_none_or(|other| other < level) || test;
    (!below).then(|| format!("`{from}` must not use `{to}`: only lower levels (docs/architecture.md)"))
}

fn level_of(name: &str) -> Option<u8> {
    LEVELS.iter().find(|(of, _)| *of == name).map(|(_, level)| *level)
}

fn matches(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    }
}

fn line_of(tree: &Tree, manifest: &str, dependency: &str) -> usize {
    let Some(file) = tree.get(manifest) else { return 1 };
    let names = |line: &str| {
        let rest = line.trim_start().strip_prefix(dependency)?;
        rest.starts_with(['.', ' ', '=']).then_some(())
    };
    file.lines().find(|(_, line)| names(line).is_some()).map_or(1, |(number, _)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(from: &str, to: &str, used: Use) -> Vec<Problem> {
        let package = Package {
            name: from.to_owned(),
            version: "0".to_owned(),
            license: None,
            manifest: Some("Cargo.toml".to_owned()),
            dependencies: vec![Dependency { name: to.to_owned(), used }],
        };
        let tree = Tree::of(&[("Cargo.toml", &format!("[dependencies]\n{to}.workspace = true\n"))]);
        check(&tree, &Metadata { packages: vec![package] })
    }

    #[test]
    fn lower_levels_are_allowed() {
        for (from, to) in [
            ("toolgate-host", "toolgate-core"),
            ("toolgate-wire", "toolgate-host"),
            ("toolgate-tools", "toolgate-host"),
            ("toolgate-engine", "toolgate-wire"),
            ("toolgate-http", "toolgate-engine"),
            ("toolgate", "toolgate-tools-kube"),
            ("toolgate", "toolgate-store"),
            ("toolgate-store", "sqlx"),
            ("toolgate-core", "serde"),
        ] {
            assert_eq!(problems(from, to, Use::Normal), [], "{from} -> {to}");
        }
    }

    #[test]
    fn every_boundary_of_the_design_is_kept() {
        for (from, to) in [
            ("toolgate-core", "toolgate-host"),
            ("toolgate-host", "toolgate-store"),
            ("toolgate-engine", "toolgate-tools"),
            ("toolgate-engine", "toolgate-tools-kube"),
            ("toolgate-engine", "toolgate-store"),
            ("toolgate-tools", "toolgate-engine"),
            ("toolgate-tools", "toolgate-store"),
            ("toolgate-tools", "toolgate-wire"),
            ("toolgate-tools", "toolgate-http"),
            ("toolgate-http", "toolgate-ops"),
            ("toolgate-http", "sqlx"),
            ("toolgate-engine", "axum"),
            ("toolgate-tools", "kube"),
            ("toolgate-wire", "rmcp"),
            ("toolgate-tools", "reqwest"),
            ("toolgate-engine", "anyhow"),
            ("toolgate-http", TESTKIT),
            ("toolgate-new", "toolgate-core"),
        ] {
            let found = problems(from, to, Use::Normal);
            assert_eq!(found.len(), 1, "{from} -> {to}: {found:?}");
        }
        assert_eq!(problems("toolgate-http", "axum-x", Use::Normal), []);
        assert_eq!(problems("toolgate-engine", "axum", Use::Normal)[0].line, 2);
    }

    #[test]
    fn tests_may_use_the_testkit_and_more_but_not_everything() {
        assert_eq!(problems("toolgate-http", TESTKIT, Use::Test), []);
        assert_eq!(problems("toolgate-http", "reqwest", Use::Test), []);
        assert_eq!(problems("toolgate-http", "rmcp", Use::Test).len(), 1);
        assert_eq!(problems("toolgate-engine", "toolgate-tools", Use::Test).len(), 1);
    }
}
