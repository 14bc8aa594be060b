//! Tool `sql_query`.

use super::A2aUnified;
use super::changes::Before;
use super::library::Bounds;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError};

const BOUNDS: Bounds = Bounds { timeout: secs(10), max_rows: 1000, max_bytes: 4 << 20 };

/// Run one SQLite statement on this server's database: tables `memory` (key, value, category, created_at, updated_at),
/// `knowledge` (id, title, source, url, body, added_at), `tool_stats`, and tables of your own. Times are microseconds
/// since 1970. At most 1000 rows and 10 s. SELECT, VALUES, EXPLAIN and WITH that only reads need the right to read, all
/// else the right to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    /// One statement; `?` or `?1` stands for a parameter.
    query: String,
    /// Values of the parameters, in order.
    #[serde(default)]
    params: Vec<Scalar>,
}

/// A value: a string, a number, true, false or null.
#[derive(Debug, Deserialize, Serialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "a parameter must be a string, a number, true, false or null; pass others as JSON text"
)]
pub enum Scalar {
    Text(String),
    Integer(i64),
    Real(f64),
    Flag(bool),
    Null,
}

impl From<Scalar> for Value {
    fn from(scalar: Scalar) -> Self {
        match scalar {
            Scalar::Text(text) => text.into(),
            Scalar::Integer(number) => number.into(),
            Scalar::Real(number) => number.into(),
            Scalar::Flag(flag) => flag.into(),
            Scalar::Null => Value::Null,
        }
    }
}

/// What the statement answered.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Answered {
    query: String,
    /// Names of the columns; one that comes again gets a number, e.g. `id_2`.
    columns: Vec<String>,
    /// Rows by name of column. A blob is `{"$base64": ..., "bytes": n}`.
    results: Vec<Map<String, Value>>,
    count: usize,
    /// Whether rows are missing or cells are cut; LIMIT and OFFSET, or substr(), get at the rest.
    truncated: bool,
    /// Rows inserted, updated or deleted.
    rows_affected: u64,
    success: bool,
}

impl Tool for SqlQuery {
    type Server = A2aUnified;
    type Output = Answered;
    const SPEC: Spec = Spec::read("sql_query").up_to(Effect::Write).timeout(secs(15)).without_breaker();

    fn effect(&self) -> Effect {
        effect_of(&self.query)
    }

    async fn call(self, server: &A2aUnified, ctx: &Ctx) -> Result<Answered, ToolError> {
        let write = self.effect().min(ctx.effect) > Effect::Read;
        let params = self.params.into_iter().map(Value::from).collect();
        let before = if write { Some(Before::take(server, &self.query).await) } else { None };
        let rows = server.library.sql(&self.query, params, write, BOUNDS).await?;
        if let Some(before) = before {
            before.tell(server, ctx).await;
        }
        let columns = distinct(rows.columns);
        let results: Vec<Map<_, _>> =
            rows.rows.into_iter().map(|row| columns.iter().cloned().zip(row).collect()).collect();
        Ok(Answered {
            query: self.query,
            columns,
            count: results.len(),
            results,
            truncated: rows.truncated,
            rows_affected: rows.affected,
            success: true,
        })
    }
}

// A row as an object would lose all but one of the columns of the same name.
fn distinct(names: Vec<String>) -> Vec<String> {
    let mut seen: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        let mut unique = name.clone();
        let mut number = 2;
        while seen.contains(&unique) {
            unique = format!("{name}_{number}");
            number += 1;
        }
        seen.push(unique);
    }
    seen
}

// The effect as the statement's words tell it, without understanding it: what is not plainly reading counts as writing.
// A wrong "read" writes nothing, because it runs where nothing can be written.
fn effect_of(sql: &str) -> Effect {
    let mut words = Words { left: sql };
    let first = words.next().unwrap_or_default();
    let reads = match first.as_str() {
        "SELECT" | "VALUES" | "EXPLAIN" => true,
        "WITH" => !words.any(|word| matches!(word.as_str(), "INSERT" | "UPDATE" | "DELETE" | "REPLACE")),
        _ => false,
    };
    if reads { Effect::Read } else { Effect::Write }
}

// The bare words of a statement, upper case; comments, strings and quoted names are passed over. A statement that begins
// with anything but a word begins with an empty one.
struct Words<'a> {
    left: &'a str,
}

