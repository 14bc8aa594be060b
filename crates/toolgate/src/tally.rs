//! `Recorder`: keeps the statistics that `a2a-unified` reports (calls and errors of its tools, across restarts).
//!
//! The engine shows it every answer record; it adds up in memory and writes once a second, so that a call costs one
//! short lock and no database. What a crash takes is at most the last second of statistics; the journal has it all.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use toolgate_core::{Record, Server};
use toolgate_store::{Failure, Shelf, Tally};
use toolgate_tools::a2a_unified::A2aUnified;

/// Failures of one tool kept from one second.
const MAX_FAILURES: usize = 100;

/// Adds up and writes.
pub struct Recorder {
    shelf: Arc<Shelf>,
    waiting: Mutex<BTreeMap<Arc<str>, Tally>>,
}

impl Recorder {
    pub fn new(shelf: Arc<Shelf>) -> Arc<Self> {
        Arc::new(Self { shelf, waiting: Mutex::default() })
    }

    /// For the engine's observer.
    pub fn observe(&self, record: &Record) {
        // Without an effect the call never came as far as a tool.
        if record.server.as_deref() != Some(A2aUnified::NAME) || record.effect.is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let tally = waiting.entry(record.tool.clone()).or_default();
        tally.calls += 1;
        tally.latency += Duration::from_micros(record.duration_us);
        if record.outcome.as_deref() != Some("ok") {
            tally.failed += 1;
            if tally.failures.len() < MAX_FAILURES {
                let message = record.message.clone().unwrap_or_default();
                let at = record.time.parse().unwrap_or_else(|_| jiff::Timestamp::now());
                tally.failures.push(Failure { caller: record.caller.to_string(), message, at });
            }
        }
    }

    /// Write what is waiting.
    pub async fn flush(&self) {
        let taken = std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner));
        if taken.is_empty() {
            return;
        }
        let tallies: Vec<Tally> =
            taken.into_iter().map(|(tool, tally)| Tally { tool: tool.to_string(), ..tally }).collect();
        if let Err(problem) = self.shelf.record_calls(&tallies).await {
            tracing::warn!(target: "error", error_type = "store", error_message = %problem, context = "statistics of calls");
        }
    }

    /// Write every second for as long as anybody else holds the recorder.
    pub fn keep_writing(self: &Arc<Self>) {
        let recorder = Arc::downgrade(self);
        tokio::spawn(async move {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            loop {
                second.tick().await;
                let Some(recorder) = recorder.upgrade() else { return };
                recorder.flush().await;
            }
        });
    }
}
