//! `Meter`: the `performance_metric` event of the log (CATALOGUE 2.11), one line a minute for each server used.
//!
//! The engine shows it every record, beside the recorder; it adds up in memory and logs. Percentiles and every tool by
//! itself are on `/metrics`; this line is for those who have only the log.

use serde_json::json;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use toolgate_core::Record;

const EVERY: Duration = Duration::from_secs(60);

/// Adds up and logs.
#[derive(Default)]
pub struct Meter {
    waiting: Mutex<BTreeMap<Arc<str>, Sum>>,
}

#[derive(Debug, Default, PartialEq)]
struct Sum {
    calls: u64,
    errors: u64,
    duration_us: u64,
    longest_us: u64,
}

impl Meter {
    /// For the engine's observer.
    pub fn observe(&self, record: &Record) {
        // Without an effect the call never came as far as a tool, and the server may be any word of a caller's.
        let (Some(server), Some(_), Some(outcome)) = (&record.server, record.effect, &record.outcome) else {
            return;
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let sum = waiting.entry(server.clone()).or_default();
        sum.calls += 1;
        sum.errors += u64::from(outcome != "ok");
        sum.duration_us += record.duration_us;
        sum.longest_us = sum.longest_us.max(record.duration_us);
    }

    /// Log what has come together.
    pub fn flush(&self) {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        for (server, sum) in taken {
            let tags = json!({
                "server": &*server, "calls": sum.calls, "errors": sum.errors,
                "longest_ms": millis(sum.longest_us as f64),
            });
            tracing::info!(
                target: "performance_metric",
                metric_name = "mcp_tool_execution_time",
                value = millis(sum.duration_us as f64 / sum.calls.max(1) as f64),
                unit = "ms",
                tags = tags.to_string().as_str(),
            );
        }
    }

    /// Log every minute for as long as anybody else holds the meter.
    pub fn keep_logging(self: &Arc<Self>) {
        let meter = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut minute = tokio::time::interval(EVERY);
            loop {
                minute.tick().await;
                let Some(meter) = meter.upgrade() else { return };
                meter.flush();
            }
        });
    }
}

// Three decimals.
fn millis(microseconds: f64) -> f64 {
    microseconds.round() / 1000.0
}
