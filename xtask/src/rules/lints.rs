//! Rule `lints`: every member takes the workspace's lints.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "lints",
    why: "A crate without the workspace's lints may use unsafe code and unwrap, and nobody would be told.",
    check,
};

fn check(tree: &Tree, metadata: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (_, manifest) in metadata.members() {
        let Some(file) = tree.get(manifest) else { continue };
        let after = file.text.split("[lints]").nth(1);
        let next = after.and_then(|text| text.lines().map(str::trim).find(|line| !line.is_empty()));
        if next != Some("workspace = true") {
            problems.push(Problem::new(RULE.name, manifest, 1, "add `[lints]` with `workspace = true`"));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metadata::Package;

    #[test]
    fn a_member_without_lints_is_named() {
        let member = |name: &str| Package {
            name: name.to_owned(),
            version: "0".to_owned(),
            license: None,
            manifest: Some(format!("{name}/Cargo.toml")),
            dependencies: Vec::new(),
        };
        let metadata = Metadata { packages: vec![member("a"), member("b")] };
        let tree =
            Tree::of(&[("a/Cargo.toml", "[lints]\nworkspace = true\n"), ("b/Cargo.toml", "[package]\n")]);
        let found = check(&tree, &metadata);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].path, "b/Cargo.toml");
    }
}
