//! Rule `length`: no source file over 500 lines.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "length",
    why: "A file that nears 500 lines holds two things, and the second one cannot be found by its file name.",
    check,
};

const MOST: usize = 500;
const SOURCES: &[&str] = &["rs", "ts", "tsx", "mjs", "js", "py", "sh"];

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.files.iter().filter(|file| file.has_extension(SOURCES)) {
        let lines = file.text.lines().count();
        if lines > MOST {
            let what = format!("{lines} lines, {MOST} are allowed: give the second thing in it its own file");
            problems.push(Problem::new(RULE.name, &file.path, MOST + 1, what));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_hundred_is_allowed_and_one_more_is_not() {
        let (fits, too_long) = ("x\n".repeat(500), "x\n".repeat(501));
        let tree = Tree::of(&[("a.rs", &fits), ("b.ts", &too_long), ("c.md", &too_long)]);
        let found = check(&tree, &Metadata::default());
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].path.as_str(), found[0].line), ("b.ts", 501));
    }
}
