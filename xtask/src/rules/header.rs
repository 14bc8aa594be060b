//! Rule `header`: every Rust file opens with `//!`.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "header",
    why: "A reader who opens a file must learn what it is, who calls it and what is absent on purpose before the first line of code.",
    check,
};

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let without = tree.rust().filter(|file| !says_something(file.text.lines().next()));
    without
        .map(|file| {
            Problem::new(RULE.name, &file.path, 1, "begin the file with a `//!` header that says what it is")
        })
        .collect()
}

fn says_something(first: Option<&str>) -> bool {
    first.and_then(|line| line.strip_prefix("//!")).is_some_and(|text| !text.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_header_with_words_counts() {
        let tree = Tree::of(&[
            ("good.rs", "//! What it is.\n"),
            ("empty.rs", "//!\nfn a() {}\n"),
            ("none.rs", "fn a() {}\n"),
            ("late.rs", "\n//! Late.\n"),
            ("other.md", "text"),
        ]);
        let found: Vec<String> = check(&tree, &Metadata::default()).into_iter().map(|p| p.path).collect();
        assert_eq!(found, ["empty.rs", "none.rs", "late.rs"]);
    }
}
