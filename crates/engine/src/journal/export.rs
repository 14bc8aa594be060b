//! Records as JSON lines or as CSV, for other programs.
//!
//! Used by the command line. A JSON line is the record as journaled plus `node`. A CSV cell that a spreadsheet would
//! take for a formula is defused with a leading apostrophe.

use super::io_error;
use super::read::{Entry, Filter, read};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use toolgate_core::{Error, canon};

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    JsonLines,
    Csv,
}

const COLUMNS: [&str; 22] = [
    "time",
    "node",
    "seq",
    "phase",
    "id",
    "caller",
    "caller_name",
    "roles",
    "client",
    "server",
    "tool",
    "effect",
    "decision",
    "rule",
    "outcome",
    "message",
    "cached",
    "duration_us",
    "bytes",
    "trace_id",
    "args_digest",
    "args",
];

/// Write the wanted records beneath `dir`, oldest first; how many. `Unavailable` when reading or writing fails.
pub fn export(dir: &Path, filter: Filter, format: Format, out: &mut dyn Write) -> Result<u64, Error> {
    let failed = |e: io::Error| io_error("export the journal", e);
    let mut count = 0;
    match format {
        Format::JsonLines => {
            for entry in read(dir, filter)? {
                let value = serde_json::to_value(entry?).map_err(|e| failed(e.into()))?;
                writeln!(out, "{}", canon::to_string(&value)).map_err(failed)?;
                count += 1;
            }
        }
        Format::Csv => {
            let failed_csv = |e: csv::Error| failed(io::Error::other(e));
            let mut csv = csv::Writer::from_writer(&mut *out);
            csv.write_record(COLUMNS).map_err(failed_csv)?;
            for entry in read(dir, filter)? {
                csv.write_record(cells(&entry?)).map_err(failed_csv)?;
                count += 1;
            }
            csv.flush().map_err(failed)?;
        }
    }
    out.flush().map_err(failed)?;
    Ok(count)
}

fn cells(entry: &Entry) -> Vec<String> {
    let value = serde_json::to_value(entry).unwrap_or_default();
    let cell = |name: &&str| match value.get(*name).unwrap_or(&Value::Null) {
        Value::Null if *name == "cached" => json!(false).to_string(),
        Value::Null => String::new(),
        Value::String(text) => defused(text),
        Value::Array(items) if *name == "roles" => {
            let roles: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            defused(&roles.join(" "))
        }
        other => defused(&canon::to_string(other)),
    };
    COLUMNS.iter().map(cell).collect()
}

fn defused(text: &str) -> String {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{text}") } else { text.to_owned() }
}
