//! Rule `pure-core`: the vocabulary does no input or output.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "pure-core",
    why: "Every crate depends on core; what it may do, every crate may do behind the back of Host.",
    check,
};

const DOORS: [&str; 7] =
    ["std::fs", "std::process", "std::env::", "std::net::Tcp", "std::net::Udp", "std::thread", "tokio::"];

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.rust().filter(|file| file.path.starts_with("crates/core/src/")) {
        for (number, line) in file.lines().filter(|(_, line)| !line.trim_start().starts_with("//")) {
            if let Some(door) = DOORS.iter().find(|door| line.contains(*door)) {
                let what = format!("`{door}` does not belong into core: move it to host or higher");
                problems.push(Problem::new(RULE.name, &file.path, number, what));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_core_is_asked_and_comments_may_talk() {
        let text = "//! No std::fs here.\nuse std::fs;\nuse std::net::IpAddr;\n";
        let tree = Tree::of(&[("crates/core/src/a.rs", text), ("crates/host/src/a.rs", text)]);
        let found = check(&tree, &Metadata::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("crates/core/src/a.rs", 2));
    }
}
