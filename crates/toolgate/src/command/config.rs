//! `toolgate config check | show | schema`.

use crate::cli;
use crate::config::{Settings, opens, schema, show};
use crate::control;
use crate::output::{Out, Paint};
use crate::upstreams;
use anyhow::Result;
use serde_json::json;

pub fn run(command: &cli::Config, settings: impl FnOnce() -> Result<Settings>, out: Out) -> Result<()> {
    match command {
        cli::Config::Schema => out.value(&schema::published())?,
        // Problems come back as the error, with exit code 78.
        cli::Config::Check => {
            let settings = settings()?;
            opens::check(&settings)?;
            let file = settings.file.as_ref().map(|file| file.display().to_string());
            // A store that cannot be opened is not the configuration's fault.
            let stored = super::block_on(upstreams::names(&settings)).unwrap_or_default();
            let warnings: Vec<_> = settings.warnings_beside(&stored).collect();
            if out.json {
                out.value(&json!({ "ok": true, "file": file, "warnings": warnings }))?;
            } else {
                let what = file.unwrap_or_else(|| "no file, defaults".to_owned());
                for warning in warnings {
                    out.line(format!("{} {warning}", out.paint(Paint::Warn, "warning")))?;
                }
                out.line(format!("{} {what}", out.paint(Paint::Good, "ok")))?;
            }
        }
        cli::Config::Show => {
            let settings = settings()?;
            let mut rows = show::effective(&settings);
            let running = super::block_on(async { Ok(control::running(&settings.data.join("run")).await) })?;
            for row in &mut rows {
                row.running = running
                    .iter()
                    .map(|process| {
                        (process.pid, process.settings.get(&row.path).cloned().unwrap_or_default())
                    })
                    .filter(|(_, value)| *value != row.value)
                    .collect();
            }
            if out.json {
                out.value(&rows)?;
            } else {
                let notes = notes(&rows, &running);
                let rows = rows
                    .into_iter()
                    .map(|row| {
                        let value = row.value.as_str().map_or_else(|| row.value.to_string(), str::to_owned);
                        vec![row.path, value, row.origin]
                    })
                    .collect();
                out.table(&["setting", "value", "origin"], rows, "")?;
                notes.iter().for_each(crate::output::say);
            }
        }
    }
    Ok(())
}

// Whether a running gateway uses what was shown.
fn notes(rows: &[show::Shown], running: &[control::Running]) -> Vec<String> {
    if running.is_empty() {
        return vec![
            "\nNo gateway runs on this data directory; these are the values that one would start with."
                .to_owned(),
        ];
    }
    let of = |process: &control::Running| {
        let other = rows.iter().filter_map(|row| Some((&row.path, row.running.get(&process.pid)?)));
        let other: Vec<String> = other.map(|(path, value)| format!("  {path}: {value}")).collect();
        let pid = process.pid;
        match other.is_empty() {
            true => format!("\nProcess {pid} runs with these values."),
            false => format!(
                "\nProcess {pid} runs with other values, by its own flags or from before a change (SIGHUP takes over policy \
                 and log level, a restart the rest):\n{}",
                other.join("\n")
            ),
        }
    };
    running.iter().map(of).collect()
}
