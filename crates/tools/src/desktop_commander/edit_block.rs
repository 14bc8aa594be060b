//! Tool `edit_block`.

use super::DesktopCommander;
use super::read_file::MAX_FILE;
use crate::text::{Encoding, decode_prefix};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use similar::TextDiff;
use std::time::Duration;
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError, param};
use toolgate_host::files::WriteMode;

// A diff is for reading; a longer one is cut.
const MAX_DIFF: usize = 64 << 10;

/// Replace an exact piece of a text file. The old text must occur exactly `expected_replacements` times, so that an edit
/// never lands in the wrong place. With `dry_run` nothing is written; the diff shows what would be.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EditBlock {
    /// Absolute path, or one relative to the workspace.
    #[serde(alias = "path")]
    file_path: String,
    /// The text to replace, exactly as it is in the file; enough of it to be unique.
    old_string: String,
    /// What to put there; empty to delete.
    new_string: String,
    /// How often the old text occurs.
    #[serde(default = "one", deserialize_with = "param::integer")]
    expected_replacements: usize,
    /// Only show what would change.
    #[serde(default, deserialize_with = "param::boolean")]
    dry_run: bool,
}

fn one() -> usize {
    1
}

/// What changed.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Edited {
    file_path: String,
    replacements: usize,
    /// Unified diff.
    diff: String,
    /// Whether the file was written.
    written: bool,
}

impl Tool for EditBlock {
    type Server = DesktopCommander;
    type Output = Edited;
    const SPEC: Spec =
        Spec::read("edit_block").up_to(Effect::Write).aliases(&["edit_file"]).without_breaker();

    fn effect(&self) -> Effect {
        if self.dry_run { Effect::Read } else { Effect::Write }
    }

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Edited, ToolError> {
        if self.old_string.is_empty() {
            return Err(ToolError::invalid("old_string is empty; give the text to replace"));
        }
        let (bytes, size) = server.host.files().read(&self.file_path, 0, MAX_FILE + 1).await?;
        if size > MAX_FILE as u64 {
            return Err(ToolError::too_large(format!(
                "{} has {size} bytes; at most {MAX_FILE}",
                self.file_path
            )));
        }
        let before = decode_prefix(Encoding::Utf8, bytes, size, MAX_FILE)?;
        let (dry_run, replacements, file_path) =
            (self.dry_run, self.expected_replacements, self.file_path.clone());
        // A diff of a large file takes long, and other connections wait for this thread.
        let (after, diff) = tokio::task::spawn_blocking(move || self.edit(&before))
            .await
            .map_err(|_| ToolError::invalid("the file could not be compared"))??;
        if !dry_run {
            let files = server.host.files();
            files.write(&file_path, after.into_bytes(), WriteMode::Replace, false).await?;
        }
        Ok(Edited { file_path, replacements, diff, written: !dry_run })
    }
}

impl EditBlock {
    // The text afterwards, and the diff.
    fn edit(self, before: &str) -> Result<(String, String), ToolError> {
        let (old, new) = in_line_ends_of(before, self.old_string, self.new_string);
        let found = before.matches(&old).count();
        if found != self.expected_replacements {
            return Err(mismatch(before, &old, found, self.expected_replacements));
        }
        let after = before.replace(&old, &new);
        let diff = diff(&self.file_path, before, &after);
        Ok((after, diff))
    }
}

// Models write `\n`; a file with `\r\n` keeps its line ends.
fn in_line_ends_of(text: &str, old: String, new: String) -> (String, String) {
    if text.contains("\r\n") && !old.contains('\r') && old.contains('\n') && !text.contains(&old) {
        let crlf = |s: String| s.replace("\r\n", "\n").replace('\n', "\r\n");
        return (crlf(old), crlf(new));
    }
    (old, new)
}

fn mismatch(text: &str, old: &str, found: usize, expected: usize) -> ToolError {
    if found > 0 {
        return ToolError::conflict(format!(
            "old_string occurs {found} times, {expected} expected; add more of the text around it, or set \
             expected_replacements to {found}"
        ));
    }
    let hint = nearest(text, old)
        .map_or_else(String::new, |(line, near)| format!(". The nearest is at line {line}:\n{near}"));
    ToolError::not_found(format!("old_string does not occur in the file{hint}"))
}

