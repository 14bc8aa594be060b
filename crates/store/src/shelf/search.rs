//! Full-text search over memories and knowledge.
//!
//! A user's text never is query syntax: every word goes in as a quoted string, the last one as a prefix. First all words
//! must occur; when nothing has them all, any word will do.

use super::Shelf;
use crate::{StoreError, row};
use jiff::Timestamp;
use serde::Serialize;

const MAX_QUERY: usize = 4096;
const MAX_WORDS: usize = 32;
const MAX_HITS: u32 = 100;

/// What a search looks at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    All,
    Memory,
    Knowledge,
    /// Knowledge of one source.
    Source(String),
}

impl From<&str> for Scope {
    fn from(name: &str) -> Self {
        match name {
            "" | "all" => Scope::All,
            "memory" => Scope::Memory,
            "knowledge" => Scope::Knowledge,
            source => Scope::Source(source.to_owned()),
        }
    }
}

/// One thing found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Hit {
    /// Title of a document, or key of a memory.
    pub title: String,
    /// `memory`, or the name of the document's source.
    pub source: String,
    /// The words around the match.
    pub snippet: String,
    /// 0 to 1, the best hit first. Above 0.5: all words occur; the best hit of a search has 1 or 0.5.
    pub relevance: f64,
    /// Key of a memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Category of a memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Number of a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    pub updated_at: Timestamp,
}

impl Shelf {
    /// Search; the best hits first. The text has at most 4 KiB, of which 32 words count; `limit` is 1 to 100. A text
    /// without a letter or digit finds nothing.
    pub async fn search(&self, text: &str, limit: u32, scope: &Scope) -> Result<Vec<Hit>, StoreError> {
        row::at_most("query", text, MAX_QUERY)?;
        let words = words(text);
        if words.is_empty() {
            return Ok(Vec::new());
        }
        let hits = self.find(&words.join(" AND "), limit, scope, 0.5).await?;
        if !hits.is_empty() || words.len() == 1 {
            return Ok(hits);
        }
        self.find(&words.join(" OR "), limit, scope, 0.0).await
    }

    async fn find(&self, query: &str, limit: u32, scope: &Scope, floor: f64) -> Result<Vec<Hit>, StoreError> {
        // Memory has document numbers above 0, knowledge below.
        let (from, to, source) = match scope {
            Scope::All => (i64::MIN, i64::MAX, None),
            Scope::Memory => (1, i64::MAX, None),
            Scope::Knowledge => (i64::MIN, -1, None),
            Scope::Source(source) => (i64::MIN, -1, Some(source.as_str())),
        };
        let rows = sqlx::query(include_str!("../../sql/search.sql"))
            .bind(query)
            .bind(from)
            .bind(to)
            .bind(source)
            .bind(i64::from(limit.clamp(1, MAX_HITS)))
            .fetch_all(&self.db.side)
            .await?;
        let mut best = None;
        let mut hits = Vec::with_capacity(rows.len());
        for row in &rows {
            let doc = row::int(row, 0)?;
            // bm25() is below 0, better is lower; rows come best first.
            let score: f64 = -sqlx::Row::try_get_unchecked::<f64, _>(row, 1)?;
            let best = *best.get_or_insert(score);
            let share = if best > 0.0 { (score / best).clamp(0.0, 1.0) } else { 1.0 };
            let title = row::text(row, 3)?;
            hits.push(Hit {
                source: row::text_opt(row, 4)?.unwrap_or_else(|| "memory".to_owned()),
                snippet: row::text(row, 2)?,
                relevance: floor + share / 2.0,
                key: (doc > 0).then(|| title.clone()),
                category: row::text_opt(row, 6)?,
                id: (doc < 0).then_some(doc.saturating_neg()),
                url: row::text_opt(row, 5)?,
                updated_at: row::time(row, 7)?,
                title,
            });
        }
        Ok(hits)
    }
}

// The words of a text as FTS5 strings. A word without letter or digit would be an empty phrase: left out.
fn words(text: &str) -> Vec<String> {
    let mut words: Vec<String> = text
        .split(|c: char| c.is_whitespace() || c == '\0')
        .filter(|word| word.chars().any(char::is_alphanumeric))
        .take(MAX_WORDS)
        .map(|word| format!("\"{}\"", word.replace('"', "\"\"")))
        .collect();
    if let Some(last) = words.last_mut() {
        last.push('*');
    }
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn words_are_quoted_and_the_last_is_a_prefix() {
        assert_eq!(words("retry \"pol"), ["\"retry\"", "\"\"\"pol\"*"]);
        assert_eq!(words("a OR NEAR( * title:x"), ["\"a\"", "\"OR\"", "\"NEAR(\"", "\"title:x\"*"]);
        assert!(words(" * -- \0 \"\" ").is_empty());
        assert_eq!(words(&"w ".repeat(100)).len(), 32);
    }
}
