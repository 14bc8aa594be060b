//! `ShelfLibrary`: the `a2a-unified` server's `Library` over the store's `Shelf`.
//!
//! Mounted with the server; the recorder of calls shares the same `Shelf`. Translates types and errors, and decides
//! nothing: bounds and rules are the tool's and the shelf's. Causes of a failing database are logged here, once.

use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use toolgate_core::ToolError;
use toolgate_store::{Doc, Memory as Kept, Scope, Shelf, SqlLimits, StoreError};
use toolgate_tools::a2a_unified::library::{
    Answer, Bounds, Document, ErrorCount, Hit, Library, LoggedError, Memories, Memory, Rows, ToolUsage, Usage,
};

/// The shelf, as the `a2a-unified` server sees it.
pub struct ShelfLibrary {
    shelf: Arc<Shelf>,
    file: String,
}

impl ShelfLibrary {
    /// `path` is where the shelf was opened; tools are told its last part.
    pub fn new(shelf: Arc<Shelf>, path: &Path) -> Self {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { shelf, file }
    }
}

fn refusal(error: StoreError) -> ToolError {
    let kind = error.kind();
    if let (true, Some(cause)) = (kind.is_fault(), std::error::Error::source(&error)) {
        tracing::warn!(%kind, cause, "the a2a-unified database failed");
    }
    ToolError::new(kind, error.message().to_owned())
}

fn memory(kept: Kept) -> Memory {
    Memory {
        key: kept.key,
        value: kept.value,
        category: kept.category,
        created_at: kept.created_at.to_string(),
        updated_at: kept.updated_at.to_string(),
    }
}

impl Library for ShelfLibrary {
    fn remember<'a>(&'a self, key: &'a str, value: &'a str, category: &'a str) -> Answer<'a, bool> {
        Box::pin(async move { self.shelf.remember(key, value, category).await.map_err(refusal) })
    }

    fn recall<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Memory>> {
        Box::pin(async move {
            let found = self.shelf.recall(Some(key), None, 1).await.map_err(refusal)?;
            Ok(found.items.into_iter().next().map(memory))
        })
    }

    fn memories<'a>(&'a self, category: Option<&'a str>, limit: u32) -> Answer<'a, Memories> {
        Box::pin(async move {
            let found = self.shelf.list(category, limit).await.map_err(refusal)?;
            Ok(Memories { items: found.items.into_iter().map(memory).collect(), truncated: found.truncated })
        })
    }

    fn keys<'a>(&'a self, beginning: &'a str, limit: u32) -> Answer<'a, Vec<String>> {
        Box::pin(async move { self.shelf.keys(beginning, limit).await.map_err(refusal) })
    }

