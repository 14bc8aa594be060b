//! What this server's tests share: a `Library` in memory, and the server on it.

use super::library::{
    Answer, Bounds, Document, ErrorCount, Hit, Library, LoggedError, Memories, Memory, Rows, ToolUsage, Usage,
};
use super::{A2aUnified, Sources};
use serde_json::{Value, json};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use toolgate_core::ToolError;

const NOW: &str = "2026-01-02T03:04:05Z";

/// Keeps what it is given; runs no SQL but says what it was asked to run.
#[derive(Default)]
pub struct Shelf {
    memories: Mutex<Vec<Memory>>,
    documents: Mutex<Vec<Document>>,
    broken: AtomicBool,
}

impl Shelf {
    /// From now on every answer is an error.
    pub fn break_down(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }

    fn answer<T: Send + 'static>(&self, value: T) -> Answer<'_, T> {
        let broken = self.broken.load(Ordering::Relaxed);
        Box::pin(
            async move { if broken { Err(ToolError::unavailable("the disk failed")) } else { Ok(value) } },
        )
    }
}

impl Library for Shelf {
    fn remember<'a>(&'a self, key: &'a str, value: &'a str, category: &'a str) -> Answer<'a, bool> {
        let mut memories = self.memories.lock().unwrap();
        let new = !memories.iter().any(|m| m.key == key);
        memories.retain(|m| m.key != key);
        let (created_at, updated_at) = (NOW.to_owned(), NOW.to_owned());
        let (key, value, category) = (key.to_owned(), value.to_owned(), category.to_owned());
        memories.insert(0, Memory { key, value, category, created_at, updated_at });
        self.answer(new)
    }

    fn recall<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Memory>> {
        self.answer(self.memories.lock().unwrap().iter().find(|m| m.key == key).cloned())
    }

    fn memories<'a>(&'a self, category: Option<&'a str>, limit: u32) -> Answer<'a, Memories> {
        let mut items = self.memories.lock().unwrap().clone();
        items.retain(|m| category.is_none_or(|c| c == m.category));
        let truncated = items.len() > limit as usize;
        items.truncate(limit as usize);
        self.answer(Memories { items, truncated })
    }

    fn keys<'a>(&'a self, beginning: &'a str, limit: u32) -> Answer<'a, Vec<String>> {
        let memories = self.memories.lock().unwrap();
        let keys = memories.iter().map(|m| m.key.clone()).filter(|key| key.starts_with(beginning));
        self.answer(keys.take(limit as usize).collect())
    }

    fn categories(&self) -> Answer<'_, Vec<String>> {
        let mut categories: Vec<_> =
            self.memories.lock().unwrap().iter().map(|m| m.category.clone()).collect();
        categories.sort();
        categories.dedup();
        self.answer(categories)
    }

    fn search<'a>(&'a self, query: &'a str, source: &'a str, limit: u32) -> Answer<'a, Vec<Hit>> {
        let mut hits = Vec::new();
        for memory in &*self.memories.lock().unwrap() {
            if matches!(source, "all" | "memory") && memory.value.contains(query) {
                let Memory { key, value, category, updated_at, .. } = memory.clone();
                let (title, source, relevance) = (key.clone(), "memory".to_owned(), 1.0);
                let (key, category) = (Some(key), Some(category));
                let snippet = value;
                hits.push(Hit {
                    title,
                    relevance,
                    source,
                    snippet,
                    key,
                    category,
                    id: None,
                    url: None,
                    updated_at,
                });
            }
        }
        for (id, document) in (1..).zip(&*self.documents.lock().unwrap()) {
            let within = matches!(source, "all" | "knowledge") || source == document.source;
            if within && document.body.contains(query) {
                let Document { title, source, body, url } = document.clone();
                let (snippet, updated_at) = (body, NOW.to_owned());
                let hit = Hit {
                    title,
                    relevance: 1.0,
                    source,
                    snippet,
                    key: None,
                    category: None,
                    id: Some(id),
                    url,
                    updated_at,
                };
                hits.push(hit);
            }
        }
        hits.truncate(limit as usize);
        self.answer(hits)
    }

    fn sources(&self) -> Answer<'_, Vec<String>> {
        let mut sources: Vec<_> = self.documents.lock().unwrap().iter().map(|d| d.source.clone()).collect();
        sources.sort();
        sources.dedup();
        self.answer(sources)
    }

    fn import(&self, documents: Vec<Document>) -> Answer<'_, Vec<i64>> {
        let mut kept = self.documents.lock().unwrap();
        kept.extend(documents.iter().cloned());
        let last = kept.len() as i64;
        self.answer((last - documents.len() as i64 + 1..=last).collect())
    }

    fn titles(&self, limit: u32) -> Answer<'_, Vec<(i64, String)>> {
        let kept = self.documents.lock().unwrap();
        let titles = (1..).zip(kept.iter().map(|d| d.title.clone()));
        self.answer(titles.take(limit as usize).collect())
    }

    fn document(&self, id: i64) -> Answer<'_, Option<Document>> {
        let kept = self.documents.lock().unwrap();
        self.answer(usize::try_from(id - 1).ok().and_then(|at| kept.get(at).cloned()))
    }

    fn sql<'a>(
        &'a self,
        query: &'a str,
        params: Vec<Value>,
        write: bool,
        bounds: Bounds,
    ) -> Answer<'a, Rows> {
        let asked = vec![json!(query), json!(params), json!(write), json!(bounds.max_rows)];
        let columns = ["query", "params", "write", "write"].map(str::to_owned).to_vec();
        self.answer(Rows { columns, rows: vec![asked], truncated: false, affected: u64::from(write) })
    }

    fn error_stats(&self, hours: u32) -> Answer<'_, Vec<ErrorCount>> {
        let count = |tool: &str, count| ErrorCount { tool: tool.into(), count };
        self.answer(vec![count("recall", u64::from(hours)), count("remember", 1)])
    }

    fn recent_errors<'a>(&'a self, caller: &'a str, limit: u32) -> Answer<'a, Vec<LoggedError>> {
        let error = format!("{limit} errors of {caller}");
        self.answer(vec![LoggedError { tool: "recall".into(), error, timestamp: NOW.into() }])
    }

    fn usage(&self, hours: u32) -> Answer<'_, Usage> {
        let tool = ToolUsage {
            tool: "recall".into(),
            calls: u64::from(hours),
            errors: 0,
            avg_latency_ms: 1.5,
            success_rate: 1.0,
            last_called: Some(NOW.into()),
        };
        self.answer(Usage { since: NOW.into(), tools: vec![tool], file: "a2a-unified.db".into(), size: 4096 })
    }
}

/// The server, with both public services at `base`.
pub fn server_with(base: &str) -> (A2aUnified, Arc<Shelf>, tempfile::TempDir) {
    let (host, directory) = crate::testing::host();
    let library = Arc::new(Shelf::default());
    let sources = Sources { github: base.parse().unwrap(), stackexchange: base.parse().unwrap() };
    let server = A2aUnified::new(host, library.clone(), Arc::new(crate::testing::Quiet), sources);
    (server, library, directory)
}

pub fn server() -> (Arc<A2aUnified>, tempfile::TempDir) {
    let (server, _, directory) = server_with("http://127.0.0.1:1");
    (Arc::new(server), directory)
}
