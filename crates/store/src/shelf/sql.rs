//! Running one statement that a model wrote, bounded in time, rows and bytes.
//!
//! Reading runs on a connection opened read-only, writing on another; both behind `guard`, both used for nothing else.
//! A statement is compiled under the guard first (which says in words why it is refused), then run by sqlx.

use super::Shelf;
use super::guard::{self, Compiled, Mode, Refusal};
use crate::{StoreError, error};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::TryStreamExt as _;
use serde::Serialize;
use serde_json::{Map, Value, json};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{Sqlite, SqliteArguments, SqliteConnectOptions, SqlitePool, SqlitePoolOptions, SqliteRow};
use sqlx::{AssertSqlSafe, Column as _, Either, Row as _, TypeInfo as _, ValueRef as _};
use std::time::{Duration, Instant};
use toolgate_core::Kind;

const MAX_PARAMS: usize = 1000;
const MAX_PARAM: usize = 1 << 20;
// Longest cell shown; a longer one is cut and says so.
const MAX_CELL: usize = 256 << 10;
const MAX_BLOB: usize = 64 << 10;
// Virtual machine instructions between two looks at the clock.
const TICK: i32 = 1000;
// Pages of 4 KiB that writing may fill: 960 MiB, so that the server itself has room left to work.
const MAX_PAGES: &str = "245760";
const IDLE: Duration = Duration::from_secs(30);
// Waiting for a lock is not counted by SQLite's clock of instructions; it gets this long beyond the timeout.
const GRACE: Duration = Duration::from_secs(2);

/// Bounds of one statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// At most 60 s.
    pub timeout: Duration,
    /// At most 10,000.
    pub max_rows: usize,
    /// Size of the rows as JSON, about; at most 8 MiB.
    pub max_bytes: usize,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { timeout: Duration::from_secs(5), max_rows: 1000, max_bytes: 1 << 20 }
    }
}

/// What a statement answered. A cell is null, a number, a string, or for a blob `{"$base64": ..., "bytes": n}`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Value>>,
    /// Rows are missing or cells are cut.
    pub truncated: bool,
    /// Rows inserted, updated or deleted.
    pub rows_affected: u64,
    #[serde(skip)]
    pub duration: Duration,
}

impl Rows {
    /// The rows as objects. Of columns with the same name the last one stays.
    pub fn objects(&self) -> Vec<Map<String, Value>> {
        let object = |row: &Vec<Value>| self.columns.iter().cloned().zip(row.iter().cloned()).collect();
        self.rows.iter().map(object).collect()
    }
}

/// The pool for reading or for writing. Opens nothing before the first statement.
pub(super) fn pool(options: SqliteConnectOptions, write: bool) -> SqlitePool {
    let options = options.busy_timeout(Duration::from_secs(1)).row_buffer_size(1).statement_cache_capacity(0);
    let options = if write {
        // REPLACE runs delete triggers only so; the full-text index needs them.
        options.pragma("recursive_triggers", "ON").pragma("max_page_count", MAX_PAGES)
    } else {
        options.read_only(true).pragma("query_only", "ON")
    };
    SqlitePoolOptions::new()
        .max_connections(if write { 1 } else { 2 })
        .acquire_timeout(Duration::from_secs(10))
        .idle_timeout(IDLE)
        .max_lifetime(None)
        .test_before_acquire(false)
        .connect_lazy_with(options)
}

impl Shelf {
    /// Run one statement. `params` are null, booleans, numbers or strings. With `write` false anything but reading is
    /// refused. A row that changes is changed also when not all rows of the answer are shown. A call that is dropped
    /// goes on until it ends or its time is up.
    ///
    /// Errors: `Invalid` with SQLite's message, `Forbidden` for what the guard refuses, `Conflict` for a broken
    /// constraint, `TooLarge` (a statement that took too long among them), `Timeout` when the database did not answer,
    /// and those of a failing database.
    pub async fn sql(
        &self,
        query: &str,
        params: &[Value],
        write: bool,
        limits: SqlLimits,
    ) -> Result<Rows, StoreError> {
        check(query, params)?;
        let timeout = limits.timeout.clamp(Duration::from_millis(1), Duration::from_secs(60));
        let (pool, mode) = if write { (&self.write, Mode::Write) } else { (&self.read, Mode::Read) };
        let work = async {
            let conn = pool.acquire().await?;
            let started = Instant::now();
            let (conn, compiled) =
                compile(conn, mode, query.to_owned(), params.len(), started + timeout).await?;
            let compiled = compiled.map_err(|refusal| refused(refusal, params.len()))?;
            let mut rows = run(conn, compiled, query, params, limits).await?;
            rows.duration = started.elapsed();
            Ok::<_, StoreError>(rows)
        };
        // Twice: SQLite stops itself at the deadline; this covers waiting for a connection and for locks.
        match tokio::time::timeout(timeout + GRACE, work).await {
            Ok(Err(error)) if error.kind() == Kind::Timeout => Err(too_slow(timeout).because(error)),
            Ok(done) => done,
            Err(elapsed) => {
                let text = "the database did not answer in time; whether the statement took effect is not known: try \
                            again later, with a simpler statement";
                Err(StoreError::new(Kind::Timeout, text).because(elapsed))
            }
        }
    }
}

