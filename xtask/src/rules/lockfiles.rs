//! Rule `lockfiles`: what tests install is pinned by hash and fetched from wherever the machine says.

use super::{Problem, Rule};
use crate::metadata::Metadata;
use crate::tree::{File, Tree};

pub const RULE: Rule = Rule {
    name: "lockfiles",
    why: "A pin without a hash is a promise by somebody else, and a pin with a URL works on one network only.",
    check,
};

fn check(tree: &Tree, _: &Metadata) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in &tree.files {
        let name = file.path.rsplit('/').next().unwrap_or_default();
        match name {
            "package-lock.json" => npm(file, &mut problems),
            "config.toml" if file.path.contains(".cargo/") => cargo(file, &mut problems),
            _ if name.starts_with("requirements") && name.ends_with(".txt") => pip(file, &mut problems),
            ".npmrc" | "pip.conf" => {
                let what = "delete it: which registry is used is the machine's choice";
                problems.push(Problem::new(RULE.name, &file.path, 1, what));
            }
            _ => {}
        }
    }
    problems
}

fn npm(file: &File, problems: &mut Vec<Problem>) {
    for (number, line) in file.lines().filter(|(_, line)| line.trim_start().starts_with("\"resolved\"")) {
        let what = "a resolved URL: write the file with `npm install --omit-lockfile-registry-resolved`";
        // A link inside the repository has no host.
        if line.contains("://") {
            problems.push(Problem::new(RULE.name, &file.path, number, what));
        }
    }
    let packages = file.text.matches("\"node_modules/").count();
    let hashes = file.text.matches("\"integrity\"").count();
    if packages != hashes {
        let what = format!("{packages} packages but {hashes} integrity hashes: write the file anew");
        problems.push(Problem::new(RULE.name, &file.path, 1, what));
    }
}

fn pip(file: &File, problems: &mut Vec<Problem>) {
    let joined = file.text.replace("\\\n", " \u{0}");
    let mut number = 1;
    for entry in joined.lines() {
        let line = entry.trim();
        if line.contains("://") || (line.starts_with("--") && !line.starts_with("--only-binary")) {
            problems.push(Problem::new(
                RULE.name,
                &file.path,
                number,
                "no URL and no index option in requirements",
            ));
        } else if !(line.is_empty() || line.starts_with(['#', '-']) || is_pinned(line)) {
            problems.push(Problem::new(
                RULE.name,
                &file.path,
                number,
                "pin it with `==` and `--hash=sha256:`",
            ));
        }
        number += 1 + entry.matches('\u{0}').count();
    }
}

fn is_pinned(line: &str) -> bool {
    line.contains("==") && line.contains("--hash=sha256:")
}

fn cargo(file: &File, problems: &mut Vec<Problem>) {
    for (number, line) in file.lines() {
        if line.starts_with("[source") || line.starts_with("[registr") || line.contains("target-dir") {
            let what =
                "only what holds on every machine belongs here; put it into the machine's own configuration";
            problems.push(Problem::new(RULE.name, &file.path, number, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        check(&Tree::of(&[(path, text)]), &Metadata::default()).into_iter().map(|p| p.line).collect()
    }

    #[test]
    fn npm_needs_hashes_and_no_urls() {
        let good = "{\n \"node_modules/a\": {\n  \"integrity\": \"sha512-x\"\n }\n}\n";
        assert_eq!(lines("t/package-lock.json", good), [] as [usize; 0]);
        assert_eq!(lines("t/package-lock.json", &good.replace("integrity", "other")), [1]);
        let with_url =
            good.replace("  \"integrity\"", "  \"resolved\": \"https://x/a.tgz\",\n  \"integrity\"");
        assert_eq!(lines("t/package-lock.json", &with_url), [3]);
    }

    #[test]
    fn pip_needs_exact_versions_and_hashes() {
        let text = "# why\na==1 \\\n    --hash=sha256:00\nb==2\n--index-url x\nc>=1 --hash=sha256:00\n";
        assert_eq!(lines("t/requirements.txt", text), [4, 5, 6]);
    }

    #[test]
    fn cargo_configuration_is_not_a_machine() {
        assert_eq!(lines(".cargo/config.toml", "[alias]\nx = \"y\"\n[source.crates-io]\n"), [3]);
        assert_eq!(lines("t/.npmrc", "registry=x\n"), [1]);
    }
}
