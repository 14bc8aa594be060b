//! Plots as inline SVG: lines over time, and bars of a histogram.
//!
//! Used by `page`. Colours come from the page's style by class, so that a plot follows light and dark. Texts are numbers and
//! words of ours only. Invariant: what is drawn has at most some hundred points a line, whatever the run's length.

use std::fmt::Write;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 220.0;
const LEFT: f64 = 62.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 28.0;
/// Points of a line.
pub const POINTS: usize = 600;

/// One line: its class in the style, its name, and a value for each point in time (none where nothing was seen).
pub struct Line<'a> {
    pub class: &'a str,
    pub name: &'a str,
    pub values: Vec<Option<f64>>,
}

/// Lines over time. `step`: seconds between two points; `unit`: of the values; `filled`: also what is below each line.
pub fn lines(title: &str, step: f64, unit: &str, lines: &[Line<'_>], filled: bool) -> String {
    let most = lines.iter().flat_map(|line| &line.values).flatten().fold(0.0f64, |a, b| a.max(*b));
    let top = nice(most);
    let points = lines.iter().map(|line| line.values.len()).max().unwrap_or(0).max(1);
    let x = |i: usize| LEFT + (WIDTH - LEFT - RIGHT) * (i as f64 + 0.5) / points as f64;
    let y = |value: f64| TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - value / top);
    let mut svg = begin(title);
    y_axis(&mut svg, top, unit);
    let whole = points as f64 * step;
    for part in 0..=4 {
        let (at, right) = (LEFT + (WIDTH - LEFT - RIGHT) * f64::from(part) / 4.0, part == 4);
        let anchor = if right {
            "end"
        } else if part == 0 {
            "start"
        } else {
            "middle"
        };
        text(&mut svg, at, HEIGHT - 8.0, anchor, &clock(whole * f64::from(part) / 4.0));
    }
    for line in lines {
        // A gap ends a path and a point alone is a dot.
        for run in runs(&line.values) {
            let path: Vec<String> = run.iter().map(|(i, v)| format!("{:.1},{:.1}", x(*i), y(*v))).collect();
            let (first, last) = (x(run[0].0), x(run[run.len() - 1].0));
            if run.len() == 1 {
                let _ = write!(
                    svg,
                    "<circle class=\"dot {}\" cx=\"{first:.1}\" cy=\"{:.1}\" r=\"3\"/>",
                    line.class,
                    y(run[0].1)
                );
                continue;
            }
            let path = path.join(" ");
            if filled {
                let base = y(0.0);
                let _ = write!(
                    svg,
                    "<polygon class=\"area {}\" points=\"{first:.1},{base:.1} {path} {last:.1},{base:.1}\"/>",
                    line.class
                );
            }
            let _ = write!(svg, "<polyline class=\"line {}\" points=\"{path}\"/>", line.class);
        }
    }
    svg.push_str("</svg>");
    figure(title, &svg, lines)
}

/// Bars on a logarithmic axis of milliseconds. `buckets`: upper bound in ms and count, ascending; `marks`: name and ms.
pub fn histogram(title: &str, buckets: &[(f64, u64)], marks: &[(&str, f64)]) -> String {
    // Twelve bars for each power of ten.
    const BARS: f64 = 12.0;
    let place = |ms: f64| (ms.max(1e-4).log10() * BARS).floor() as i64;
    let (Some(first), Some(last)) = (buckets.first(), buckets.last()) else {
        return figure(title, &format!("{}</svg>", begin(title)), &[]);
    };
    let (low, high) = (place(first.0) - 1, place(last.0) + 1);
    let mut bars = vec![0u64; (high - low + 1) as usize];
    for (ms, count) in buckets {
        bars[(place(*ms) - low) as usize] += count;
    }
    let top = nice(bars.iter().copied().max().unwrap_or(1) as f64);
    let width = (WIDTH - LEFT - RIGHT) / bars.len() as f64;
    let x = |ms: f64| LEFT + (ms.max(1e-4).log10() * BARS - low as f64) * width;
    let mut svg = begin(title);
    y_axis(&mut svg, top, "");
    for (i, count) in bars.iter().enumerate().filter(|(_, count)| **count > 0) {
        let height = ((HEIGHT - TOP - BOTTOM) * *count as f64 / top).max(1.0);
        let (left, from) = (LEFT + width * i as f64, 10f64.powf((low + i as i64) as f64 / BARS));
        let to = 10f64.powf((low + i as i64 + 1) as f64 / BARS);
        let _ = write!(
            svg,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\"><title>{} to {} ms: {count}</title></rect>",
            left + 0.5,
            HEIGHT - BOTTOM - height,
            (width - 1.0).max(0.5),
            short(from),
            short(to)
        );
    }
    for power in (low as f64 / BARS).ceil() as i32..=(high as f64 / BARS).floor() as i32 {
        let ms = 10f64.powi(power);
        text(&mut svg, x(ms), HEIGHT - 8.0, "middle", &format!("{} ms", short(ms)));
    }
    for ((name, ms), row) in marks.iter().zip(0..) {
        let at = x(*ms);
        let _ = write!(
            svg,
            "<line class=\"mark\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{:.1}\"/>",
            HEIGHT - BOTTOM
        );
        text(&mut svg, at + 4.0, TOP + 10.0 + 13.0 * f64::from(row), "start", name);
    }
    svg.push_str("</svg>");
    figure(title, &svg, &[])
}

