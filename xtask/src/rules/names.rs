//! Rule `names`: no module or type is called after nothing.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::{File, Tree};
use regex::Regex;
use std::sync::LazyLock;

pub const RULE: Rule = Rule {
    name: "names",
    why: "A name that fits everything collects everything; nobody finds the second thing in it.",
    check,
};

const BANNED: [&str; 9] =
    ["util", "utils", "helper", "helpers", "common", "misc", "manager", "processor", "base"];

static DECLARED: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(
        r"^\s*(?:pub(?:\([^)]*\))?\s+)?(?:unsafe\s+)?(mod|struct|enum|union|trait|type)\s+(?:r#)?(\w+)",
    )
    .ok()
});

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in tree.rust() {
        for part in file.path.trim_end_matches(".rs").split('/') {
            if let Some(word) = banned(part) {
                problems.push(Problem::new(RULE.name, &file.path, 1, advice("path", part, word)));
            }
        }
        declared(file, &mut problems);
    }
    problems
}

fn declared(file: &File, problems: &mut Vec<Problem>) {
    let Some(pattern) = DECLARED.as_ref() else { return };
    for (number, line) in file.lines() {
        let Some(found) = pattern.captures(line) else { continue };
        if let Some(word) = banned(&found[2]) {
            problems.push(Problem::new(RULE.name, &file.path, number, advice(&found[1], &found[2], word)));
        }
    }
}

fn advice(kind: &str, name: &str, word: &str) -> String {
    format!("{kind} `{name}`: `{word}` says nothing, name it after what it does")
}

/// The banned word that this name is, or ends in: `string_utils`, `SessionManager`; `base_url` is fine.
fn banned(name: &str) -> Option<&'static str> {
    let last = match name.rfind('_') {
        Some(cut) => &name[cut + 1..],
        None => name,
    };
    let capital = last.rfind(|c: char| c.is_ascii_uppercase()).unwrap_or(0);
    let word = last[capital..].to_ascii_lowercase();
    BANNED.into_iter().find(|banned| *banned == word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_words_count() {
        for name in ["util", "string_utils", "SessionManager", "Base", "common", "HttpHelper"] {
            assert!(banned(name).is_some(), "{name}");
        }
        for name in ["base_url", "BaseUrl", "base64", "database", "Managed", "process", "mod"] {
            assert_eq!(banned(name), None, "{name}");
        }
    }

    #[test]
    fn files_folders_modules_and_types_are_read() {
        let tree = Tree::of(&[
            ("crates/a/tests/common/mod.rs", "//! x\n"),
            (
                "crates/a/src/lib.rs",
                "//! x\npub(crate) mod misc;\n    struct JobProcessor;\n// struct Base\nfn base() {}\n",
            ),
        ]);
        let found: Vec<usize> = check(&tree, &Metadata::default()).into_iter().map(|p| p.line).collect();
        assert_eq!(found, [1, 2, 3]);
    }
}