fn check(query: &str, params: &[Value]) -> Result<(), StoreError> {
    crate::row::at_most("the statement", query, guard::MAX_SQL)?;
    if query.contains('\0') {
        return Err(StoreError::invalid("the statement holds a NUL character"));
    }
    if params.len() > MAX_PARAMS {
        return Err(StoreError::invalid(format!("at most {MAX_PARAMS} parameters are allowed")));
    }
    for (index, param) in params.iter().enumerate() {
        match param {
            Value::Array(_) | Value::Object(_) => {
                return Err(StoreError::invalid(format!(
                    "parameter {} is a list or an object: pass it as JSON text",
                    index + 1
                )));
            }
            Value::String(text) => {
                crate::row::at_most(&format!("parameter {}", index + 1), text, MAX_PARAM)?;
            }
            _ => {}
        }
    }
    Ok(())
}

// Compiling may wait for a lock or read the file: not on an async thread.
async fn compile(
    mut conn: PoolConnection<Sqlite>,
    mode: Mode,
    query: String,
    params: usize,
    deadline: Instant,
) -> Result<(PoolConnection<Sqlite>, Result<Compiled, Refusal>), StoreError> {
    let runtime = tokio::runtime::Handle::current();
    let work = move || {
        let compiled = {
            let mut handle = runtime.block_on(conn.lock_handle())?;
            handle.set_progress_handler(TICK, move || Instant::now() < deadline);
            guard::compile(&mut handle, mode, &query, params)
        };
        Ok((conn, compiled))
    };
    tokio::task::spawn_blocking(work).await.map_err(StoreError::internal)?
}

async fn run(
    mut conn: PoolConnection<Sqlite>,
    compiled: Compiled,
    query: &str,
    params: &[Value],
    limits: SqlLimits,
) -> Result<Rows, StoreError> {
    let max_rows = limits.max_rows.clamp(1, 10_000);
    let max_bytes = limits.max_bytes.clamp(1024, 8 << 20);
    let mut answer = Rows {
        columns: Vec::new(),
        rows: Vec::new(),
        truncated: false,
        rows_affected: 0,
        duration: Duration::ZERO,
    };
    let mut left = max_bytes;
    // The statement is the point here: the guard, not its text, makes it safe to run.
    let bound = bind(params)?;
    let statement = sqlx::query_with(AssertSqlSafe(query.to_owned()), bound).persistent(false);
    {
        let mut stream = sqlx::Executor::fetch_many(&mut *conn, statement);
        while let Some(item) = stream.try_next().await.map_err(failed)? {
            let row = match item {
                Either::Left(done) => {
                    answer.rows_affected = if compiled.changes_rows { done.rows_affected() } else { 0 };
                    continue;
                }
                Either::Right(row) => row,
            };
            if answer.columns.is_empty() {
                answer.columns = row.columns().iter().map(|column| column.name().to_owned()).collect();
            }
            if answer.truncated && left == 0 {
                continue;
            }
            let (cells, size, cut) = cells(&row, max_bytes / 2)?;
            answer.truncated |= cut;
            if answer.rows.len() == max_rows || size > left {
                answer.truncated = true;
                left = 0;
                // A statement that writes is let run to its end: only then it is whole.
                if compiled.changes_rows {
                    continue;
                }
                break;
            }
            left -= size;
            answer.rows.push(cells);
        }
    }
    if answer.columns.is_empty() {
        answer.columns = columns(&mut conn, query).await;
    }
    Ok(answer)
}

// Names of the columns of an answer without rows.
async fn columns(conn: &mut PoolConnection<Sqlite>, query: &str) -> Vec<String> {
    use sqlx::{Executor as _, SqlSafeStr as _, Statement as _};
    match conn.prepare(AssertSqlSafe(query.to_owned()).into_sql_str()).await {
        Ok(statement) => statement.columns().iter().map(|column| column.name().to_owned()).collect(),
        Err(_) => Vec::new(),
    }
}

fn bind(params: &[Value]) -> Result<SqliteArguments, StoreError> {
    use sqlx::Arguments as _;
    let mut arguments = SqliteArguments::default();
    for param in params {
        let added = match param {
            Value::Bool(flag) => arguments.add(*flag),
            Value::Number(number) => match number.as_i64() {
                Some(integer) => arguments.add(integer),
                None => arguments.add(number.as_f64()),
            },
            Value::String(text) => arguments.add(text.clone()),
            _ => arguments.add(None::<i64>),
        };
        added.map_err(StoreError::internal)?;
    }
    Ok(arguments)
}