impl Words<'_> {
    // Go on behind `end`, which is looked for from byte `from` on; to the very end when it does not come.
    fn skip(&mut self, from: usize, end: &str) {
        let rest = self.left.get(from..).unwrap_or("");
        self.left = rest.find(end).and_then(|at| rest.get(at + end.len()..)).unwrap_or("");
    }
}

impl Iterator for Words<'_> {
    type Item = String;

    fn next(&mut self) -> Option<String> {
        loop {
            self.left = self.left.trim_start();
            let first = self.left.chars().next()?;
            match first {
                '-' if self.left.starts_with("--") => self.skip(2, "\n"),
                '/' if self.left.starts_with("/*") => self.skip(2, "*/"),
                // A doubled quote ends one string and begins the next: both are passed over.
                '\'' | '"' | '`' => self.skip(1, first.encode_utf8(&mut [0; 4])),
                '[' => self.skip(1, "]"),
                c if c.is_alphanumeric() || c == '_' => {
                    let end =
                        self.left.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(self.left.len());
                    let (word, left) = self.left.split_at(end);
                    self.left = left;
                    return Some(word.to_ascii_uppercase());
                }
                c => {
                    self.left = &self.left[c.len_utf8()..];
                    return Some(String::new());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, call_as, ctx, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let arguments = json!({"query": "SELECT ?", "params": ["a", 1, 1.5, true, null]});
        let read = call::<SqlQuery>(&server, arguments).await.unwrap();
        let row = json!({"query": "SELECT ?", "params": ["a", 1, 1.5, true, null], "write": false, "write_2": 1000});
        assert_eq!((&read["results"], &read["count"]), (&json!([row]), &json!(1)));
        assert_eq!(read["columns"], json!(["query", "params", "write", "write_2"]));
        let written = call::<SqlQuery>(&server, json!({"query": "DELETE FROM mine"})).await.unwrap();
        assert_eq!((&written["results"][0]["write"], &written["rows_affected"]), (&json!(true), &json!(1)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        let kind = async |arguments| refusal::<SqlQuery>(&server, arguments).await;
        assert_eq!(kind(json!({"query": "SELECT ?", "params": [{}]})).await, Kind::Invalid);
        assert_eq!(kind(json!({"query": "SELECT ?", "params": [[1]]})).await, Kind::Invalid);
        assert_eq!(kind(json!({"params": []})).await, Kind::Invalid);
        // Permitted to read only, it is run where only reading is possible, whatever its words are.
        let mut ctx = ctx();
        ctx.effect = Effect::Read;
        let run = call_as::<SqlQuery>(&server, &ctx, json!({"query": "DELETE FROM mine"})).await.unwrap();
        assert_eq!(run["results"][0]["write"], false);
    }

    #[test]
    fn only_what_plainly_reads_is_reading() {
        for sql in [
            "SELECT 1",
            "  select * from memory",
            "-- delete\nSELECT 1",
            "/* a */ /* b */ values (1)",
            "EXPLAIN DELETE FROM memory",
            "WITH n AS (SELECT 1) SELECT * FROM n WHERE a = 'it''s DELETE' -- update",
            "WITH \"insert\" AS (SELECT 1), [delete] AS (SELECT 2), `update` AS (SELECT 3) SELECT deleted FROM n",
            "SELECT replace(a, 'b', 'c') FROM memory",
        ] {
            assert_eq!(effect_of(sql), Effect::Read, "{sql}");
        }
        for sql in [
            "",
            ";SELECT 1",
            "(SELECT 1)",
            "INSERT INTO memory VALUES (1)",
            "WITH n AS (SELECT 1) INSERT INTO m SELECT * FROM n",
            "with n as (select 1)delete from m",
            "WITH n AS (SELECT '--') UPDATE m SET a = 1",
            "WITH n AS (SELECT 1) /* ' */ REPLACE INTO m SELECT 1",
            "PRAGMA table_info(memory)",
            "SELECTED",
            "CREATE TABLE t (a)",
            "'SELECT' DELETE",
            "/* never closed SELECT 1",
            "é",
        ] {
            assert_eq!(effect_of(sql), Effect::Write, "{sql}");
        }
    }
}
