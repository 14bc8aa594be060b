//! Tool `start_search`.

use super::DesktopCommander;
use crate::given::at_most;
use crate::glob::glob;
use globset::GlobSet;
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::param::{self, Within};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::files::{FileKind, Meta, ReadFile, WalkEnd, WalkOptions};

const MAX_VISITED: usize = 200_000;
const MAX_FILE: usize = 8 << 20;
const MAX_LINE: usize = 400;
// A class such as `\pL` takes kilobytes for its two.
const MAX_EXPRESSION: usize = 1000;

/// Search the workspace for files by name, or for lines in text files. Results come in pages: pass `next_cursor` as
/// `cursor` to go on. Binary files and files over 8 MiB are passed over.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartSearch {
    /// Where to begin; the workspace when absent.
    #[serde(default = "here")]
    path: String,
    /// For `files`: part of the name, or a glob such as `*.rs`. For `content`: a regular expression.
    pattern: String,
    #[serde(default)]
    search_type: SearchType,
    /// Take the pattern as plain text.
    #[serde(default, deserialize_with = "param::boolean")]
    literal: bool,
    /// Letter case does not matter.
    #[serde(default = "crate::text::yes", deserialize_with = "param::boolean")]
    ignore_case: bool,
    /// Only files whose name fits this glob, e.g. `*.{ts,tsx}`.
    #[serde(default)]
    file_pattern: Option<String>,
    /// Look into hidden files and directories too.
    #[serde(default, deserialize_with = "param::boolean")]
    include_hidden: bool,
    /// Results of a page, 1 to 1000.
    #[serde(default)]
    max_results: Within<1, 1000, 100>,
    /// `next_cursor` of the page before.
    #[serde(default, deserialize_with = "param::optional_integer")]
    cursor: Option<usize>,
}

fn here() -> String {
    ".".to_owned()
}

/// What to look at.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchType {
    Files,
    #[default]
    Content,
}

/// A page of results.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Found {
    results: Vec<Hit>,
    count: usize,
    /// Pass as `cursor` for the next page; null at the end.
    next_cursor: Option<usize>,
    /// Whether the search gave up before it had seen everything (200,000 entries).
    incomplete: bool,
}

/// A file, or a line of one.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Hit {
    path: String,
    /// Number of the line, from 1; null for a file found by name.
    line: Option<usize>,
    text: Option<String>,
}

struct Search {
    kind: SearchType,
    name: Box<dyn Fn(&str) -> bool + Send>,
    line: Option<Regex>,
    file: Option<GlobSet>,
    skip: usize,
    most: usize,
    hits: Vec<Hit>,
    more: bool,
}

fn expression(asked: &StartSearch) -> Result<Regex, ToolError> {
    at_most("pattern", &asked.pattern, MAX_EXPRESSION)?;
    let source = if asked.literal { regex::escape(&asked.pattern) } else { asked.pattern.clone() };
    let built = RegexBuilder::new(&source).case_insensitive(asked.ignore_case).size_limit(1 << 20).build();
    built.map_err(|e| {
        ToolError::invalid(format!("{:?} is not a regular expression ({e}); set literal", asked.pattern))
    })
}

impl Search {
    fn new(asked: &StartSearch) -> Result<Self, ToolError> {
        let wanted = if asked.ignore_case { asked.pattern.to_lowercase() } else { asked.pattern.clone() };
        let fold = asked.ignore_case;
        let cased = move |name: &str| if fold { name.to_lowercase() } else { name.to_owned() };
        let name: Box<dyn Fn(&str) -> bool + Send> =
            if !asked.literal && asked.pattern.contains(['*', '?', '[', '{']) {
                let matcher = glob("pattern", &wanted, false)?;
                Box::new(move |name| matcher.is_match(cased(name)))
            } else {
                Box::new(move |name| cased(name).contains(&wanted))
            };
        Ok(Self {
            kind: asked.search_type,
            name,
            line: match asked.search_type {
                SearchType::Files => None,
                SearchType::Content => Some(expression(asked)?),
            },
            file: asked.file_pattern.as_deref().map(|text| glob("file_pattern", text, false)).transpose()?,
            skip: asked.cursor.unwrap_or(0),
            most: asked.max_results.count(),
            hits: Vec::new(),
            more: false,
        })
    }

