//! How often the server's tools were called, how long they took, and what went wrong.
//!
//! Counted per tool and per tool and hour; errors are kept for 30 days, the last 10,000 of them.

use super::{Shelf, limit};
use crate::{StoreError, row};
use jiff::Timestamp;
use serde::Serialize;
use std::time::Duration;

const KEEP_ERRORS: i64 = 10_000;
const KEEP_HOURS: i64 = 30 * 24;
const HOUR: i64 = 3_600_000_000;
const MAX_TOOL: usize = 128;
const MAX_CALLER: usize = 256;
const MAX_MESSAGE: usize = 2048;

/// Calls of one tool since the last time they were recorded.
#[derive(Debug, Clone, Default)]
pub struct Tally {
    /// At most 128 bytes.
    pub tool: String,
    pub calls: u64,
    pub failed: u64,
    /// Of all calls together.
    pub latency: Duration,
    /// Those of the failures that are to be kept.
    pub failures: Vec<Failure>,
}

/// A call that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The caller's stable id, at most 256 bytes; empty when not known.
    pub caller: String,
    /// Kept up to its first 2 KiB.
    pub message: String,
    /// When it failed.
    pub at: Timestamp,
}

/// Errors of one tool.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    pub tool: String,
    pub count: u64,
}

/// One error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LoggedError {
    pub tool: String,
    pub error: String,
    pub timestamp: Timestamp,
}

/// Calls of one tool.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ToolUsage {
    pub tool: String,
    pub calls: u64,
    pub errors: u64,
    pub avg_latency_ms: f64,
    /// 0 to 1.
    pub success_rate: f64,
    pub last_called: Option<Timestamp>,
}

/// Calls of a span of time.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Usage {
    /// Start of the first hour counted: hours are counted whole.
    pub since: Timestamp,
    pub tools: Vec<ToolUsage>,
    /// Size of the database on disk.
    pub database_bytes: u64,
}

impl Shelf {
    /// Count calls, in one transaction.
    pub async fn record_calls(&self, tallies: &[Tally]) -> Result<(), StoreError> {
        let now = row::now();
        let mut tx = self.db.main.begin_with("BEGIN IMMEDIATE").await?;
        for tally in tallies {
            row::bounded("tool", &tally.tool, MAX_TOOL)?;
            let count = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
            let latency = i64::try_from(tally.latency.as_micros()).unwrap_or(i64::MAX);
            sqlx::query(include_str!("../../sql/stats_total.sql"))
                .bind(&tally.tool)
                .bind(count(tally.calls))
                .bind(count(tally.failed))
                .bind(latency)
                .bind(now)
                .execute(&mut *tx)
                .await?;
            sqlx::query(include_str!("../../sql/stats_hour.sql"))
                .bind(now / HOUR)
                .bind(&tally.tool)
                .bind(count(tally.calls))
                .bind(count(tally.failed))
                .bind(latency)
                .execute(&mut *tx)
                .await?;
            for failure in &tally.failures {
                row::at_most("caller", &failure.caller, MAX_CALLER)?;
                sqlx::query(include_str!("../../sql/errors_insert.sql"))
                    .bind(&tally.tool)
                    .bind(head(&failure.message, MAX_MESSAGE))
                    .bind(failure.at.as_microsecond())
                    .bind(&failure.caller)
                    .execute(&mut *tx)
                    .await?;
            }
        }
        sqlx::query(include_str!("../../sql/stats_hour_trim.sql"))
            .bind(now / HOUR - KEEP_HOURS)
            .execute(&mut *tx)
            .await?;
        sqlx::query(include_str!("../../sql/errors_trim.sql"))
            .bind(KEEP_ERRORS)
            .bind(now - KEEP_HOURS * HOUR)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(())
    }

    /// Errors per tool in the last `hours` (1 to 720), most first.
    pub async fn error_stats(&self, hours: u32) -> Result<Vec<ErrorCount>, StoreError> {
        let since = row::now() - span(hours) * HOUR;
        let rows = sqlx::query(include_str!("../../sql/errors_stats.sql"))
            .bind(since)
            .fetch_all(&self.db.side)
            .await?;
        rows.iter()
            .map(|row| Ok(ErrorCount { tool: row::text(row, 0)?, count: row::int(row, 1)?.max(0) as u64 }))
            .collect()
    }

    /// The last errors of calls by `caller`, newest first. `limit` is 1 to 1000.
    pub async fn recent_errors(&self, caller: &str, limit: u32) -> Result<Vec<LoggedError>, StoreError> {
        let rows = sqlx::query(include_str!("../../sql/errors_recent.sql"))
            .bind(caller)
            .bind(self::limit(limit))
            .fetch_all(&self.db.side)
            .await?;
        rows.iter()
            .map(|row| {
                Ok(LoggedError {
                    tool: row::text(row, 0)?,
                    error: row::text(row, 1)?,
                    timestamp: row::time(row, 2)?,
                })
            })
            .collect()
    }

    /// Calls per tool in the last `hours` (1 to 720), most called first.
    pub async fn usage(&self, hours: u32) -> Result<Usage, StoreError> {
        let from = row::now() / HOUR - span(hours);
        let rows = sqlx::query(include_str!("../../sql/stats_usage.sql"))
            .bind(from)
            .fetch_all(&self.db.side)
            .await?;
        let tools = rows
            .iter()
            .map(|row| {
                let (calls, errors) = (row::int(row, 1)?.max(1), row::int(row, 2)?.max(0));
                Ok(ToolUsage {
                    tool: row::text(row, 0)?,
                    calls: calls as u64,
                    errors: errors as u64,
                    avg_latency_ms: row::int(row, 3)? as f64 / calls as f64 / 1000.0,
                    success_rate: 1.0 - errors as f64 / calls as f64,
                    last_called: row::time_opt(row, 4)?,
                })
            })
            .collect::<Result<_, StoreError>>()?;
        Ok(Usage {
            since: Timestamp::from_microsecond(from * HOUR).unwrap_or(Timestamp::UNIX_EPOCH),
            tools,
            database_bytes: self.db.size().await?,
        })
    }
}

fn span(hours: u32) -> i64 {
    i64::from(hours).clamp(1, KEEP_HOURS)
}

// The first `max` bytes, cut between characters.
fn head(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}