// The lines most like the ones looked for, if any are more alike than not.
fn nearest(text: &str, old: &str) -> Option<(usize, String)> {
    const MOST_LINES: usize = 20_000;
    let lines: Vec<&str> = text.lines().take(MOST_LINES).collect();
    let wanted: Vec<&str> = old.lines().take(40).collect();
    let first = wanted.iter().position(|l| !l.trim().is_empty())?;
    // Each word of one is compared with each of the other.
    const MOST_WORDS: usize = 40;
    fn words(line: &str) -> Vec<&str> {
        line.split_whitespace().take(MOST_WORDS).collect()
    }
    let target = words(wanted[first]);
    let alike = |line: &str| {
        let there = words(line);
        let common = target.iter().filter(|w| there.contains(w)).count();
        (common * 200).checked_div(target.len() + there.len()).unwrap_or(0)
    };
    let (at, score) =
        lines.iter().enumerate().map(|(i, l)| (i, alike(l))).max_by_key(|(i, s)| (*s, usize::MAX - i))?;
    let start = at.saturating_sub(first);
    let end = lines.len().min(start + wanted.len());
    (score > 50).then(|| (start + 1, lines[start..end].join("\n").chars().take(2000).collect()))
}

fn diff(path: &str, before: &str, after: &str) -> String {
    let changes = TextDiff::configure().timeout(Duration::from_millis(500)).diff_lines(before, after);
    let mut text = changes.unified_diff().context_radius(3).header(path, path).to_string();
    if text.len() > MAX_DIFF {
        let cut = (0..=MAX_DIFF).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        text.truncate(cut);
        text.push_str("\n(the diff is longer)\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, dir) = super::super::server();
        let file = dir.path().join("c.txt");
        std::fs::write(&file, "\u{feff}one\r\ntwo\r\nthree\r\n").unwrap();
        let edit = |dry| json!({"file_path": "c.txt", "old_string": "two\nthree", "new_string": "2\n3", "dry_run": dry});
        let shown = call::<EditBlock>(&server, edit(true)).await.unwrap();
        assert!(shown["diff"].as_str().unwrap().contains("-two\r\n"), "{shown}");
        assert_eq!((shown["written"].clone(), std::fs::metadata(&file).unwrap().len()), (json!(false), 20));
        call::<EditBlock>(&server, edit(false)).await.unwrap();
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "\u{feff}one\r\n2\r\n3\r\n");
    }

    #[test]
    fn the_nearest_lines_are_found_without_comparing_everything() {
        let (many, line) = ("b ".repeat(400_000), "a b c ".repeat(100));
        let text = vec![line; 400].join("\n");
        let begun = std::time::Instant::now();
        assert!(nearest(&text, &many).is_none_or(|(line, _)| line > 0));
        assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
        assert_eq!(nearest("x\nlet a = 1;\ny", "let a = 2;").map(|(line, _)| line), Some(2));
    }

    #[tokio::test]
    async fn refused() {
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("f"), "let x = 1;\nlet y = 1;\n").unwrap();
        let edit = |old: &str| json!({"file_path": "f", "old_string": old, "new_string": ""});
        assert_eq!(refusal::<EditBlock>(&server, edit("= 1;")).await, Kind::Conflict);
        assert_eq!(refusal::<EditBlock>(&server, edit("")).await, Kind::Invalid);
        let error = call::<EditBlock>(&server, edit("let  x = 2;")).await.unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        assert!(error.message.contains("line 1:\nlet x = 1;"), "{}", error.message);
    }

    #[test]
    fn a_dry_run_only_reads() {
        let effect = |v| serde_json::from_value::<EditBlock>(v).unwrap().effect();
        let base = json!({"file_path": "f", "old_string": "a", "new_string": "b"});
        assert_eq!(effect(base.clone()), Effect::Write);
        let mut dry = base;
        dry["dry_run"] = "true".into();
        assert_eq!(effect(dry), Effect::Read);
    }
}
