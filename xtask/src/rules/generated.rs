//! Rule `generated`: the pages of `docs/reference` are what their generators write.

use super::{Problem, Rule};
use crate::docs::GENERATORS;
use crate::metadata::Metadata;
use crate::tree::Tree;

pub const RULE: Rule = Rule {
    name: "generated",
    why: "A reference page that is edited by hand or forgotten is wrong from the next commit on.",
    check,
};

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for generator in GENERATORS {
        let current = tree.get(generator.path).map(|file| file.text.as_str());
        match (generator.page)() {
            Ok(page) if current == Some(page.as_str()) => {}
            Ok(_) => problems.push(Problem::new(
                RULE.name,
                generator.path,
                1,
                "out of date: run `cargo xtask docs` and commit the result",
            )),
            Err(error) => {
                problems.push(Problem::new(
                    RULE.name,
                    generator.path,
                    1,
                    format!("its generator failed: {error:#}"),
                ));
            }
        }
    }
    for file in tree.files.iter().filter(|file| file.path.starts_with("docs/reference/")) {
        if !GENERATORS.iter().any(|generator| generator.path == file.path) {
            let what =
                "nothing generates it: add a generator in xtask/src/docs.rs, or keep it elsewhere in docs";
            problems.push(Problem::new(RULE.name, &file.path, 1, what));
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stale_missing_and_orphan_pages_are_found() {
        let right: Vec<(&str, String)> = GENERATORS.iter().map(|g| (g.path, (g.page)().unwrap())).collect();
        let mut files: Vec<(&str, &str)> = right.iter().map(|(path, page)| (*path, page.as_str())).collect();
        assert_eq!(check(&Tree::of(&files), &Metadata::default()), []);

        files[0].1 = "by hand";
        files.push(("docs/reference/orphan.md", "x"));
        let found: Vec<String> =
            check(&Tree::of(&files), &Metadata::default()).into_iter().map(|p| p.path).collect();
        assert_eq!(found, [GENERATORS[0].path, "docs/reference/orphan.md"]);
        assert_eq!(check(&Tree::default(), &Metadata::default()).len(), GENERATORS.len());
    }
}
