//! `toolgate config check | show | schema`.

use crate::cli;
use crate::config::{Document, Settings, schema, show};
use crate::output::{Out, Paint};
use anyhow::Result;
use serde_json::json;

pub fn run(command: &cli::Config, settings: impl FnOnce() -> Result<Settings>, out: Out) -> Result<()> {
    match command {
        cli::Config::Schema => out.value(&schema::of::<Document>())?,
        // Problems come back as the error, with exit code 78.
        cli::Config::Check => {
            let settings = settings()?;
            let file = settings.file.as_ref().map(|file| file.display().to_string());
            if out.json {
                out.value(&json!({ "ok": true, "file": file, "warnings": settings.warnings }))?;
            } else {
                let what = file.unwrap_or_else(|| "no file, defaults".to_owned());
                for warning in &settings.warnings {
                    out.line(format!("{} {warning}", out.paint(Paint::Warn, "warning")))?;
                }
                out.line(format!("{} {what}", out.paint(Paint::Good, "ok")))?;
            }
        }
        cli::Config::Show => {
            let rows = show::effective(&settings()?);
            if out.json {
                out.value(&rows)?;
            } else {
                let rows = rows
                    .into_iter()
                    .map(|row| {
                        let value = row.value.as_str().map_or_else(|| row.value.to_string(), str::to_owned);
                        vec![row.path, value, row.origin]
                    })
                    .collect();
                out.table(&["setting", "value", "origin"], rows, "")?;
            }
        }
    }
    Ok(())
}
