//! Whole runs on targets of this process: nothing that fell due is lost, whatever the target does.

use super::verdict::Verdict;
use super::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RUN: Pattern = Pattern::Constant { rps: 100.0, duration: Duration::from_millis(1000) };

/// Takes so long for each call, and may block its thread for it, which no timeout can cut short.
struct Slow {
    calls: Arc<AtomicU64>,
    each: Duration,
    blocks: bool,
}

impl Target for Slow {
    async fn call(&mut self) -> std::result::Result<(), Fault> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        if self.blocks {
            std::thread::sleep(self.each);
        } else {
            tokio::time::sleep(self.each).await;
        }
        Ok(())
    }

    async fn end(self) {}
}

async fn run_on(
    each: Duration,
    blocks: bool,
    timeout: Duration,
    stop: impl Future<Output = ()> + Send + 'static,
) -> (Result, u64) {
    let calls = Arc::new(AtomicU64::new(0));
    let load = Load { pattern: RUN, timeout, bounds: Bounds::default() };
    let targets = vec![Slow { calls: calls.clone(), each, blocks }];
    let result = run(&load, targets, |_| {}, stop).await;
    (result, calls.load(Ordering::Relaxed))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_that_is_due_is_called_once() {
    let (result, calls) =
        run_on(Duration::ZERO, false, Duration::from_secs(60), std::future::pending()).await;
    assert_eq!((result.tally.due, result.tally.whole.right, calls), (100, 100, 100));
    assert!(result.elapsed >= Duration::from_millis(1000) && !result.interrupted);
    assert_eq!(result.tally.late.count(), 100);
    let rows = result.tally.rows();
    assert_eq!(rows.iter().map(|row| row.due).sum::<u64>(), 100);
    assert_eq!(rows.iter().map(|row| row.right).sum::<u64>(), 100);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_sent_in_time_is_counted() {
    let (result, calls) =
        run_on(Duration::from_millis(400), true, Duration::from_millis(100), std::future::pending()).await;
    let (whole, errors) = (&result.tally.whole, result.tally.errors);
    assert_eq!(whole.total(), 100);
    assert_eq!(errors[Class::NotSent as usize] + calls, 100);
    assert!(errors[Class::NotSent as usize] > 50, "{errors:?}");
    let late = whole.latency.at(0.99);
    assert!(late >= Duration::from_millis(100), "it counts as slow: {late:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_target_is_seen_in_every_call_that_waited() {
    // 50 a second of 100: the call of the second's end has waited for a second.
    let (result, _) =
        run_on(Duration::from_millis(20), false, Duration::from_secs(60), std::future::pending()).await;
    assert_eq!(result.tally.whole.right, 100);
    assert!(result.tally.whole.latency.at(0.9) >= Duration::from_millis(800));
    let load = Load { pattern: RUN, timeout: Duration::from_secs(60), bounds: Bounds::default() };
    let about = About {
        url: "http://host/mcp".into(),
        tool: "x".into(),
        era: Era::Modern,
        connections: 1,
        timeout_ms: 60_000,
        started: jiff::Timestamp::UNIX_EPOCH,
        version: "0",
    };
    let mut report = Report::of(&load, &result, about, None);
    report.verdict = Verdict::Warning;
    assert!(report.passed(false) && !report.passed(true));
    report.verdict = Verdict::Fail;
    assert!(!report.passed(false));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_is_broken_off_says_what_is_left() {
    let stop = tokio::time::sleep(Duration::from_millis(500));
    let (result, _) = run_on(Duration::from_secs(3600), false, Duration::from_secs(3600), stop).await;
    assert!(result.interrupted && result.elapsed < Duration::from_secs(60));
    assert!(result.tally.due > 0, "some fell due");
    assert_eq!(result.tally.outstanding(), result.tally.due);
}
