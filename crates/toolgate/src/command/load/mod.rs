//! `toolgate load`: load patterns on the running gateway or on any MCP server, with a report and an exit code.
//!
//! The patterns are `ops::load`; here is what they need of the command line: where to (`place`), what is seen meanwhile
//! (`live`), and what is said at the end. Before the load one call must be answered right, so that a wrong key or tool is
//! said at once.

mod live;
mod place;

use crate::cli::Load as Asked;
use crate::config::Settings;
use crate::exit;
use crate::life;
use crate::output::{Out, Paint, say};
use anyhow::{Context, Result};
use jiff::Timestamp;
use std::path::Path;
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_ops::load::{
    self, About, Bounds, Class, Fault, Load, McpTarget, Pattern, Report, Target, Verdict,
};

/// A target that fails sometimes is one to put load on.
const TRIES: u32 = 3;

pub async fn run(asked: Asked, settings: Settings, out: Out) -> Result<()> {
    let options = asked.options();
    let (load, at_least) = (wanted(&asked)?, at_least(&asked));
    let place = place::of(options, &settings).await?;
    let mut targets = place.targets(usize::from(options.connections)).await?;
    try_out(&mut targets, load.timeout).await?;
    for file in [&options.report, &options.out].into_iter().flatten() {
        writable(file)?;
    }
    let stop = life::Stop::new()?;
    let about = About {
        url: place.url.clone(),
        tool: place.tool().to_owned(),
        era: place.era(),
        connections: targets.len(),
        timeout_ms: u64::try_from(load.timeout.as_millis()).unwrap_or(u64::MAX),
        started: Timestamp::now(),
        version: env!("CARGO_PKG_VERSION"),
    };
    say(format!(
        "{}: {}; {} of {}, {} connections",
        load.pattern.name(),
        load.pattern.words(),
        about.tool,
        about.url,
        about.connections
    ));
    let mut view = None;
    let length = load.pattern.length();
    let result =
        load::run(&load, targets, |progress| view = Some(live::show(progress, length)), stop.asked()).await;
    if let Some(view) = view {
        view.end().await;
    }
    let report = Report::of(&load, &result, about, at_least);
    if let Some(file) = &options.out {
        write(file, &serde_json::to_vec(&report.raw(&result))?)?;
    }
    if let Some(file) = &options.report {
        write(file, load::page(&report, &result).as_bytes())?;
    }
    if out.json {
        out.value(&report)?;
    } else {
        print(&report, out)?;
    }
    if report.passed(options.strict) { Ok(()) } else { Err(exit::Silent.into()) }
}

fn wanted(asked: &Asked) -> Result<Load> {
    let options = asked.options();
    let pattern = match asked {
        Asked::Constant { rps, duration, .. } => Pattern::Constant { rps: *rps, duration: duration.0 },
        Asked::Endurance { rps, duration, .. } => Pattern::Endurance { rps: *rps, duration: duration.0 },
        Asked::Spike { from, to, burst, every, duration, .. } => {
            Pattern::Spike { from: *from, to: *to, burst: burst.0, every: every.0, duration: duration.0 }
        }
        Asked::Ramp { from, to, step, growth, .. } => {
            Pattern::Ramp { from: *from, to: *to, step: step.0, growth: *growth }
        }
    };
    if let Some(problem) = pattern.problem() {
        return Err(exit::usage(problem));
    }
    if !(0.0..=100.0).contains(&options.max_errors) {
        return Err(exit::usage("--max-errors must be from 0 to 100"));
    }
    let timeout = options.timeout.0;
    if timeout < Duration::from_millis(1) || timeout > Duration::from_secs(600) {
        return Err(exit::usage("--timeout must be from 1ms to 10m"));
    }
    let bounds = Bounds { errors: options.max_errors / 100.0, p95: options.max_p95.0 };
    Ok(Load { pattern, timeout, bounds })
}

fn at_least(asked: &Asked) -> Option<f64> {
    match asked {
        Asked::Ramp { at_least, .. } => *at_least,
        _ => None,
    }
}

