//! The report as one HTML page: no script, nothing loaded from anywhere, light and dark.
//!
//! Made by the binary for `--report`. Everything that came from outside (URL, tool, samples) is escaped.

use super::chart::{self, Line, POINTS, short};
use super::report::Report;
use super::run::Result;
use super::tally::Row;
use super::verdict::{Verdict, ms};
use std::fmt::Write;

const STYLE: &str = include_str!("page.css");

/// The page.
pub fn page(report: &Report, result: &Result) -> String {
    let mut body = String::new();
    let word = match report.verdict {
        Verdict::Pass => "PASS",
        Verdict::Warning => "WARNING",
        Verdict::Fail => "FAIL",
    };
    let target = &report.target;
    let _ = write!(
        body,
        "<header><h1>Load test: {}</h1><p>{}</p><p class=\"dim\">{} of {} ({}), {} connections, {}, toolgate {}</p></header>\n\
         <section class=\"verdict {}\"><b>{word}</b><span>grade {:?}</span></section>\n",
        report.pattern,
        escaped(&report.load),
        escaped(&target.tool),
        escaped(&target.url),
        if target.era == super::Era::Modern { "MCP 2026-07-28" } else { "MCP 2025-11-25" },
        target.connections,
        target.started.strftime("%Y-%m-%d %H:%M:%S UTC"),
        target.version,
        word.to_lowercase(),
        report.grade,
    );
    for (class, texts) in [("reason", &report.reasons), ("warning", &report.warnings)] {
        for text in texts {
            let _ = writeln!(body, "<p class=\"{class}\">{}</p>", escaped(text));
        }
    }
    tiles(&mut body, report);
    plots(&mut body, report, result);
    errors(&mut body, report);
    steps(&mut body, report);
    let _ = write!(
        body,
        "<footer><p>A latency counts from when its call was due, not from when a connection was free to send it. It counts for \
         right answers, and for calls that were given up. The generator itself was late by {} ms (p99), at most {} ms.</p></footer>",
        report.generator.late_p99_ms, report.generator.late_max_ms
    );
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n\
         <title>Load test: {}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        report.pattern
    )
}

fn tiles(body: &mut String, report: &Report) {
    let latency = &report.latency_ms;
    let mut tiles = vec![
        ("throughput", format!("{}/s", report.throughput_rps)),
        ("calls", report.total.to_string()),
        ("succeeded", report.succeeded.to_string()),
        ("failed", format!("{} ({} %)", report.failed, short(report.error_rate * 100.0))),
        ("mean", format!("{} ms", latency.mean)),
        ("p50", format!("{} ms", latency.p50)),
        ("p95", format!("{} ms", latency.p95)),
        ("p99", format!("{} ms", latency.p99)),
        ("max", format!("{} ms", latency.max)),
        ("duration", chart::clock(report.duration_s)),
    ];
    if let Some(ramp) = &report.ramp {
        let highest = ramp.highest_rps.map_or("none".to_owned(), |rate| format!("{rate}/s"));
        tiles.insert(0, ("highest rate that held", highest));
    }
    if report.unfinished > 0 {
        tiles.push(("unfinished", report.unfinished.to_string()));
    }
    body.push_str("<section class=\"tiles\">");
    for (name, value) in tiles {
        let _ = write!(body, "<div><span>{name}</span><b>{value}</b></div>");
    }
    body.push_str("</section>\n");
}

