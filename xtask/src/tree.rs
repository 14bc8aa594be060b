//! The repository as the rules see it: every text file that is tracked, or would be, with its content.
//!
//! Read once and handed to all rules. Binary files are absent on purpose: no rule reads them.

use anyhow::{Context, Result};
use std::path::Path;
use std::process::Command;

/// One text file.
pub struct File {
    /// Relative to the root, with `/`.
    pub path: String,
    pub text: String,
}

impl File {
    /// File name without its last extension.
    pub fn stem(&self) -> &str {
        let name = self.path.rsplit('/').next().unwrap_or(&self.path);
        name.rsplit_once('.').map_or(name, |(stem, _)| stem)
    }

    pub fn has_extension(&self, extensions: &[&str]) -> bool {
        self.path.rsplit_once('.').is_some_and(|(_, e)| extensions.contains(&e))
    }

    /// Lines with their number, counted from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Line on which this byte stands.
    pub fn line_at(&self, byte: usize) -> usize {
        self.text.as_bytes().iter().take(byte).filter(|b| **b == b'\n').count() + 1
    }
}

/// All text files, sorted by path.
#[derive(Default)]
pub struct Tree {
    pub files: Vec<File>,
}

impl Tree {
    /// Read the repository at `root`.
    pub fn read(root: &Path) -> Result<Self> {
        let mut paths = match listed_by_git(root) {
            Some(paths) => paths,
            None => {
                let mut found = Vec::new();
                walk(root, "", &mut found).with_context(|| format!("reading {}", root.display()))?;
                found
            }
        };
        paths.sort();
        paths.dedup();
        let mut files = Vec::with_capacity(paths.len());
        for path in paths {
            // A deleted file is still in the index; a binary one is not text. Neither has anything to check.
            if let Ok(text) = std::fs::read_to_string(root.join(&path)) {
                files.push(File { path, text });
            }
        }
        Ok(Self { files })
    }

    pub fn get(&self, path: &str) -> Option<&File> {
        self.files.iter().find(|file| file.path == path)
    }

    pub fn rust(&self) -> impl Iterator<Item = &File> {
        self.files.iter().filter(|file| file.has_extension(&["rs"]))
    }
}

// Tracked files and new ones that are not ignored. `safe.directory`: CI may check out as somebody else.
fn listed_by_git(root: &Path) -> Option<Vec<String>> {
    let output = Command::new("git")
        .args(["-c", "safe.directory=*", "ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .ok()?;
    if !output.status.success() || output.stdout.is_empty() {
        return None;
    }
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.split('\0').filter(|p| !p.is_empty()).map(str::to_owned).collect())
}

// For an unpacked archive, where git knows nothing.
fn walk(root: &Path, under: &str, found: &mut Vec<String>) -> std::io::Result<()> {
    const NOT_OURS: [&str; 5] = [".git", ".cache", "target", "node_modules", "__pycache__"];
    for entry in std::fs::read_dir(root.join(under))? {
        let entry = entry?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let path = if under.is_empty() { name.clone() } else { format!("{under}/{name}") };
        let kind = entry.file_type()?;
        if kind.is_dir() && !NOT_OURS.contains(&name.as_str()) {
            walk(root, &path, found)?;
        } else if kind.is_file() {
            found.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
impl Tree {
    /// A tree for tests of rules.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let file = |(path, text): &(&str, &str)| File { path: (*path).to_owned(), text: (*text).to_owned() };
        Self { files: files.iter().map(file).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_repository_is_found_whole_and_without_build_output() {
        let root = crate::root();
        let tree = Tree::read(&root).unwrap();
        assert!(tree.get("Cargo.toml").is_some());
        assert!(tree.get("xtask/src/tree.rs").is_some());
        assert!(!tree.files.iter().any(|f| f.path.starts_with("target/")));
    }

    #[test]
    fn an_archive_without_git_gives_the_same_sources() {
        let root = crate::root();
        let mut walked = Vec::new();
        walk(&root, "xtask", &mut walked).unwrap();
        assert!(walked.contains(&"xtask/src/tree.rs".to_owned()), "{walked:?}");
    }

    #[test]
    fn stems_and_lines() {
        let tree = Tree::of(&[("a/b.tests.rs", "one\ntwo\nthree")]);
        let file = &tree.files[0];
        assert_eq!(file.stem(), "b.tests");
        assert_eq!(file.line_at(4), 2);
        assert!(file.has_extension(&["rs"]));
    }
}