fn figure(title: &str, svg: &str, lines: &[Line<'_>]) -> String {
    let mut legend = String::new();
    for Line { class, name, .. } in lines {
        let _ = write!(legend, "<span class=\"key {class}\"><i></i>{name}</span>");
    }
    format!("<figure><figcaption><b>{title}</b>{legend}</figcaption>{svg}</figure>\n")
}

fn begin(title: &str) -> String {
    format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{title}\">")
}

fn y_axis(svg: &mut String, top: f64, unit: &str) {
    for part in 0..=4 {
        let value = top * f64::from(part) / 4.0;
        let at = TOP + (HEIGHT - TOP - BOTTOM) * (1.0 - f64::from(part) / 4.0);
        let _ = write!(
            svg,
            "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>",
            WIDTH - RIGHT
        );
        text(svg, LEFT - 6.0, at + 4.0, "end", format!("{} {unit}", short(value)).trim_end());
    }
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = write!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{words}</text>");
}

// Stretches without a gap.
fn runs(values: &[Option<f64>]) -> Vec<Vec<(usize, f64)>> {
    let mut runs: Vec<Vec<(usize, f64)>> = vec![Vec::new()];
    for (i, value) in values.iter().enumerate() {
        match (value, runs.last_mut()) {
            (Some(value), Some(run)) => run.push((i, *value)),
            (None, Some(run)) if !run.is_empty() => runs.push(Vec::new()),
            _ => {}
        }
    }
    runs.retain(|run| !run.is_empty());
    runs
}

// The next number above whose quarters are short.
fn nice(most: f64) -> f64 {
    if most <= 0.0 {
        return 1.0;
    }
    let power = 10f64.powf(most.log10().floor());
    [1.0, 1.2, 1.6, 2.0, 2.4, 3.2, 4.0, 5.0, 6.0, 8.0, 10.0]
        .into_iter()
        .map(|n| n * power)
        .find(|n| *n >= most)
        .unwrap_or(most)
}

/// Three digits that say something.
pub fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v == 0.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time since the begin.
pub fn clock(seconds: f64) -> String {
    if seconds < 10.0 {
        return format!("{} s", short((seconds * 10.0).round() / 10.0));
    }
    let s = seconds.round() as u64;
    match (s / 3600, s / 60 % 60, s % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02} min"),
        (h, m, _) => format!("{h}:{m:02} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_part_lines_and_axes_are_round() {
        let values = vec![Some(1.0), None, Some(2.0), Some(3.0), None];
        assert_eq!(runs(&values).iter().map(Vec::len).collect::<Vec<_>>(), [1, 2]);
        for (most, top) in [(0.0, 1.0), (3.3, 4.0), (99.0, 100.0), (0.07, 0.08)] {
            assert!((nice(most) - top).abs() < 1e-9, "{most}: {}", nice(most));
        }
        assert_eq!([short(1234.0), short(12.34), short(1.0), short(0.0125)], ["1234", "12.3", "1", "0.013"]);
        assert_eq!([clock(2.5), clock(75.0), clock(7260.0)], ["2.5 s", "1:15 min", "2:01 h"]);
    }
}
