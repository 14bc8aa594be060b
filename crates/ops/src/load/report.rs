//! The report of a run: what `--json` prints, what the page shows, what the exit code follows.
//!
//! Made by the binary from a `Result`. Names follow CATALOGUE 3.6; latencies are in milliseconds, rates in calls a second.

use super::fault::Class;
use super::pattern::Pattern;
use super::run::{Load, Result};
use super::tally::{Part, Row};
use super::target::Era;
use super::verdict::{self, Grade, Held, Verdict, ms};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::time::Duration;

/// A generator that is later than this for one call in a hundred says so.
const LATE: Duration = Duration::from_millis(10);

/// What was put under load, and how.
#[derive(Debug, Clone, Serialize)]
pub struct About {
    pub url: String,
    pub tool: String,
    pub era: Era,
    pub connections: usize,
    pub timeout_ms: u64,
    /// When it began.
    pub started: Timestamp,
    /// Of this program.
    pub version: &'static str,
}

#[derive(Debug, Clone, Serialize)]
pub struct Report {
    pub pattern: &'static str,
    /// The pattern in words.
    pub load: String,
    pub target: About,
    pub duration_s: f64,
    /// Broken off before its end.
    pub interrupted: bool,
    /// Calls that fell due.
    pub total: u64,
    pub succeeded: u64,
    pub failed: u64,
    /// Under way or waiting when the run was broken off.
    pub unfinished: u64,
    /// Right answers a second.
    pub throughput_rps: f64,
    pub latency_ms: Latency,
    /// 0 to 1.
    pub error_rate: f64,
    pub errors: Vec<Errors>,
    pub generator: Generator,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ramp: Option<Ramp>,
    pub verdict: Verdict,
    pub grade: Grade,
    /// Why not better; a sentence each.
    pub reasons: Vec<String>,
    pub warnings: Vec<String>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Latency {
    pub mean: f64,
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
    pub max: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Errors {
    pub class: Class,
    pub count: u64,
    /// The first one's text.
    pub sample: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<&'static str>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Generator {
    pub late_p99_ms: f64,
    pub late_max_ms: f64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Ramp {
    pub steps: Vec<Held>,
    /// The highest rate of a step that held, with all steps before it.
    pub highest_rps: Option<f64>,
    /// Whether a step was found that does not hold.
    pub limit_found: bool,
}

impl Report {
    /// `at_least`: rate that a ramp must hold, in calls a second.
    pub fn of(load: &Load, result: &Result, about: About, at_least: Option<f64>) -> Self {
        let (tally, whole) = (&result.tally, &result.tally.whole);
        let ramp = matches!(load.pattern, Pattern::Ramp { .. }).then(|| Ramp {
            highest_rps: result.steps.iter().rfind(|step| step.held).map(|step| step.rps),
            limit_found: result.steps.iter().any(|step| !step.held),
            steps: result.steps.clone(),
        });
        let (verdict, grade, reasons) = judged(load, result, ramp.as_ref(), at_least);
        let errors = Class::ALL.into_iter().zip(tally.errors).zip(&tally.samples);
        let errors: Vec<Errors> = errors
            .filter(|((_, count), _)| *count > 0)
            .map(|((class, count), sample)| Errors {
                class,
                count,
                sample: sample.clone().unwrap_or_default(),
                hint: class.hint(),
            })
            .collect();
        let late = tally.late.at(0.99);
        let mut warnings = Vec::new();
        if late > LATE {
            warnings.push(format!(
                "the generator itself was late (p99 {} ms): this machine is too busy to make this load, and the latencies \
                 include that; use a machine of its own, or a lower rate",
                ms(late)
            ));
        }
        if result.interrupted {
            warnings.push("the run was broken off before its end".into());
        }
        let at = |share| ms(whole.latency.at(share));
        Self {
            pattern: load.pattern.name(),
            load: load.pattern.words(),
            target: about,
            duration_s: round(result.elapsed.as_secs_f64(), 3),
            interrupted: result.interrupted,
            total: tally.due,
            succeeded: whole.right,
            failed: whole.wrong,
            unfinished: tally.outstanding(),
            throughput_rps: round(whole.right as f64 / result.elapsed.as_secs_f64().max(1e-9), 2),
            latency_ms: Latency {
                mean: ms(tally.mean()),
                p50: at(0.5),
                p95: at(0.95),
                p99: at(0.99),
                p999: at(0.999),
                max: ms(whole.latency.most()),
            },
            error_rate: round(whole.error_rate(), 6),
            errors,
            generator: Generator { late_p99_ms: ms(late), late_max_ms: ms(tally.late.most()) },
            ramp,
            verdict,
            grade,
            reasons,
            warnings,
        }
    }

    /// Whether a pipeline should go on. `strict`: a warning stops it too.
    pub fn passed(&self, strict: bool) -> bool {
        self.verdict == Verdict::Pass || self.verdict == Verdict::Warning && !strict
    }

    /// The report with the data it was made of, for `--out`.
    pub fn raw(&self, result: &Result) -> Value {
        let width = result.tally.width();
        let rows = result.tally.rows();
        let rows: Vec<Value> = rows.iter().zip(0..).map(|(row, n)| raw_row(row, n * width, width)).collect();
        json!({
            "report": self,
            "row_seconds": width,
            "rows": rows,
            "latency_us": micros(&result.tally.whole.latency.buckets()),
            "generator_late_us": micros(&result.tally.late.buckets()),
        })
    }
}

// A ramp goes too far on purpose: it is judged by what held.
fn judged(
    load: &Load,
    result: &Result,
    ramp: Option<&Ramp>,
    at_least: Option<f64>,
) -> (Verdict, Grade, Vec<String>) {
    let Some(ramp) = ramp else {
        let whole = &result.tally.whole;
        return match verdict::broken(whole, &load.bounds) {
            None => (Verdict::Pass, verdict::grade(whole), Vec::new()),
            Some((verdict, why)) => (verdict, verdict::grade(whole), vec![why]),
        };
    };
    let why = ramp
        .steps
        .last()
        .and_then(|step| Some(format!("{}/s did not hold: {}", step.rps, step.why.as_ref()?)));
    let mut reasons: Vec<String> = why.into_iter().collect();
    let Some(highest) = ramp.highest_rps else {
        reasons.push("no step held".into());
        return (Verdict::Fail, verdict::grade(&Part::default()), reasons);
    };
    let enough = at_least.is_none_or(|wanted| highest >= wanted);
    if !enough {
        reasons.push(format!("{highest}/s held; --at-least asks for {}/s", at_least.unwrap_or_default()));
    }
    (if enough { Verdict::Pass } else { Verdict::Fail }, verdict::grade(&result.held), reasons)
}

fn raw_row(row: &Row, at: u64, seconds: u64) -> Value {
    let errors: Map<String, Value> = Class::ALL
        .into_iter()
        .zip(row.errors)
        .filter(|(_, count)| *count > 0)
        .map(|(class, count)| (json!(class).as_str().unwrap_or_default().to_owned(), count.into()))
        .collect();
    let share = |share| row.at(share).map(ms);
    json!({
        "at_s": at, "seconds": seconds, "due": row.due, "succeeded": row.right, "failed": row.wrong(), "errors": errors,
        "p50_ms": share(0.5), "p95_ms": share(0.95), "p99_ms": share(0.99), "latency_us": micros(&row.latency),
    })
}

// Upper bounds in microseconds, and counts.
fn micros(buckets: &[(u64, u64)]) -> Vec<(f64, u64)> {
    buckets.iter().map(|(nanos, count)| (*nanos as f64 / 1e3, *count)).collect()
}

fn round(number: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (number * scale).round() / scale
}
