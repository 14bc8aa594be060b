//! Rule `stubs`: nothing half-done is committed.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "stubs",
    why: "A stub that compiles looks finished to whoever comes next, and an ignored test protects nothing.",
    check,
};

// In two pieces, so that this file does not accuse itself.
const IN_RUST: [(&str, &str); 3] = [
    (concat!("to", "do!("), "write the code, or leave the function out"),
    (concat!("unimple", "mented!("), "write the code, or leave the function out"),
    (concat!("#[ig", "nore"), "make the test run everywhere, or delete it"),
];
const ANYWHERE: (&str, &str) = (concat!("FIX", "ME"), "fix it now, or write an issue");

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &tree.files {
        let rust = file.has_extension(&["rs"]);
        for (number, line) in file.lines() {
            let of_rust = IN_RUST.iter().filter(|_| rust);
            for (mark, advice) in of_rust.chain([&ANYWHERE]) {
                if line.contains(mark) {
                    problems.push(Problem::new(RULE.name, &file.path, number, format!("`{mark}`: {advice}")));
                }
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mark_is_found_on_its_line() {
        let text =
            format!("fn a() {{ {})\n{}]\nfn b() {{}}\n// {}\n", IN_RUST[0].0, IN_RUST[2].0, ANYWHERE.0);
        let tree = Tree::of(&[("a.rs", &text), ("b.md", &text)]);
        let found: Vec<(String, usize)> =
            check(&tree, &Metadata::default()).into_iter().map(|p| (p.path, p.line)).collect();
        let expected = [("a.rs", 1), ("a.rs", 2), ("a.rs", 4), ("b.md", 4)];
        assert_eq!(found, expected.map(|(path, line)| (path.to_owned(), line)));
    }
}
