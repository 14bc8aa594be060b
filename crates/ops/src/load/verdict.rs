//! Whether a run passed, and how well (CATALOGUE 3.6).
//!
//! Asked by `report`, and by `run` for each step of a ramp. Pure.

use super::tally::Part;
use serde::Serialize;
use std::time::Duration;

/// What a run must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Share of calls that may fail, 0 to 1.
    pub errors: f64,
    /// 95 of 100 calls take no longer.
    pub p95: Duration,
}

impl Default for Bounds {
    fn default() -> Self {
        Self { errors: 0.05, p95: Duration::from_secs(2) }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    Pass,
    /// Too slow.
    Warning,
    /// Too many errors, or nothing done.
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Grade {
    /// At least 99.9 % succeeded, and p95 is at most 1 s.
    A,
    /// At least 99.5 %, and at most 2 s.
    B,
    C,
}

/// A step of a ramp.
#[derive(Debug, Clone, Serialize)]
pub struct Held {
    /// Calls due a second.
    pub rps: f64,
    pub total: u64,
    pub succeeded: u64,
    pub error_rate: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    /// Calls that were due and not yet answered when the step ended.
    pub behind: u64,
    pub held: bool,
    /// Why it did not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// In milliseconds, with three decimals.
pub fn ms(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1e6).round() / 1e3
}

/// Why the calls do not keep to the bounds: errors first.
pub fn broken(calls: &Part, bounds: &Bounds) -> Option<(Verdict, String)> {
    if calls.right == 0 {
        return Some((Verdict::Fail, "no call succeeded".into()));
    }
    let (rate, p95) = (calls.error_rate(), calls.latency.at(0.95));
    if rate > bounds.errors {
        let text = format!("{:.2} % of calls failed; {} % may", rate * 100.0, bounds.errors * 100.0);
        return Some((Verdict::Fail, text));
    }
    let text = format!("p95 is {} ms; {} ms are the bound", ms(p95), ms(bounds.p95));
    (p95 > bounds.p95).then_some((Verdict::Warning, text))
}

pub fn grade(calls: &Part) -> Grade {
    let (success, p95) = (1.0 - calls.error_rate(), calls.latency.at(0.95));
    if calls.right == 0 {
        Grade::C
    } else if success >= 0.999 && p95 <= Duration::from_secs(1) {
        Grade::A
    } else if success >= 0.995 && p95 <= Duration::from_secs(2) {
        Grade::B
    } else {
        Grade::C
    }
}

/// Judge a step. `behind`: unanswered at its end. Those may be as many as there are connections, and what falls due in a
/// quarter of a second or makes up a twentieth of the step; more shows a queue that grows, however short the step was.
pub fn held(rps: f64, calls: &Part, behind: u64, connections: usize, due: u64, bounds: &Bounds) -> Held {
    let most = connections as f64 + (rps / 4.0).max(due as f64 / 20.0);
    let why = broken(calls, bounds).map(|(_, why)| why).or_else(|| {
        (behind as f64 > most).then(|| format!("{behind} calls were still waiting at the end of the step"))
    });
    Held {
        rps: (rps * 100.0).round() / 100.0,
        total: calls.total(),
        succeeded: calls.right,
        error_rate: calls.error_rate(),
        p50_ms: ms(calls.latency.at(0.5)),
        p95_ms: ms(calls.latency.at(0.95)),
        behind,
        held: why.is_none(),
        why,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(right: u64, wrong: u64, millis: u64) -> Part {
        let mut part = Part { right, wrong, ..Part::default() };
        part.latency.add(Duration::from_millis(millis));
        part
    }

    #[test]
    fn bounds_and_grades_of_the_catalogue() {
        let bounds = Bounds::default();
        for (calls, verdict, best) in [
            (part(9990, 10, 990), None, Grade::A),
            (part(9989, 11, 990), None, Grade::B),
            (part(9990, 10, 1100), None, Grade::B),
            (part(9950, 50, 1990), None, Grade::B),
            (part(9949, 51, 100), None, Grade::C),
            (part(9500, 500, 100), None, Grade::C),
            (part(9499, 501, 100), Some(Verdict::Fail), Grade::C),
            (part(1000, 0, 2100), Some(Verdict::Warning), Grade::C),
            (part(0, 0, 1), Some(Verdict::Fail), Grade::C),
        ] {
            let found = (broken(&calls, &bounds).map(|(verdict, _)| verdict), grade(&calls));
            assert_eq!(found, (verdict, best), "{} right, {} wrong", calls.right, calls.wrong);
        }
    }

    #[test]
    fn a_step_that_leaves_a_queue_does_not_hold() {
        let bounds = Bounds::default();
        let calls = part(200, 0, 20);
        assert!(held(200.0, &calls, 54, 4, 200, &bounds).held);
        assert!(!held(200.0, &calls, 55, 4, 200, &bounds).held);
    }
}
