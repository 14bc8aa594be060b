//! Rule `tool-file`: in `crates/tools*/src/<server>/` a file holds one tool, resource or prompt, is named after it and
//! tests it twice. Resources stand in `resources/`, prompts in `prompts/`, and nothing else does.
//!
//! Tests stand in the file itself, in `<tool>/tests.rs`, `<tool>_tests.rs` or `tests/<tool>.rs` beside it; in a `tests.rs`
//! that several tools share, the two functions end in the tool's name.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::{File, Tree};
use regex::Regex;
use std::sync::LazyLock;

pub const RULE: Rule = Rule {
    name: "tool-file",
    why: "Whoever looks for a tool opens the file of its name, and a tool that was never refused was never secured.",
    check,
};

static IMPL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^\s*impl\s+(?:\w+::)*Tool\s+for\s").ok());
static SPEC: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r#"Spec::(?:read|write|destroy)\(\s*"([^"]*)""#).ok());

static FACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"(?m)^\s*impl\s+(?:\w+::)*(Resource|Prompt)\s+for\s").ok());

const CASES: [&str; 2] = ["happy", "refused"];

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    let (Some(implementation), Some(spec), Some(face)) = (IMPL.as_ref(), SPEC.as_ref(), FACE.as_ref()) else {
        return problems;
    };
    for file in tree.rust().filter(|file| is_of_a_server(&file.path)) {
        let tools: Vec<_> = implementation.find_iter(&file.text).collect();
        let Some(first) = tools.first() else { continue };
        let mut say = |byte: usize, what: String| {
            problems.push(Problem::new(RULE.name, &file.path, file.line_at(byte), what));
        };
        // `^\s*` may begin on an empty line above.
        let start = first.end() - 1;
        for extra in tools.iter().skip(1) {
            say(extra.end() - 1, "a second tool in one file: give it its own".to_owned());
        }
        let names: Vec<_> = spec.captures_iter(&file.text).filter_map(|found| found.get(1)).collect();
        match names.first() {
            None => {
                say(start, "no `Spec::read(\"name\")`, `write` or `destroy` with a literal name".to_owned())
            }
            Some(name) if name.as_str().replace('-', "_") != file.stem() => {
                let what = format!("tool `{}` in a file of another name: call it `{0}.rs`", name.as_str());
                say(name.start(), what);
            }
            Some(_) => {}
        }
        // What it is besides a tool, and where it stands, must agree.
        let faces: Vec<&str> =
            face.captures_iter(&file.text).filter_map(|f| Some(f.get(1)?.as_str())).collect();
        let expected = match folder(&file.path).rsplit('/').next() {
            Some("resources") => &["Resource"][..],
            Some("prompts") => &["Prompt"],
            _ => &[],
        };
        if faces != expected {
            let what = match faces.first() {
                Some(&"Resource") => "a resource: its place is the server's `resources/`, one in each file",
                Some(_) => "a prompt: its place is the server's `prompts/`, one in each file",
                None => "a tool among resources or prompts: its place is beside the other tools",
            };
            say(start, what.to_owned());
        }
        for case in CASES.into_iter().filter(|case| !tested(tree, file, case)) {
            say(start, format!("no `fn {case}` test, here or in a tests file beside it"));
        }
    }
    problems
}

fn is_of_a_server(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["crates", krate, "src", _, _, ..] if krate.starts_with("tools"))
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn tested(tree: &Tree, file: &File, case: &str) -> bool {
    let has = |text: &str, name: &str| {
        text.contains(&format!("fn {name}(")) || text.contains(&format!("fn {name}_"))
    };
    if has(&file.text, case) {
        return true;
    }
    let folder = folder(&file.path);
    let stem = file.stem();
    let own = [
        format!("{folder}/{stem}/tests.rs"),
        format!("{folder}/{stem}_tests.rs"),
        format!("{folder}/tests/{stem}.rs"),
    ];
    let shared = format!("{folder}/tests.rs");
    own.iter().any(|path| tree.get(path).is_some_and(|f| has(&f.text, case)))
        || tree.get(&shared).is_some_and(|f| f.text.contains(&format!("fn {case}_{stem}(")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "//! x\nimpl Tool for Recall {\n const SPEC: Spec = Spec::read(\"recall\");\n}\nfn happy() {}\nfn refused_for_nobody() {}\n";

    fn found(files: &[(&str, &str)]) -> Vec<(usize, String)> {
        check(&Tree::of(files), &Metadata::default()).into_iter().map(|p| (p.line, p.what)).collect()
    }

    #[test]
    fn a_file_as_it_should_be() {
        assert_eq!(found(&[("crates/tools/src/memory/recall.rs", GOOD)]), []);
        let untested = GOOD.replace("fn happy() {}\nfn refused_for_nobody() {}\n", "");
        let cases = "fn happy() {}\nfn refused() {}\n";
        for beside in ["recall/tests.rs", "recall_tests.rs", "tests/recall.rs"] {
            let path = format!("crates/tools-kube/src/memory/{beside}");
            let files =
                [("crates/tools-kube/src/memory/recall.rs", untested.as_str()), (path.as_str(), cases)];
            assert_eq!(found(&files), [], "{beside}");
        }
        let shared = "fn happy_recall() {}\nfn refused_recall() {}\n";
        let files =
            [("crates/tools/src/m/recall.rs", untested.as_str()), ("crates/tools/src/m/tests.rs", shared)];
        assert_eq!(found(&files), []);
    }

    #[test]
    fn another_name_a_second_tool_and_missing_tests_are_found() {
        let named = found(&[("crates/tools/src/memory/fetch.rs", GOOD)]);
        assert_eq!(named.len(), 1);
        assert_eq!(named[0].0, 3);

        let twice = format!("{GOOD}\nimpl crate::Tool for Other {{}}\n");
        assert_eq!(found(&[("crates/tools/src/memory/recall.rs", &twice)])[0].0, 8);

        let untested = GOOD.replace("happy", "glad").replace("refused", "sad");
        assert_eq!(found(&[("crates/tools/src/memory/recall.rs", &untested)]).len(), 2);

        let unnamed = GOOD.replace("\"recall\"", "NAME");
        assert_eq!(found(&[("crates/tools/src/memory/recall.rs", &unnamed)]).len(), 1);
    }

    #[test]
    fn resources_and_prompts_have_their_places_and_cases() {
        let resource = format!("{GOOD}impl Resource for Recall {{\n}}\n");
        let prompt = format!("{GOOD}impl toolgate_core::Prompt for Recall {{\n}}\n");
        let at = |folder: &str, text: &str| {
            found(&[(format!("crates/tools/src/memory/{folder}recall.rs").as_str(), text)]).len()
        };
        for (folder, text, expected) in [
            ("resources/", resource.as_str(), 0),
            ("prompts/", &prompt, 0),
            ("", &resource, 1),
            ("", &prompt, 1),
            ("prompts/", &resource, 1),
            ("resources/", &prompt, 1),
            ("resources/", GOOD, 1),
            ("prompts/", &format!("{prompt}{prompt}"), 2),
            ("resources/", &resource.replace("fn refused", "fn sad"), 1),
            ("prompts/", &prompt.replace("fn happy", "fn glad"), 1),
        ] {
            assert_eq!(at(folder, text), expected, "{folder}: {text}");
        }
    }

    #[test]
    fn other_crates_and_the_crate_root_are_not_asked() {
        let text = "impl Tool for A {}\n";
        assert_eq!(found(&[("crates/engine/src/x/y.rs", text), ("crates/tools/src/lib.rs", text)]), []);
    }
}
