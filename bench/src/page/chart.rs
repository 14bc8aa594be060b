//! Two kinds of chart as SVG text: dots in rows, and lines over named places. Both have a logarithmic scale, because what
//! is compared differs a thousandfold. Colours follow the reader's light or dark theme; every line is named at its end.

/// One line: place and value of each point; values above zero.
pub struct Series {
    pub name: String,
    pub points: Vec<(usize, f64)>,
}

const WIDTH: f64 = 820.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 64.0;
// Distance of names that would touch.
const LINE: f64 = 15.0;
const STYLE: &str = "<style>
  svg { background: #ffffff; font: 12px system-ui, sans-serif; }
  text { fill: #3b3f45; } .title { font-size: 15px; font-weight: 600; fill: #1a1c1f; }
  .grid { stroke: #e3e5e8; } .bar { fill: #a9c5ea; } .own { fill: #1f6feb; }
  .line { fill: none; stroke-width: 2; }
  .s0 { stroke: #6e7781; } .s1 { stroke: #2f9e44; } .s2 { stroke: #1f6feb; } .s3 { stroke: #7048e8; } .s4 { stroke: #0c8599; }
  .s5 { stroke: #e8590c; } .s6 { stroke: #c2255c; } .s7 { stroke: #a07000; } .s8 { stroke: #862e9c; } .s9 { stroke: #5c940d; } .s10 { stroke: #d6336c; }
  @media (prefers-color-scheme: dark) {
    svg { background: #14171b; } text { fill: #c3c9d0; } .title { fill: #f0f3f6; } .grid { stroke: #2b3138; }
    .bar { fill: #38506e; } .own { fill: #58a6ff; }
    .s0 { stroke: #9aa4ae; } .s1 { stroke: #51cf66; } .s2 { stroke: #58a6ff; } .s3 { stroke: #b197fc; } .s4 { stroke: #3bc9db; }
    .s5 { stroke: #ff922b; } .s6 { stroke: #f783ac; } .s7 { stroke: #e0b13a; } .s8 { stroke: #da77f2; } .s9 { stroke: #a9e34b; } .s10 { stroke: #faa2c1; }
  }
</style>";

/// A dot for each row, on a line from the left edge; rows whose name begins with `gateway` stand out.
pub fn dots(title: &str, unit: &str, rows: &[(String, f64)]) -> String {
    const ROW: f64 = 26.0;
    const NAMES: f64 = 150.0;
    let scale = Scale::of(rows.iter().map(|r| r.1), NAMES, WIDTH - 80.0);
    let bottom = TOP + ROW * rows.len() as f64;
    let mut body = String::new();
    for mark in scale.marks() {
        let x = scale.at(mark);
        body.push_str(&format!(
            "<line class=\"grid\" x1=\"{x:.1}\" y1=\"{TOP}\" x2=\"{x:.1}\" y2=\"{bottom}\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n",
            bottom + 16.0,
            number(mark)
        ));
    }
    for (i, (name, value)) in rows.iter().enumerate() {
        let (x, y) = (scale.at(*value), TOP + ROW * (i as f64 + 0.5));
        let class = if name.starts_with("gateway") { "own" } else { "bar" };
        body.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text><rect class=\"{class}\" x=\"{NAMES}\" y=\"{:.1}\" width=\"{:.1}\" height=\"2\"/>\
             <circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"6\"/><text x=\"{:.1}\" y=\"{:.1}\">{}</text>\n",
            NAMES - 8.0, y + 4.0, escaped(name), y - 1.0, x - NAMES, x + 11.0, y + 4.0, number(*value)
        ));
    }
    page(title, unit, bottom + 28.0, &body)
}

/// A line for each series over the same places.
pub fn lines(title: &str, unit: &str, places: &[&str], all: &[Series]) -> String {
    let bottom = 400.0;
    let scale = Scale::of(all.iter().flat_map(|s| s.points.iter().map(|p| p.1)), bottom, TOP);
    let step = (WIDTH - LEFT - RIGHT) / (places.len().max(2) - 1) as f64;
    let x = |place: usize| LEFT + step * place as f64;
    let mut body = String::new();
    for mark in scale.marks() {
        let y = scale.at(mark);
        body.push_str(&format!(
            "<line class=\"grid\" x1=\"{LEFT}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            WIDTH - RIGHT, LEFT - 8.0, y + 4.0, number(mark)
        ));
    }
    for (i, name) in places.iter().enumerate() {
        body.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{name}</text>\n",
            x(i),
            bottom + 20.0
        ));
    }
    let mut names: Vec<(f64, f64, usize)> = Vec::new();
    for (i, series) in all.iter().enumerate() {
        let points: Vec<String> = series
            .points
            .iter()
            .map(|(place, value)| format!("{:.1},{:.1}", x(*place), scale.at(*value)))
            .collect();
        body.push_str(&format!("<polyline class=\"line s{}\" points=\"{}\"/>\n", i % 11, points.join(" ")));
        if let Some((place, value)) = series.points.last() {
            names.push((scale.at(*value), x(*place), i));
        }
    }
    // Names stand at the right edge, none on another.
    names.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut free = TOP;
    let room = bottom - LINE * names.len() as f64;
    for (n, (end, from, i)) in names.iter().enumerate() {
        let y = end.max(free).min(room + LINE * (n as f64 + 1.0));
        free = y + LINE;
        body.push_str(&format!(
            "<line class=\"line s{0}\" style=\"stroke-width:1\" stroke-dasharray=\"2 3\" x1=\"{from:.1}\" y1=\"{end:.1}\" x2=\"{1:.1}\" y2=\"{y:.1}\"/><text x=\"{2:.1}\" y=\"{3:.1}\">{4}</text>\n",
            i % 11, WIDTH - RIGHT + 18.0, WIDTH - RIGHT + 22.0, y + 4.0, escaped(&all[*i].name)
        ));
    }
    page(title, unit, bottom + 36.0, &body)
}

fn page(title: &str, unit: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>{0}</title>\n{STYLE}\n<text class=\"title\" x=\"16\" y=\"26\">{0}</text><text x=\"16\" y=\"46\">{1}</text>\n{body}</svg>\n",
        escaped(title),
        escaped(unit)
    )
}

/// Logarithmic, from one power of ten to another.
struct Scale {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Scale {
    fn of(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for power in values.filter(|v| *v > 0.0).map(f64::log10) {
            (least, most) = (least.min(power), most.max(power));
        }
        let least = least.floor();
        Self { least, most: most.ceil().max(least + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        let share = (value.max(1e-9).log10() - self.least) / (self.most - self.least);
        self.from + (self.to - self.from) * share
    }

    fn marks(&self) -> Vec<f64> {
        (self.least as i32..=self.most as i32).map(|power| 10f64.powi(power)).collect()
    }
}

fn number(value: f64) -> String {
    let digits = if value < 10.0 { format!("{value:.1}") } else { format!("{value:.0}") };
    let digits = digits.trim_end_matches(".0");
    let Some(whole) = digits.split('.').next().filter(|w| w.len() > 3 && *w == digits) else {
        return digits.to_owned();
    };
    let mut text = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_holds_its_values_and_numbers_are_readable() {
        let scale = Scale::of([15.0, 4000.0].into_iter(), 0.0, 300.0);
        assert_eq!(scale.marks(), [10.0, 100.0, 1000.0, 10000.0]);
        assert!(scale.at(10.0).abs() < 1e-6 && (scale.at(10000.0) - 300.0).abs() < 1e-6);
        assert_eq!([0.5, 16.0, 1000.0, 1234567.0].map(number), ["0.5", "16", "1,000", "1,234,567"]);
    }
}