fn plots(body: &mut String, report: &Report, result: &Result) {
    let (mut rows, width) = thinned(result.tally.rows(), result.tally.width());
    let seconds = width as f64;
    // The last row is a part of its time; a short one goes to the row before it, or it would look like a drop.
    let mut last = (result.elapsed.as_secs_f64() - seconds * (rows.len() as f64 - 1.0)).max(0.001);
    if last < seconds / 2.0
        && rows.len() > 1
        && let Some(short) = rows.pop()
        && let Some(before) = rows.last_mut()
    {
        before.join(short);
        last += seconds;
    }
    let latency = |class, name, share| Line {
        class,
        name,
        values: rows.iter().map(|row| row.at(share).map(ms)).collect(),
    };
    let length = |i: usize| if i + 1 == rows.len() { last } else { seconds };
    let rate = |class, name, count: &dyn Fn(&Row) -> u64| Line {
        class,
        name,
        values: rows.iter().enumerate().map(|(i, row)| Some(count(row) as f64 / length(i))).collect(),
    };
    let all = [latency("p99", "p99", 0.99), latency("p95", "p95", 0.95), latency("p50", "p50", 0.5)];
    body.push_str(&chart::lines("Latency", seconds, "ms", &all, false));
    let all = [rate("target", "due", &|row| row.due), rate("right", "right answers", &|row| row.right)];
    body.push_str(&chart::lines("Throughput against what was due, a second", seconds, "", &all, false));
    let all = [rate("wrong", "errors", &Row::wrong)];
    body.push_str(&chart::lines("Errors a second", seconds, "", &all, true));
    let buckets: Vec<(f64, u64)> =
        result.tally.whole.latency.buckets().iter().map(|(n, count)| (*n as f64 / 1e6, *count)).collect();
    let latency = &report.latency_ms;
    let marks = [("p50", latency.p50), ("p95", latency.p95), ("p99", latency.p99)];
    body.push_str(&chart::histogram("Calls by latency", &buckets, &marks));
}

// As few rows as a plot can show.
fn thinned(rows: Vec<Row>, width: u64) -> (Vec<Row>, u64) {
    let each = rows.len().div_ceil(POINTS).max(1);
    let mut thin: Vec<Row> = Vec::with_capacity(rows.len().div_ceil(each));
    for (i, row) in rows.into_iter().enumerate() {
        match thin.last_mut() {
            Some(last) if i % each != 0 => last.join(row),
            _ => thin.push(row),
        }
    }
    (thin, width * each as u64)
}

fn errors(body: &mut String, report: &Report) {
    if report.errors.is_empty() {
        return;
    }
    body.push_str("<h2>Errors</h2>\n<table><thead><tr><th>class</th><th class=\"n\">count</th><th>the first</th></tr></thead><tbody>");
    for error in &report.errors {
        let _ = write!(
            body,
            "<tr><td>{}</td><td class=\"n\">{}</td><td><code>{}</code>",
            error.class.words(),
            error.count,
            escaped(&error.sample)
        );
        if let Some(hint) = error.hint {
            let _ = write!(body, "<p class=\"dim\">{}</p>", escaped(hint));
        }
        body.push_str("</td></tr>");
    }
    body.push_str("</tbody></table>\n");
}

fn steps(body: &mut String, report: &Report) {
    let Some(ramp) = &report.ramp else { return };
    body.push_str(
        "<h2>Steps</h2>\n<table><thead><tr><th class=\"n\">rate</th><th class=\"n\">calls</th><th class=\"n\">failed</th>\
         <th class=\"n\">p50 ms</th><th class=\"n\">p95 ms</th><th></th></tr></thead><tbody>",
    );
    for step in &ramp.steps {
        let _ = write!(
            body,
            "<tr><td class=\"n\">{}/s</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td></tr>",
            step.rps,
            step.total,
            step.total - step.succeeded,
            step.p50_ms,
            step.p95_ms,
            escaped(step.why.as_deref().unwrap_or("held")),
        );
    }
    body.push_str("</tbody></table>\n");
}

/// Fit for text and for attributes; characters that XML does not have are shown as such.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(' '),
            // Controls, and what turns the direction of text around.
            c if c.is_control()
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}') =>
            {
                out.push('\u{fffd}');
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_outside_is_markup() {
        assert_eq!(
            escaped("<script>\"a\" & 'b'</script>\u{0}\u{202e}"),
            "&lt;script&gt;&quot;a&quot; &amp; &#39;b&#39;&lt;/script&gt;\u{fffd}\u{fffd}"
        );
    }

    #[test]
    fn a_plot_has_few_points_and_all_calls() {
        let rows: Vec<Row> = (0..3000).map(|_| Row { due: 1, ..Row::default() }).collect();
        let (thin, width) = thinned(rows, 2);
        assert_eq!((thin.len(), width), (600, 10));
        assert_eq!(thin.iter().map(|row| row.due).sum::<u64>(), 3000);
    }
}
