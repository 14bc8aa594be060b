//! Knowledge: documents that the operator imported, each from a named source.

use super::{Shelf, limit};
use crate::{StoreError, row};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

const MAX_TITLE: usize = 512;
const MAX_SOURCE: usize = 128;
const MAX_URL: usize = 2048;
const MAX_BODY: usize = 1 << 20;
/// Documents that one import takes.
const MAX_DOCS: usize = 10_000;

/// A document to import. Title at most 512 bytes, source 128, url 2048, body 1 MiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Doc {
    pub title: String,
    /// Not `all`, `memory` or `knowledge`: those select what a search looks at.
    pub source: String,
    #[serde(default)]
    pub url: Option<String>,
    pub body: String,
}

/// What an import did.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Imported {
    /// Documents stored; one of the same source and title was replaced.
    pub stored: usize,
    /// Their numbers, in the order given.
    pub ids: Vec<i64>,
}

/// A source and how much there is of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SourceInfo {
    pub source: String,
    pub documents: u64,
    pub last_added: Timestamp,
}

impl Shelf {
    /// Store documents, all or none; at most 10,000. One of the same source and title is replaced.
    pub async fn import(&self, docs: &[Doc]) -> Result<Imported, StoreError> {
        if docs.len() > MAX_DOCS {
            let text =
                format!("{} documents at once; at most {MAX_DOCS} are allowed: split the import", docs.len());
            return Err(StoreError::new(toolgate_core::Kind::TooLarge, text));
        }
        for (index, doc) in docs.iter().enumerate() {
            check(index, doc)?;
        }
        let mut tx = self.db.main.begin_with("BEGIN IMMEDIATE").await?;
        let mut ids = Vec::with_capacity(docs.len());
        for doc in docs {
            let stored = sqlx::query(include_str!("../../sql/knowledge_put.sql"))
                .bind(&doc.title)
                .bind(&doc.source)
                .bind(doc.url.as_deref())
                .bind(&doc.body)
                .bind(row::now())
                .fetch_one(&mut *tx)
                .await?;
            ids.push(row::int(&stored, 0)?);
        }
        tx.commit().await?;
        Ok(Imported { stored: docs.len(), ids })
    }

    /// Numbers and titles of documents, the newest first. `limit` is 1 to 1000.
    pub async fn titles(&self, limit: u32) -> Result<Vec<(i64, String)>, StoreError> {
        let query = sqlx::query(include_str!("../../sql/knowledge_titles.sql"));
        let rows = query.bind(self::limit(limit)).fetch_all(&self.db.side).await?;
        rows.iter().map(|row| Ok((row::int(row, 0)?, row::text(row, 1)?))).collect()
    }

    /// The document of that number.
    pub async fn document(&self, id: i64) -> Result<Option<Doc>, StoreError> {
        let query = sqlx::query(include_str!("../../sql/knowledge_get.sql"));
        let Some(row) = query.bind(id).fetch_optional(&self.db.side).await? else { return Ok(None) };
        let (title, source) = (row::text(&row, 0)?, row::text(&row, 1)?);
        Ok(Some(Doc { title, source, url: row::text_opt(&row, 2)?, body: row::text(&row, 3)? }))
    }

    /// Sources in alphabetical order.
    pub async fn sources(&self) -> Result<Vec<SourceInfo>, StoreError> {
        let rows =
            sqlx::query(include_str!("../../sql/knowledge_sources.sql")).fetch_all(&self.db.side).await?;
        rows.iter()
            .map(|row| {
                Ok(SourceInfo {
                    source: row::text(row, 0)?,
                    documents: row::int(row, 1)?.max(0) as u64,
                    last_added: row::time(row, 2)?,
                })
            })
            .collect()
    }

    /// Remove every document of a source; answers how many there were.
    pub async fn forget_source(&self, source: &str) -> Result<u64, StoreError> {
        let done = sqlx::query(include_str!("../../sql/knowledge_delete_source.sql"))
            .bind(source)
            .execute(&self.db.main)
            .await?;
        Ok(done.rows_affected())
    }
}

fn check(index: usize, doc: &Doc) -> Result<(), StoreError> {
    row::bounded(&format!("title of document {index}"), &doc.title, MAX_TITLE)?;
    row::bounded(&format!("source of document {index}"), &doc.source, MAX_SOURCE)?;
    row::at_most(&format!("body of document {index}"), &doc.body, MAX_BODY)?;
    row::at_most(&format!("url of document {index}"), doc.url.as_deref().unwrap_or(""), MAX_URL)?;
    if matches!(doc.source.as_str(), "all" | "memory" | "knowledge") {
        return Err(StoreError::invalid(format!(
            "source of document {index} is {:?}, which names a scope of the search: choose another name",
            doc.source
        )));
    }
    Ok(())
}
