//! `Trail`: the obligation to leave exactly one answer record for a call.
//!
//! Begun when a call arrives; settled once, with what came of it. A trail that is dropped unsettled (the caller went
//! away, the task was dropped) records that the call was cancelled. Metrics and the log line come from here too, so a
//! call is never counted without being recorded.

use crate::Inner;
use crate::catalogue::Entry;
use crate::journal::now;
use crate::settings::JournalFailure;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use toolgate_core::record::{Decision, Phase};
use toolgate_core::redact::{self, shortened};
use toolgate_core::{Call, Effect, Error, Kind, Outcome, Record};

// Longest name asked for that a record keeps, in bytes.
const MAX_NAME: usize = 128;
// Longest text about itself that a record keeps of a client.
const MAX_CLIENT: usize = 256;
// Longest text of a refusal that a record keeps. It may echo arguments, and no caller may make a record too large to be
// written: a call would leave none.
pub(crate) const MAX_MESSAGE: usize = 2048;

pub(crate) struct Trail {
    inner: Arc<Inner>,
    /// What is known of the call so far; becomes the record.
    record: Record,
    entry: Option<Arc<Entry>>,
    arrived: Instant,
    /// When the tool began to run.
    pub ran_from: Option<Instant>,
    params: usize,
    settled: bool,
}

/// What came of a call, as its record tells it.
pub(crate) type Answer = Result<Outcome, Error>;

impl Trail {
    pub fn begin(inner: Arc<Inner>, call: &Call) -> Self {
        // In one order with `draining`: a call that `drain` does not count sees that the gateway drains.
        inner.active.fetch_add(1, Ordering::SeqCst);
        let name = &call.tool[..call.tool.floor_char_boundary(MAX_NAME)];
        let record = Record {
            id: call.id.to_string(),
            phase: Phase::Answer,
            time: String::new(),
            caller: call.caller.id.clone(),
            caller_name: call.caller.name.clone(),
            roles: call.caller.roles.clone(),
            client: call
                .client
                .as_ref()
                .map(|c| shortened(format!("{} {}", c.name, c.version).trim(), MAX_CLIENT)),
            server: call.scope.as_ref().map(|s| s.as_str().into()),
            tool: name.into(),
            effect: None,
            args_digest: None,
            args: None,
            decision: Decision::Deny,
            rule: "ended before a decision".into(),
            outcome: None,
            message: None,
            cached: false,
            duration_us: 0,
            bytes: 0,
            trace_id: call.trace.as_ref().map(|t| t.trace_id().to_owned()),
        };
        Self {
            inner,
            record,
            entry: None,
            arrived: Instant::now(),
            ran_from: None,
            params: 0,
            settled: false,
        }
    }

    /// The tool is known now.
    pub fn tool(&mut self, entry: &Arc<Entry>) {
        self.record.server = Some(entry.server_label.clone());
        self.record.tool = entry.tool.clone();
        self.entry = Some(entry.clone());
    }

    pub fn arguments(&mut self, digest: &[u8; 32], shown: serde_json::Value) {
        self.params = shown.as_object().map_or(0, serde_json::Map::len);
        self.record.args_digest = Some(format!("sha256:{}", toolgate_core::canon::hex(digest)));
        self.record.args = Some(shown);
    }

    pub fn decided(&mut self, decision: Decision, rule: Arc<str>, effect: Option<Effect>) {
        self.record.decision = decision;
        self.record.rule = rule;
        self.record.effect = effect.or(self.record.effect);
    }

    pub fn cached(&mut self) {
        self.record.cached = true;
    }

    /// Record that a call which changes something is about to run; on disk before this returns.
    pub async fn intent(&mut self) -> Result<(), Error> {
        let mut intent = self.record.clone();
        intent.phase = Phase::Intent;
        intent.time = now();
        intent.duration_us = micros(self.arrived.elapsed());
        let written = match self.inner.journal.append(&intent) {
            Ok(position) => {
                // The answer has the same id and digest; the arguments need not be kept twice.
                self.record.args = None;
                self.inner.journal.durable(position).await
            }
            Err(error) => Err(error),
        };
        self.inner.on_failure(written, "the call was not run, because its intent could not be journaled")
    }