    fn categories(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move { self.shelf.categories().await.map_err(refusal) })
    }

    fn search<'a>(&'a self, query: &'a str, source: &'a str, limit: u32) -> Answer<'a, Vec<Hit>> {
        Box::pin(async move {
            let hits = self.shelf.search(query, limit, &Scope::from(source)).await.map_err(refusal)?;
            let hit = |hit: toolgate_store::Hit| Hit {
                title: hit.title,
                relevance: hit.relevance,
                source: hit.source,
                snippet: hit.snippet,
                key: hit.key,
                category: hit.category,
                id: hit.id,
                url: hit.url,
                updated_at: hit.updated_at.to_string(),
            };
            Ok(hits.into_iter().map(hit).collect())
        })
    }

    fn sources(&self) -> Answer<'_, Vec<String>> {
        Box::pin(async move {
            let sources = self.shelf.sources().await.map_err(refusal)?;
            Ok(sources.into_iter().map(|s| s.source).collect())
        })
    }

    fn import(&self, documents: Vec<Document>) -> Answer<'_, Vec<i64>> {
        Box::pin(async move {
            let doc = |d: Document| Doc { title: d.title, source: d.source, url: d.url, body: d.body };
            let docs: Vec<Doc> = documents.into_iter().map(doc).collect();
            Ok(self.shelf.import(&docs).await.map_err(refusal)?.ids)
        })
    }

    fn titles(&self, limit: u32) -> Answer<'_, Vec<(i64, String)>> {
        Box::pin(async move { self.shelf.titles(limit).await.map_err(refusal) })
    }

    fn document(&self, id: i64) -> Answer<'_, Option<Document>> {
        Box::pin(async move {
            let found = self.shelf.document(id).await.map_err(refusal)?;
            Ok(found.map(|d| Document { title: d.title, body: d.body, source: d.source, url: d.url }))
        })
    }

    fn sql<'a>(
        &'a self,
        query: &'a str,
        params: Vec<Value>,
        write: bool,
        bounds: Bounds,
    ) -> Answer<'a, Rows> {
        Box::pin(async move {
            let Bounds { timeout, max_rows, max_bytes } = bounds;
            let limits = SqlLimits { timeout, max_rows, max_bytes };
            let rows = self.shelf.sql(query, &params, write, limits).await.map_err(refusal)?;
            Ok(Rows {
                columns: rows.columns,
                rows: rows.rows,
                truncated: rows.truncated,
                affected: rows.rows_affected,
            })
        })
    }

    fn error_stats(&self, hours: u32) -> Answer<'_, Vec<ErrorCount>> {
        Box::pin(async move {
            let counts = self.shelf.error_stats(hours).await.map_err(refusal)?;
            Ok(counts.into_iter().map(|c| ErrorCount { tool: c.tool, count: c.count }).collect())
        })
    }

    fn recent_errors<'a>(&'a self, caller: &'a str, limit: u32) -> Answer<'a, Vec<LoggedError>> {
        Box::pin(async move {
            let errors = self.shelf.recent_errors(caller, limit).await.map_err(refusal)?;
            let error = |e: toolgate_store::LoggedError| LoggedError {
                tool: e.tool,
                error: e.error,
                timestamp: e.timestamp.to_string(),
            };
            Ok(errors.into_iter().map(error).collect())
        })
    }

    fn usage(&self, hours: u32) -> Answer<'_, Usage> {
        Box::pin(async move {
            let usage = self.shelf.usage(hours).await.map_err(refusal)?;
            let tool = |t: toolgate_store::ToolUsage| ToolUsage {
                tool: t.tool,
                calls: t.calls,
                errors: t.errors,
                avg_latency_ms: t.avg_latency_ms,
                success_rate: t.success_rate,
                last_called: t.last_called.map(|at| at.to_string()),
            };
            Ok(Usage {
                since: usage.since.to_string(),
                tools: usage.tools.into_iter().map(tool).collect(),
                file: self.file.clone(),
                size: usage.database_bytes,
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use std::time::{Duration, Instant};
    use toolgate_core::id::CallId;
    use toolgate_core::server::Status;
    use toolgate_core::{Caller, Ctx, Kind, Mount};
    use toolgate_host::{Host, egress, exec, files, system};
    use toolgate_store::{Failure, SHELF_FILE, Tally};
    use toolgate_tools::a2a_unified::{A2aUnified, Sources};
    use toolgate_tools::insight::{CacheStats, Insight, ToolUse};

    struct Nothing;

    impl Insight for Nothing {
        fn uses(&self, _server: &str) -> Vec<ToolUse> {
            Vec::new()
        }
        fn cache(&self) -> CacheStats {
            CacheStats::default()
        }
        fn clear_cache(&self) -> usize {
            0
        }
        fn uptime(&self) -> f64 {
            0.0
        }
    }

    /// The server as it is mounted, on a new database in a directory of its own.
    struct House {
        mounted: Mount,
        shelf: Arc<Shelf>,
        _dir: tempfile::TempDir,
    }

    impl House {
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join(SHELF_FILE);
            let shelf = Arc::new(Shelf::open(&path).await.unwrap());
            let host = Host::new(
                egress::Http::new(egress::EgressRules::default()).unwrap(),
                exec::Exec::new(exec::ExecRules::default(), vec![], vec![], vec![]).unwrap(),
                files::Files::new(vec![], vec![]).unwrap(),
                system::System::new(),
            );
            let library = Arc::new(ShelfLibrary::new(shelf.clone(), &path));
            let server = A2aUnified::new(host, library, Arc::new(Nothing), Sources::public().unwrap());
            Self { mounted: Mount::of(server), shelf, _dir: dir }
        }

        /// Call a tool as the engine does: permitted is the effect that the call itself has.
        async fn call(&self, name: &str, arguments: Value) -> Result<Value, ToolError> {
            let tool = self.mounted.tools.iter().find(|tool| tool.spec().name == name).unwrap();
            let raw = toolgate_core::JsonText::of(&arguments).unwrap();
            let ready = tool.prepare(&raw).map_err(ToolError::invalid)?;
            let caller = Arc::new(Caller::new("key:a", "a", ["admin"]));
            let deadline = Instant::now() + Duration::from_secs(60);
            let ctx = Ctx::new(CallId::new(), caller, ready.effect(), deadline);
            let output = ready.run(&ctx).await?;
            Ok(serde_json::from_str(output.json.get()).unwrap())
        }
    }

    #[tokio::test]
    async fn what_is_remembered_is_recalled_listed_and_found() {
        let house = House::new().await;
        for (key, value) in
            [("deploy", "ask Zoë before friday"), ("lunch", "at noon"), ("deploy", "ask Zoë first")]
        {
            house.call("remember", json!({"key": key, "value": value, "category": "work"})).await.unwrap();
        }
        let one = house.call("recall", json!({"key": "deploy"})).await.unwrap();
        assert_eq!((&one["results"][0]["value"], &one["count"]), (&json!("ask Zoë first"), &json!(1)));
        let created = one["results"][0]["created_at"].as_str().unwrap();
        assert!(created.starts_with("20") && created.ends_with('Z'), "{created}");
        let all = house.call("list_memories", json!({"category": "work", "limit": 1})).await.unwrap();
        assert_eq!((&all["memories"][0]["key"], &all["truncated"]), (&json!("deploy"), &json!(true)));
        let found = house.call("search_knowledge", json!({"query": "zoe"})).await.unwrap();
        let hit = &found["results"][0];
        assert_eq!(
            (&hit["key"], &hit["source"], &hit["cached"]),
            (&json!("deploy"), &json!("memory"), &json!(false))
        );
        let gone = house.call("search_knowledge", json!({"query": "friday"})).await.unwrap();
        assert_eq!(gone["count"], 0, "what was replaced is not found");
        assert!(gone["hint"].as_str().unwrap().contains("import_knowledge"));
    }

    #[tokio::test]
    async fn what_is_imported_is_found() {
        let house = House::new().await;
        let documents = json!([
            {"title": "Circuit breaker", "body": "Opens after five faults.", "source": "handbook", "url": "https://example.org/cb"},
            {"title": "Lamps", "body": "A circuit of lamps.", "source": "blog"},
        ]);
        let done = house.call("import_knowledge", json!({"documents": documents})).await.unwrap();
        assert_eq!(done["imported"], 2);
        let found = house.call("search_knowledge", json!({"query": "circuit"})).await.unwrap();
        assert_eq!((&found["results"][0]["title"], &found["count"]), (&json!("Circuit breaker"), &json!(2)));
        assert_eq!(found["results"][0]["url"], "https://example.org/cb");
        let blog =
            house.call("search_knowledge", json!({"query": "circuit", "source": "blog"})).await.unwrap();
        assert_eq!((&blog["results"][0]["title"], &blog["count"]), (&json!("Lamps"), &json!(1)));
        let none =
            house.call("search_knowledge", json!({"query": "circuit", "source": "wiki"})).await.unwrap();
        assert_eq!(none["hint"], "there are no documents from \"wiki\", only from: blog, handbook");
        // The result names the number by which all of the document can be read.
        let arguments =
            json!({"query": "SELECT body FROM knowledge WHERE id = ?", "params": [blog["results"][0]["id"]]});
        let body = house.call("sql_query", arguments).await.unwrap();
        assert_eq!(body["results"], json!([{"body": "A circuit of lamps."}]));
    }

    #[tokio::test]
    async fn statements_run_with_the_effect_they_have() {
        let house = House::new().await;
        let sql = async |query: &str| house.call("sql_query", json!({"query": query})).await;
        sql("CREATE TABLE mine (id INTEGER PRIMARY KEY, name TEXT)").await.unwrap();
        let arguments = json!({"query": "INSERT INTO mine (name) VALUES (?), (?)", "params": ["a", null]});
        assert_eq!(house.call("sql_query", arguments).await.unwrap()["rows_affected"], 2);
        let rows = sql("-- all\nSELECT id, name, id FROM mine ORDER BY id").await.unwrap();
        assert_eq!(rows["results"][0], json!({"id": 1, "name": "a", "id_2": 1}));
        assert_eq!((&rows["count"], &rows["truncated"]), (&json!(2), &json!(false)));
        let many =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000) SELECT i FROM n";
        let rows = sql(many).await.unwrap();
        assert_eq!((&rows["count"], &rows["truncated"]), (&json!(1000), &json!(true)));
        assert_eq!(sql("SELEC 1").await.unwrap_err().kind, Kind::Invalid);
        assert_eq!(sql("SELECT 1; SELECT 2").await.unwrap_err().kind, Kind::Invalid);
        let several = sql("SELECT 1; DROP TABLE mine").await.unwrap_err();
        assert!(several.kind == Kind::Invalid && several.message.contains("one statement"), "{several}");
        assert_eq!(sql("SELECT * FROM error_log").await.unwrap_err().kind, Kind::Forbidden);
        assert_eq!(sql("DROP TABLE memory").await.unwrap_err().kind, Kind::Forbidden);
        assert_eq!(sql("ATTACH '/tmp/x' AS x").await.unwrap_err().kind, Kind::Forbidden);
        // Too slow is the statement's fault: nothing that a retry mends, and no sign of an ill database.
        let endless =
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n";
        let limits = SqlLimits { timeout: Duration::from_millis(50), ..SqlLimits::default() };
        let slow = refusal(house.shelf.sql(endless, &[], false, limits).await.unwrap_err());
        assert!(!slow.kind.retryable() && !slow.kind.is_fault(), "{slow}");
        assert!(slow.message.contains("narrow it, or use an index"), "{slow}");
        // The lexical look lets nothing write that it takes for reading: the connection is read-only.
        let write = house.shelf.sql("DELETE FROM mine", &[], false, SqlLimits::default()).await.unwrap_err();
        assert_eq!(write.kind(), Kind::Forbidden);
        assert_eq!(sql("SELECT count(*) AS n FROM mine").await.unwrap()["results"], json!([{"n": 2}]));
    }

    #[tokio::test]
    async fn callers_see_counts_of_all_and_errors_of_their_own() {
        let house = House::new().await;
        let at = jiff::Timestamp::now();
        let failure =
            |caller: &str, message: &str| Failure { caller: caller.into(), message: message.into(), at };
        let failures = vec![failure("key:a", "no such key"), failure("key:b", "theirs")];
        let latency = Duration::from_millis(12);
        let tally = Tally { tool: "recall".into(), calls: 3, failed: 2, latency, failures };
        house.shelf.record_calls(&[tally]).await.unwrap();
        let recent = house.call("get_recent_errors", json!({})).await.unwrap();
        assert_eq!((&recent["count"], &recent["errors"][0]["error"]), (&json!(1), &json!("no such key")));
        let stats = house.call("get_error_stats", json!({})).await.unwrap();
        assert_eq!(
            stats,
            json!({"errors": [{"tool": "recall", "count": 2}], "total_errors": 2, "hours": 24})
        );
        let usage = house.call("get_tool_usage_stats", json!({})).await.unwrap();
        assert_eq!(
            (&usage["usage"][0]["calls"], &usage["usage"][0]["avg_latency_ms"]),
            (&json!(3), &json!(4.0))
        );
        assert_eq!(usage["database"]["path"], SHELF_FILE);
        assert!(usage["database"]["size"].as_u64().unwrap() > 4096);
    }

    #[tokio::test]
    async fn a_closed_database_is_said() {
        let house = House::new().await;
        assert_eq!(house.mounted.health().await[0].status, Status::Healthy);
        house.shelf.close().await;
        assert_eq!(house.mounted.health().await[0].status, Status::Unhealthy);
        let error = house.call("remember", json!({"key": "k", "value": "v"})).await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable);
        assert!(error.message.contains("stopping"), "{error}");
    }
}