    /// False when the page is full.
    fn visit(&mut self, meta: &Meta, content: &dyn ReadFile) -> bool {
        if meta.kind != FileKind::File || self.file.as_ref().is_some_and(|f| !f.is_match(&meta.name)) {
            return true;
        }
        if self.kind == SearchType::Files {
            return !(self.name)(&meta.name) || self.hit(meta, None, None);
        }
        let Some(line) = self.line.clone() else { return true };
        let Ok(bytes) = (if meta.size > MAX_FILE as u64 { return true } else { content.read(MAX_FILE) })
        else {
            return true;
        };
        if bytes.iter().take(1024).any(|b| *b == 0) {
            return true;
        }
        let text = String::from_utf8_lossy(&bytes);
        let found = text.lines().enumerate().filter(|(_, text)| line.is_match(text));
        for (number, text) in found {
            let shown: String = text.chars().take(MAX_LINE).collect();
            if !self.hit(meta, Some(number + 1), Some(shown)) {
                return false;
            }
        }
        true
    }

    fn hit(&mut self, meta: &Meta, line: Option<usize>, text: Option<String>) -> bool {
        if self.skip > 0 {
            self.skip -= 1;
            return true;
        }
        if self.hits.len() == self.most {
            self.more = true;
            return false;
        }
        self.hits.push(Hit { path: meta.path.clone(), line, text });
        true
    }
}

impl Tool for StartSearch {
    type Server = DesktopCommander;
    type Output = Found;
    const SPEC: Spec =
        Spec::read("start_search").aliases(&["search_code"]).timeout(secs(120)).without_breaker();

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Found, ToolError> {
        if self.pattern.is_empty() {
            return Err(ToolError::invalid("pattern is empty"));
        }
        let options = WalkOptions { max_depth: 64, hidden: self.include_hidden, max_entries: MAX_VISITED };
        let (path, cursor) = (self.path.clone(), self.cursor);
        // An expression may take long to read, and other connections wait for this thread.
        let search = tokio::task::spawn_blocking(move || Search::new(&self))
            .await
            .map_err(|_| ToolError::invalid("the pattern could not be read"))??;
        let search = Arc::new(Mutex::new(search));
        let end = server
            .host
            .files()
            .walk(&path, options, {
                let search = search.clone();
                move |meta, content| {
                    search.lock().unwrap_or_else(PoisonError::into_inner).visit(meta, content)
                }
            })
            .await?;
        let mut search = search.lock().unwrap_or_else(PoisonError::into_inner);
        let results = std::mem::take(&mut search.hits);
        let next_cursor = search.more.then(|| cursor.unwrap_or(0) + results.len());
        Ok(Found { count: results.len(), results, next_cursor, incomplete: end == WalkEnd::Limited })
    }
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
        std::fs::create_dir(dir.path().join("src")).unwrap();
        std::fs::write(dir.path().join("src/a.rs"), "fn main() {}\n// TODO one\n// todo two\n").unwrap();
        std::fs::write(dir.path().join("b.txt"), "TODO three").unwrap();
        std::fs::write(dir.path().join("bin"), b"TODO\0").unwrap();
        let find = async |arguments| call::<StartSearch>(&server, arguments).await.unwrap();
        assert_eq!(find(json!({"pattern": "todo"})).await["count"], 3);
        assert_eq!(
            find(json!({"pattern": "TODO", "ignore_case": false, "file_pattern": "*.rs"})).await["count"],
            1
        );
        let first = find(json!({"pattern": "todo", "max_results": 2})).await;
        let rest = find(json!({"pattern": "todo", "cursor": first["next_cursor"]})).await;
        assert_eq!((rest["count"].clone(), rest["next_cursor"].clone()), (json!(1), json!(null)));
        assert_eq!(find(json!({"pattern": "main(", "literal": true})).await["results"][0]["line"], 1);
        assert_eq!(find(json!({"pattern": "*.RS", "search_type": "files"})).await["count"], 1);
        assert_eq!(find(json!({"pattern": "b", "search_type": "files"})).await["count"], 2);
    }

    #[tokio::test]
    async fn patterns_are_bounded() {
        let (server, _dir) = super::super::server();
        let braces = "{".repeat(20_000) + "a" + &"}".repeat(20_000);
        for arguments in [
            json!({"pattern": braces, "search_type": "files"}),
            json!({"pattern": "a", "file_pattern": braces}),
            json!({"pattern": "\\pL".repeat(40_000)}),
        ] {
            assert_eq!(refusal::<StartSearch>(&server, arguments).await, Kind::TooLarge);
        }
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<StartSearch>(&server, arguments).await;
        assert_eq!(kind(json!({"pattern": "("})).await, Kind::Invalid);
        assert_eq!(kind(json!({"pattern": ""})).await, Kind::Invalid);
        assert_eq!(kind(json!({"pattern": "x", "path": "/etc"})).await, Kind::Forbidden);
    }
}