    /// Leave the record; the answer may leave once this returns `Ok`.
    pub async fn settle(mut self, answer: Answer) -> Answer {
        let position = self.write(&answer);
        let durable = self.record.effect.is_some_and(|e| e > Effect::Read) && self.ran_from.is_some();
        let written = match position {
            Ok(position) if durable => self.inner.journal.durable(position).await,
            Ok(_) => Ok(()),
            Err(error) => Err(error),
        };
        self.inner
            .on_failure(written, "the answer is withheld, because its record could not be journaled")?;
        answer
    }

    fn write(&mut self, answer: &Answer) -> Result<crate::journal::Position, Error> {
        self.settled = true;
        let (kind, message) = match answer {
            Ok(Outcome::Done(output)) => {
                self.record.bytes = output.bytes() as u64;
                (output.failed.then_some(Kind::Failed), None)
            }
            Ok(Outcome::Refused(error)) => (Some(error.kind), Some(error.message.to_string())),
            Err(error) => (Some(error.kind()), Some(error.message().to_owned())),
        };
        self.record.time = now();
        self.record.duration_us = micros(self.arrived.elapsed());
        self.record.outcome = Some(Record::outcome_of(kind));
        self.record.message = message.map(|m| shortened(&redact::text(&m), MAX_MESSAGE));
        // First of all, so that nothing below can cost the record.
        let position = self.inner.journal.append(&self.record);
        let stats = self.entry.as_ref().map_or(&self.inner.counters.unknown, |e| &e.live.stats);
        stats.count(kind, self.ran_from.map(|from| from.elapsed()));
        log(&self.record, kind, self.params);
        (self.inner.observe)(&self.record);
        position
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if !self.settled {
            let cancelled = Err(Error::new(Kind::Cancelled, "the caller went away"));
            if let Err(error) = self.write(&cancelled) {
                let _ = self.inner.on_failure(Err(error), "a cancelled call could not be journaled");
            }
        }
        if self.inner.active.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.inner.idle.notify_waiters();
        }
    }
}

impl Inner {
    // What a journal that cannot be written means for a call, by the operator's choice.
    fn on_failure(&self, written: Result<(), Error>, what: &'static str) -> Result<(), Error> {
        let Err(error) = written else { return Ok(()) };
        tracing::error!(
            target: "error",
            error_type = "journal",
            error_message = %error.message(),
            context = what,
        );
        let refused = |kind| Error::new(kind, format!("{what}: {}", error.message()));
        match self.settings.journal_failure {
            // The call's doing, not the journal's: the operator did not choose to let that go unrecorded.
            _ if error.kind() == Kind::TooLarge => Err(refused(Kind::TooLarge).because(error)),
            JournalFailure::Refuse => Err(refused(Kind::Unavailable).because(error)),
            JournalFailure::DropAndCount => {
                self.journal.count_dropped();
                Ok(())
            }
        }
    }
}

// The `tool_execution` event of document 003, and `security` for what policy refused.
fn log(record: &Record, kind: Option<Kind>, params: usize) {
    #[allow(clippy::cast_precision_loss)]
    let execution_time_ms = record.duration_us as f64 / 1000.0;
    tracing::info!(
        target: "tool_execution",
        tool_name = &*record.tool,
        server_name = record.server.as_deref().unwrap_or(""),
        user_id = &*record.caller,
        execution_time_ms,
        success = kind.is_none(),
        param_count = params,
        call_id = &*record.id,
        error_type = kind.map_or("", Kind::label),
    );
    if record.decision == Decision::Deny
        && !matches!(kind, Some(Kind::Cancelled | Kind::Unavailable | Kind::Invalid))
    {
        tracing::warn!(
            target: "security",
            event_type = kind.map_or("", Kind::label),
            user_id = &*record.caller,
            details = &*record.rule,
            severity = "warning",
            event_category = "security",
        );
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