// The cells of a row, their size as JSON, and whether one was cut.
fn cells(row: &SqliteRow, max_cell: usize) -> Result<(Vec<Value>, usize, bool), StoreError> {
    let (mut cells, mut size, mut any_cut) = (Vec::with_capacity(row.len()), 2, false);
    for column in 0..row.len() {
        let raw = row.try_get_raw(column)?;
        let kind = raw.type_info().name().to_owned();
        let (value, length, cut) = if raw.is_null() {
            (Value::Null, 4, false)
        } else {
            match kind.as_str() {
                "INTEGER" => (row.try_get_unchecked::<i64, _>(column)?.into(), 20, false),
                "REAL" => (real(row.try_get_unchecked::<f64, _>(column)?), 24, false),
                "TEXT" => show_text(row.try_get_unchecked::<&[u8], _>(column)?, max_cell.min(MAX_CELL)),
                _ => show_blob(row.try_get_unchecked::<&[u8], _>(column)?, (max_cell / 2).min(MAX_BLOB)),
            }
        };
        size += length + 1;
        any_cut |= cut;
        cells.push(value);
    }
    Ok((cells, size, any_cut))
}

fn real(number: f64) -> Value {
    serde_json::Number::from_f64(number).map_or_else(|| Value::String(number.to_string()), Value::Number)
}

fn show_text(bytes: &[u8], max: usize) -> (Value, usize, bool) {
    let cut = bytes.len() > max;
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(max)]).into_owned();
    if cut {
        // The cut may have split a character.
        while text.ends_with(char::REPLACEMENT_CHARACTER) {
            text.pop();
        }
        text.push_str(&format!("… ({} bytes in all)", bytes.len()));
    }
    let length = text.len() + 2;
    (Value::String(text), length, cut)
}

fn show_blob(bytes: &[u8], max: usize) -> (Value, usize, bool) {
    let shown = STANDARD.encode(&bytes[..bytes.len().min(max)]);
    let length = shown.len() + 32;
    (json!({ "$base64": shown, "bytes": bytes.len() }), length, bytes.len() > max)
}

fn too_slow(timeout: Duration) -> StoreError {
    let text = format!(
        "the statement took longer than {} ms and was stopped; nothing was changed: narrow it, or use an index",
        timeout.as_millis()
    );
    // Not `Timeout`: the database is well, and the same statement again would take as long.
    StoreError::new(Kind::TooLarge, text)
}

fn refused(refusal: Refusal, given: usize) -> StoreError {
    match refusal {
        Refusal::Denied(why) => StoreError::new(Kind::Forbidden, why),
        Refusal::Empty => StoreError::invalid("the statement is empty"),
        Refusal::Several => {
            StoreError::invalid("one statement at a time: there are several; make a call for each")
        }
        Refusal::Params { wanted } => {
            StoreError::invalid(format!("the statement has {wanted} parameters, {given} values were given"))
        }
        Refusal::Sqlite(code, text) => named(code, &text),
    }
}

fn failed(error: sqlx::Error) -> StoreError {
    let text = match &error {
        sqlx::Error::Database(inner) => inner.message().to_owned(),
        _ => return error.into(),
    };
    match error::code(&error) {
        Some(code) if is_users(code) => named(code, &text).because(error),
        _ => error.into(),
    }
}

// Whether a result code is about the statement and not about the database.
fn is_users(code: i32) -> bool {
    use error::{AUTH, CONSTRAINT, ERROR, INTERRUPT, MISMATCH, NOMEM, RANGE, READONLY, TOOBIG};
    matches!(code, ERROR | AUTH | CONSTRAINT | INTERRUPT | MISMATCH | NOMEM | RANGE | READONLY | TOOBIG)
}

fn named(code: i32, text: &str) -> StoreError {
    match code {
        error::INTERRUPT => StoreError::new(Kind::Timeout, "the statement was stopped"),
        error::CONSTRAINT => StoreError::new(Kind::Conflict, format!("refused by a constraint: {text}")),
        error::AUTH => StoreError::new(Kind::Forbidden, format!("not allowed: {text}")),
        error::READONLY => {
            StoreError::new(Kind::Forbidden, "only reading was asked for, or the file is read-only")
        }
        error::TOOBIG => StoreError::new(Kind::TooLarge, format!("too large: {text}")),
        error::NOMEM => {
            StoreError::new(Kind::TooLarge, "the statement is too large to be compiled or run: simplify it")
        }
        _ => StoreError::invalid(format!("SQL error: {text}")),
    }
}
