//! `Recorder`: keeps the statistics that `a2a-unified` reports (calls and errors of its tools, across restarts), and when
//! each key was last used.
//!
//! The engine shows it every answer record; it adds up in memory and writes once a second (a key's use once a minute),
//! so that a call costs a short lock and no database. What a crash takes is at most that; the journal has it all.

use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::{Record, Server};
use toolgate_store::{Failure, Shelf, Store, Tally};
use toolgate_tools::a2a_unified::A2aUnified;

/// Failures of one tool kept from one second.
const MAX_FAILURES: usize = 100;

/// How often the use of one key is written: other processes read the keys again after each such write.
const USE_EVERY: Duration = Duration::from_secs(60);

/// When a key was last used, and what was last written of that, and when.
struct Use {
    last: Timestamp,
    kept: Option<(Timestamp, Instant)>,
}

impl Use {
    fn is_due(&self, last_chance: bool) -> bool {
        self.kept.is_none_or(|(at, when)| at < self.last && (last_chance || when.elapsed() >= USE_EVERY))
    }
}

/// Adds up and writes.
pub struct Recorder {
    shelf: Arc<Shelf>,
    store: Arc<Store>,
    /// By a key's id; as many as there are keys.
    uses: Mutex<BTreeMap<String, Use>>,
    waiting: Mutex<BTreeMap<Arc<str>, Tally>>,
}

impl Recorder {
    pub fn new(shelf: Arc<Shelf>, store: Arc<Store>) -> Arc<Self> {
        Arc::new(Self { shelf, store, uses: Mutex::default(), waiting: Mutex::default() })
    }

    /// For the engine's observer.
    pub fn observe(&self, record: &Record) {
        if let Some(key) = record.caller.strip_prefix("key:") {
            self.used(key, Timestamp::now());
        }
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

    fn used(&self, key: &str, now: Timestamp) {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        match uses.get_mut(key) {
            Some(known) => known.last = now,
            None => {
                uses.insert(key.to_owned(), Use { last: now, kept: None });
            }
        }
    }

    /// Write what is waiting; with `last_chance` also the uses of keys that are not due yet.
    pub async fn flush(&self, last_chance: bool) {
        self.flush_calls().await;
        let due: Vec<(String, Timestamp)> = {
            let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            let due = uses.iter().filter(|(_, used)| used.is_due(last_chance));
            due.map(|(key, used)| (key.clone(), used.last)).collect()
        };
        for (key, at) in due {
            if let Err(problem) = self.store.touch_key(&key, at).await {
                tracing::warn!(target: "error", error_type = "store", error_message = %problem, context = "use of a key");
            }
            // A failed write is tried again in a minute, not every second.
            let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(used) = uses.get_mut(&key) {
                used.kept = Some((at, Instant::now()));
            }
        }
    }

    async fn flush_calls(&self) {
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
                recorder.flush(false).await;
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_use_is_written_at_once_then_once_a_minute_and_at_the_end() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let ago = |seconds| Instant::now().checked_sub(Duration::from_secs(seconds)).unwrap();
        assert!(Use { last: at(1), kept: None }.is_due(false));
        assert!(!Use { last: at(2), kept: Some((at(1), ago(1))) }.is_due(false));
        assert!(Use { last: at(2), kept: Some((at(1), ago(61))) }.is_due(false));
        assert!(Use { last: at(2), kept: Some((at(1), ago(1))) }.is_due(true));
        assert!(!Use { last: at(1), kept: Some((at(1), ago(61))) }.is_due(true), "nothing new");
    }
}