// One call, and a session for each connection of the legacy era: none of it is counted.
async fn try_out(targets: &mut [McpTarget], limit: Duration) -> Result<()> {
    let Some(first) = targets.first_mut() else { return Ok(()) };
    let mut left = TRIES;
    loop {
        let answer = tokio::time::timeout(limit, first.call()).await;
        let late = |_| Err(Fault::new(Class::Timeout, format!("no answer within {limit:?}")));
        let Err(fault) = answer.unwrap_or_else(late) else { break };
        left -= 1;
        if left == 0 {
            return Err(refused(&fault));
        }
    }
    for target in targets {
        target.ready().await.map_err(|fault| {
            exit::failed(Kind::Failed, format!("no session for every connection: {}", fault.text))
        })?;
    }
    Ok(())
}

fn refused(fault: &Fault) -> anyhow::Error {
    let hint = fault.class.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
    let (text, class) = (&fault.text, fault.class.words());
    let why = format!("the call was not answered right, so no load was made: {text} ({class}){hint}");
    match fault.class {
        Class::Connect | Class::Connection | Class::Timeout => exit::unavailable(why),
        Class::Refused => exit::failed(Kind::Forbidden, why),
        Class::RateLimited => exit::failed(Kind::RateLimited, why),
        _ => exit::failed(Kind::Failed, why),
    }
}

// Found out before an hour of load, not after it.
fn writable(file: &Path) -> Result<()> {
    let opened = std::fs::OpenOptions::new().create(true).append(true).open(file);
    opened
        .map(drop)
        .map_err(|problem| exit::usage(format!("{} cannot be written: {problem}", file.display())))
}

fn write(file: &Path, bytes: &[u8]) -> Result<()> {
    std::fs::write(file, bytes).with_context(|| file.display().to_string())?;
    say(format!("wrote {}", file.display()));
    Ok(())
}

fn print(report: &Report, out: Out) -> Result<()> {
    let (paint, word) = match report.verdict {
        Verdict::Pass => (Paint::Good, "PASS"),
        Verdict::Warning => (Paint::Warn, "WARNING"),
        Verdict::Fail => (Paint::Bad, "FAIL"),
    };
    let row = |name: &str, value: String| out.line(format!("{name:<12}{value}"));
    let latency = &report.latency_ms;
    row("duration", format!("{} s", report.duration_s))?;
    let unfinished = match report.unfinished {
        0 => String::new(),
        n => format!(", {n} unfinished"),
    };
    row(
        "calls",
        format!(
            "{} total, {} succeeded, {} failed{unfinished}",
            report.total, report.succeeded, report.failed
        ),
    )?;
    row("throughput", format!("{}/s", report.throughput_rps))?;
    row(
        "latency",
        format!(
            "mean {} ms, p50 {}, p95 {}, p99 {}, p99.9 {}, max {}",
            latency.mean, latency.p50, latency.p95, latency.p99, latency.p999, latency.max
        ),
    )?;
    row("error rate", format!("{} %", (report.error_rate * 1e4).round() / 1e2))?;
    row("generator", format!("late by {} ms (p99)", report.generator.late_p99_ms))?;
    if let Some(ramp) = &report.ramp {
        let highest = ramp.highest_rps.map_or("no step".into(), |rate| format!("{rate}/s"));
        let limit = if ramp.limit_found { "" } else { "; no limit was found" };
        row("held", format!("{highest}{limit}"))?;
    }
    for error in &report.errors {
        row("error", format!("{} x {}: {}", error.count, error.class.words(), error.sample))?;
        if let Some(hint) = error.hint {
            row("", hint.to_owned())?;
        }
    }
    for warning in &report.warnings {
        row("warning", warning.clone())?;
    }
    let why = report.reasons.join("; ");
    let why = if why.is_empty() { why } else { format!(": {why}") };
    out.line(format!("{} grade {:?}{why}", out.paint(paint, word), report.grade))?;
    Ok(())
}
