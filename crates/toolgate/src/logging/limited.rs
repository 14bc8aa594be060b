//! Failed authentications and TLS handshakes in the log: each one for a while, then ten a second and how many were not
//! shown.
//!
//! Wraps a form of log lines; used by `logging`. Without it, whoever reaches the listener fills the disk without a key.

use serde_json::json;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

const PER_SECOND: f64 = 10.0;
const AT_ONCE: f64 = 50.0;
const LIMITED: [&str; 2] = ["authentication_failed", "tls_handshake_failed"];

/// `inner`, with failed authentications limited.
pub struct Limited<F> {
    inner: F,
    /// Whether lines are JSON.
    json: bool,
    bucket: Mutex<Bucket>,
}

impl<F> Limited<F> {
    pub fn new(inner: F, json: bool) -> Self {
        Self { inner, json, bucket: Mutex::new(Bucket { left: AT_ONCE, at: Instant::now(), unseen: 0 }) }
    }
}

struct Bucket {
    left: f64,
    at: Instant,
    unseen: u64,
}

impl Bucket {
    /// Take one: how many were not shown before it, or `None` when it is not shown either.
    fn take(&mut self, now: Instant) -> Option<u64> {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + passed * PER_SECOND).min(AT_ONCE);
        self.at = now;
        if self.left < 1.0 {
            self.unseen += 1;
            return None;
        }
        self.left -= 1.0;
        Some(std::mem::take(&mut self.unseen))
    }
}

impl<S, N, F> FormatEvent<S, N> for Limited<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        if is_limited(event) {
            match self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(Instant::now()) {
                None => return Ok(()),
                Some(0) => {}
                Some(unseen) => self.told(&mut writer, unseen)?,
            }
        }
        self.inner.format_event(context, writer, event)
    }
}

impl<F> Limited<F> {
    // A line of its own before the event.
    fn told(&self, writer: &mut Writer<'_>, unseen: u64) -> fmt::Result {
        let (timestamp, message) =
            (super::timestamp(), "failed authentications and handshakes were not logged one by one");
        if !self.json {
            return writeln!(writer, "{timestamp}  WARN {unseen} {message}");
        }
        let line = json!({
            "timestamp": timestamp, "level": "WARN", "logger": "security", "service": super::SERVICE,
            "event_type": LIMITED[0], "unseen": unseen, "message": message,
        });
        writeln!(writer, "{line}")
    }
}

fn is_limited(event: &Event<'_>) -> bool {
    struct Kind(bool);
    impl Visit for Kind {
        fn record_str(&mut self, field: &Field, value: &str) {
            self.0 |= field.name() == "event_type" && LIMITED.contains(&value);
        }
        fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
    }
    let mut kind = Kind(false);
    if event.metadata().target() == "security" {
        event.record(&mut kind);
    }
    kind.0
}

#[cfg(test)]
mod tests {
    use super::super::Lines;
    use super::super::tests::Kept;
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_flood_is_counted_and_other_events_are_not_touched() {
        for json in [true, false] {
            let kept = Kept::default();
            let writer = kept.clone();
            let subscriber = tracing_subscriber::fmt().with_writer(move || writer.clone());
            let flood = || {
                for _ in 0..200 {
                    tracing::warn!(target: "security", event_type = "authentication_failed", details = "no key");
                    tracing::warn!(target: "security", event_type = "access_denied", "other");
                }
                std::thread::sleep(Duration::from_millis(250));
                tracing::warn!(target: "security", event_type = "authentication_failed", details = "no key");
            };
            if json {
                let subscriber = subscriber.event_format(Limited::new(Lines, true)).finish();
                tracing::subscriber::with_default(subscriber, flood);
            } else {
                let text = tracing_subscriber::fmt::format();
                let subscriber = subscriber.with_ansi(false).event_format(Limited::new(text, false)).finish();
                tracing::subscriber::with_default(subscriber, flood);
            }
            let text = kept.text();
            assert_eq!(text.matches("access_denied").count(), 200);
            let shown = text.matches("no key").count();
            assert!((51..100).contains(&shown), "{shown}");
            let unseen = 201 - shown;
            let said = if json { format!("\"unseen\":{unseen}") } else { format!("WARN {unseen} failed") };
            assert!(text.contains(&said), "{said} in {text}");
        }
    }

    #[test]
    fn the_bucket_fills_again() {
        let start = Instant::now();
        let mut bucket = Bucket { left: 1.0, at: start, unseen: 0 };
        assert_eq!((bucket.take(start), bucket.take(start), bucket.take(start)), (Some(0), None, None));
        assert_eq!(bucket.take(start + Duration::from_millis(150)), Some(2));
        assert_eq!(bucket.take(start + Duration::from_millis(160)), None);
        assert_eq!(bucket.take(start + Duration::from_secs(3600)), Some(1));
    }
}
