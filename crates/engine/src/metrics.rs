//! Metrics of tool calls (CATALOGUE 2.11, document 003) and their Prometheus text exposition, version 0.0.4.
//!
//! Every tool owns its counters, so counting is a few relaxed atomic additions; text is made only when asked for.

use crate::breaker::Position;
use crate::catalogue::{Catalogue, Entry};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::Kind;

// Upper bounds of `mcp_tool_duration_seconds`, with their label texts.
const BUCKETS: [(u64, &str); 6] = [
    (100_000, "0.1"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
];

/// Counters of one tool.
#[derive(Default)]
pub(crate) struct ToolStats {
    ok: AtomicU64,
    errors: [AtomicU64; Kind::ALL.len()],
    // Calls in each bucket alone; the exposition adds them up.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl ToolStats {
    /// Count one answered call; `ran` is how long it ran, when it got that far.
    pub fn count(&self, error: Option<Kind>, ran: Option<Duration>) {
        match error {
            None => self.ok.fetch_add(1, Ordering::Relaxed),
            Some(kind) => self.errors[kind as usize].fetch_add(1, Ordering::Relaxed),
        };
        if let Some(ran) = ran {
            let micros = u64::try_from(ran.as_micros()).unwrap_or(u64::MAX);
            let bucket = BUCKETS.iter().position(|(most, _)| micros <= *most).unwrap_or(BUCKETS.len());
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
            self.micros.fetch_add(micros, Ordering::Relaxed);
        }
    }

    pub fn view(&self) -> ToolUse {
        let ok = self.ok.load(Ordering::Relaxed);
        let errors: u64 = self.errors.iter().map(|e| e.load(Ordering::Relaxed)).sum();
        let ran: u64 = self.buckets.iter().map(|b| b.load(Ordering::Relaxed)).sum();
        #[allow(clippy::cast_precision_loss)]
        let share = |part: f64, whole: u64| if whole == 0 { 0.0 } else { part / whole as f64 };
        #[allow(clippy::cast_precision_loss)]
        ToolUse {
            calls: ok + errors,
            errors,
            avg_latency_ms: share(self.micros.load(Ordering::Relaxed) as f64 / 1000.0, ran),
            success_rate: share(ok as f64, ok + errors),
        }
    }
}

/// Use of one tool since the start (names of CATALOGUE 1.16).
#[derive(Debug, Clone, Copy, serde::Serialize)]
pub struct ToolUse {
    pub calls: u64,
    pub errors: u64,
    pub avg_latency_ms: f64,
    pub success_rate: f64,
}

/// What is counted beside the tools.
#[derive(Default)]
pub(crate) struct Counters {
    /// Calls of names that mean nothing, by kind of refusal.
    pub unknown: ToolStats,
    /// Open connections by server; `gateway` is the endpoint of all.
    connections: Mutex<BTreeMap<String, u64>>,
}

/// The label of what belongs to no single server.
pub(crate) const GATEWAY: &str = "gateway";

impl Counters {
    pub fn connect(&self, server: &str) {
        *self.lock().entry(server.to_owned()).or_default() += 1;
    }

    pub fn disconnect(&self, server: &str) {
        if let Some(count) = self.lock().get_mut(server) {
            *count = count.saturating_sub(1);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, u64>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (i, (label, text)) in labels.iter().enumerate() {
            let text = text.replace('\\', r"\\").replace('"', "\\\"").replace('\n', r"\n");
            let _ = write!(self.0, "{}{label}=\"{text}\"", if i == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }
}

/// The exposition; with a scope, one server's.
pub(crate) fn render(catalogue: &Catalogue, counters: &Counters, memory: u64, scope: Option<&str>) -> String {
    let mut page = Page(String::with_capacity(16 << 10));
    let within = |server: &str| scope.is_none_or(|s| s == server);
    let entries: Vec<&Entry> =
        catalogue.entries.iter().map(|e| &**e).filter(|e| within(e.server.as_str())).collect();
    let mut rows: Vec<(&str, &str, &ToolStats)> =
        entries.iter().map(|e| (e.server.as_str(), &*e.tool, &e.live.stats)).collect();
    if scope.is_none() {
        rows.push(("unknown", "unknown", &counters.unknown));
    }

    page.family("mcp_tool_requests_total", "counter", "Tool calls answered.");
    for (server, tool, stats) in &rows {
        let seen = stats.view();
        for (status, count) in [("success", seen.calls - seen.errors), ("error", seen.errors)] {
            page.sample(
                "mcp_tool_requests_total",
                &[("server", server), ("tool", tool), ("status", status)],
                count,
            );
        }
    }
    page.family("mcp_tool_errors_total", "counter", "Tool calls refused or failed, by kind.");
    for (server, tool, stats) in &rows {
        for kind in Kind::ALL {
            let count = stats.errors[kind as usize].load(Ordering::Relaxed);
            if count > 0 {
                let labels = [("server", *server), ("tool", *tool), ("error_type", kind.label())];
                page.sample("mcp_tool_errors_total", &labels, count);
            }
        }
    }
    page.family("mcp_tool_duration_seconds", "histogram", "Time a tool call ran.");
    for (server, tool, stats) in &rows {
        histogram(&mut page, server, tool, stats);
    }
    page.family("mcp_tool_queue_length", "gauge", "Calls waiting for a slot of the server.");
    for mounted in catalogue.servers.iter().filter(|m| within(m.server.name.as_str())) {
        let labels = [("server", mounted.server.name.as_str())];
        page.sample("mcp_tool_queue_length", &labels, mounted.slots.waiting());
    }
    page.family("mcp_active_connections", "gauge", "Open client connections and streams.");
    let mut open = counters.lock().clone();
    open.entry(scope.unwrap_or(GATEWAY).to_owned()).or_default();
    for (server, count) in open.iter().filter(|(server, _)| within(server)) {
        page.sample("mcp_active_connections", &[("server", server)], count);
    }
    page.family("mcp_memory_usage_bytes", "gauge", "Resident memory of the process that runs the server.");
    page.sample("mcp_memory_usage_bytes", &[("server", scope.unwrap_or(GATEWAY))], memory);
    page.family("circuit_breaker_state", "gauge", "0 closed, 1 open, 2 half-open.");
    let now = Instant::now();
    for entry in entries.iter().filter(|e| e.spec.breaker) {
        let state = match entry.live.breaker.position(now) {
            Position::Closed => 0,
            Position::Open => 1,
            Position::HalfOpen => 2,
        };
        page.sample(
            "circuit_breaker_state",
            &[("server", entry.server.as_str()), ("tool", &entry.tool)],
            state,
        );
    }
    page.0
}

fn histogram(page: &mut Page, server: &str, tool: &str, stats: &ToolStats) {
    const NAME: &str = "mcp_tool_duration_seconds";
    let mut below = 0;
    for (count, label) in stats.buckets.iter().zip(BUCKETS.iter().map(|b| b.1).chain(["+Inf"])) {
        below += count.load(Ordering::Relaxed);
        let labels = [("server", server), ("tool", tool), ("le", label)];
        page.sample("mcp_tool_duration_seconds_bucket", &labels, below);
    }
    #[allow(clippy::cast_precision_loss)]
    let seconds = stats.micros.load(Ordering::Relaxed) as f64 / 1e6;
    page.sample(&format!("{NAME}_sum"), &[("server", server), ("tool", tool)], seconds);
    page.sample(&format!("{NAME}_count"), &[("server", server), ("tool", tool)], below);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_adds_up() {
        let stats = ToolStats::default();
        stats.count(None, Some(Duration::from_millis(100)));
        stats.count(None, Some(Duration::from_millis(101)));
        stats.count(Some(Kind::Timeout), Some(Duration::from_secs(11)));
        stats.count(Some(Kind::Forbidden), None);
        let mut page = Page(String::new());
        histogram(&mut page, "s", "t\"x", &stats);
        for line in [
            r#"mcp_tool_duration_seconds_bucket{server="s",tool="t\"x",le="0.1"} 1"#,
            r#"mcp_tool_duration_seconds_bucket{server="s",tool="t\"x",le="0.5"} 2"#,
            r#"mcp_tool_duration_seconds_bucket{server="s",tool="t\"x",le="10"} 2"#,
            r#"mcp_tool_duration_seconds_bucket{server="s",tool="t\"x",le="+Inf"} 3"#,
            r#"mcp_tool_duration_seconds_count{server="s",tool="t\"x"} 3"#,
        ] {
            assert!(page.0.contains(line), "{line}\n{}", page.0);
        }
        let seen = stats.view();
        assert_eq!((seen.calls, seen.errors), (4, 2));
    }
}
