//! Results on stdout: JSON or a table, colour only where a person looks.
//!
//! What others wrote is made fit for a terminal here, in one place (`terminal`). Everything returns `io::Result`: a closed pipe ends the command quietly instead of panicking as `println!` does.

use crate::terminal;
use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;
use std::io::{IsTerminal, Write};

/// How this run prints.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    pub json: bool,
    pub colour: bool,
}

/// Colour of a word.
#[derive(Debug, Clone, Copy)]
pub enum Paint {
    Good,
    Warn,
    Bad,
    Dim,
}

impl Out {
    pub fn of_process(json: bool) -> Self {
        let asked_not = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { json, colour: !json && !asked_not && std::io::stdout().is_terminal() }
    }

    /// One line, whatever is in it.
    pub fn line(&self, text: impl std::fmt::Display) -> std::io::Result<()> {
        writeln!(std::io::stdout().lock(), "{}", terminal::line(&text.to_string(), self.colour))
    }

    /// Text whose line breaks are ours.
    pub fn lines(&self, text: impl std::fmt::Display) -> std::io::Result<()> {
        writeln!(std::io::stdout().lock(), "{}", terminal::lines(&text.to_string(), self.colour))
    }

    /// Indented on a terminal, one line otherwise.
    pub fn value(&self, value: &impl Serialize) -> std::io::Result<()> {
        let mut stdout = std::io::stdout().lock();
        if stdout.is_terminal() {
            let text = serde_json::to_string_pretty(value)?;
            stdout.write_all(terminal::lines(&text, false).as_bytes())?;
        } else {
            serde_json::to_writer(&mut stdout, value)?;
        }
        writeln!(stdout)
    }

    /// A table for people; nothing but `empty` when there are no rows.
    pub fn table(&self, header: &[&str], rows: Vec<Vec<String>>, empty: &str) -> std::io::Result<()> {
        if rows.is_empty() {
            return self.line(empty);
        }
        writeln!(std::io::stdout().lock(), "{}", render(header, rows, self.colour))
    }

    pub fn paint(&self, paint: Paint, text: &str) -> String {
        if !self.colour {
            return text.to_owned();
        }
        let [good, warn, bad, dim] = terminal::COLOURS;
        let colour = match paint {
            Paint::Good => good,
            Paint::Warn => warn,
            Paint::Bad => bad,
            Paint::Dim => dim,
        };
        format!("{colour}{}{}", terminal::line(text, false), terminal::RESET)
    }
}

/// Tell a person something beside the result.
pub fn say(text: impl std::fmt::Display) {
    eprintln!("{}", terminal::lines(&text.to_string(), false));
}

fn render(header: &[&str], rows: Vec<Vec<String>>, coloured: bool) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    if std::io::stdout().is_terminal() {
        table.set_content_arrangement(ContentArrangement::Dynamic);
    }
    table.set_header(header.iter().map(|name| name.to_uppercase()));
    for row in rows {
        table.add_row(row.iter().map(|cell| terminal::line(cell, coloured)));
    }
    // The style pads every cell; the first one's padding is the margin of the whole table.
    table
        .lines()
        .map(|line| line.strip_prefix(' ').unwrap_or(&line).trim_end().to_owned())
        .collect::<Vec<_>>()
        .join("\n")
}

/// A progress bar on stderr for long work; hidden when stderr is not a terminal.
pub fn progress(total: u64, what: &'static str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new(total);
    if let Ok(style) = indicatif::ProgressStyle::with_template("{msg} [{bar:30}] {pos}/{len} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

/// The same for work of unknown length, counting bytes.
pub fn spinner(what: &'static str) -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() || std::io::stdout().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let bar = indicatif::ProgressBar::new_spinner();
    if let Ok(style) = indicatif::ProgressStyle::with_template("{spinner} {bytes} {msg} {elapsed}") {
        bar.set_style(style);
    }
    bar.set_message(what);
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_one_line_whatever_is_in_it() {
        let rows = vec![vec!["ok".to_owned(), "x\n2026-01-01 admin allow\u{1b}[8m\u{202e}".to_owned()]];
        let table = render(&["outcome", "tool"], rows, false);
        assert_eq!(table.lines().count(), 2, "{table}");
        assert!(!table.contains(['\u{1b}', '\u{202e}']), "{table}");
    }
}
