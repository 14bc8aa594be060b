//! Rule `places`: nothing tracked names one machine or one registry.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;
use regex::Regex;
use std::sync::LazyLock;

pub const RULE: Rule = Rule {
    name: "places",
    why: "A path or registry of the machine where something was written works there and nowhere else.",
    check,
};

/// Files that may name such a place, and why.
const EXCEPT: &[(&str, &str)] =
    &[("Cargo.lock", "Cargo's own name of the public registry is part of the format")];

// Written so that the patterns do not match themselves.
static PATH: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?:^|[^\w.\-/}*])(/(?:work|root|tmp/wt|home/\w+)/)").ok());
static REGISTRY: LazyLock<Option<Regex>> = LazyLock::new(|| {
    let hosts = [
        r"registry\.(?:npmjs|yarnpkg)\.\w+",
        r"pypi\.(?:org|python\.org)",
        r"files\.pythonhosted\.org",
        r"(?:index|static)\.crates\.io",
        r"[\w.-]*(?:artifactory|jfrog)[\w-]*\.\w+",
    ];
    Regex::new(&format!(r"\b({})", hosts.join("|"))).ok()
});

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.files.iter().filter(|file| !EXCEPT.iter().any(|(path, _)| *path == file.path)) {
        for (number, line) in file.lines() {
            let mut look = |pattern: &LazyLock<Option<Regex>>, advice: &str| {
                if let Some(found) = pattern.as_ref().and_then(|p| p.captures(line)) {
                    problems.push(Problem::new(
                        RULE.name,
                        &file.path,
                        number,
                        format!("`{}`: {advice}", &found[1]),
                    ));
                }
            };
            look(&PATH, "a path of one machine; use a relative path, a variable or a temporary directory");
            look(&REGISTRY, "a registry's host; leave the choice to the machine's own configuration");
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(text: &str) -> usize {
        check(&Tree::of(&[("a.md", text)]), &Metadata::default()).len()
    }

    #[test]
    fn paths_of_a_machine_are_found_and_others_are_not() {
        for (folder, wanted) in [("work", 1), ("root", 1), ("home/anna", 1), ("var/lib", 0), ("workspace", 0)]
        {
            assert_eq!(count(&format!("see /{folder}/x here")), wanted, "{folder}");
            assert_eq!(count(&format!("see docs/{folder}/x here")), 0, "{folder}");
        }
        assert_eq!(count(&format!("\"{}{}x\"", "/tmp", "/wt/")), 1);
    }

    #[test]
    fn registries_are_found_except_in_the_lock_file() {
        let line = format!("https://registry.{}.org/x", "npmjs");
        assert_eq!(count(&line), 1);
        assert_eq!(check(&Tree::of(&[("Cargo.lock", &line)]), &Metadata::default()), []);
        assert_eq!(count("use serde from crates.io"), 0);
    }
}
