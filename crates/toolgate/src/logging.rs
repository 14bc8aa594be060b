//! The log: one line for each tracing event on stderr, as JSON (CATALOGUE 2.11) or as text.
//!
//! Installed once by `serve` and `stdio`, together with the panic hook. Engine and edge emit events (`tool_execution`, `security`,
//! `performance_metric`, `error`) with fields; this writes them flat beside `timestamp`, `level`, `logger`, `service`.
//! Lines are written by a thread of their own (`spool`), within milliseconds; `flush` waits for them.

mod limited;
mod spool;

use crate::config::document::{Log, LogFormat};
use limited::Limited;
use serde_json::{Value, json};
use spool::Spool;
use std::fmt::{self, Write};
use std::io::{self, IsTerminal};
use std::sync::OnceLock;
use std::time::Duration;
use toolgate_core::canon;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::registry::LookupSpan;

/// Value of `service` in every line, a contract of the catalogue.
const SERVICE: &str = "mcp-server";

// How long an end waits for a log that nobody reads.
const LAST_LINES: Duration = Duration::from_secs(1);

// The process has one log.
static SPOOL: OnceLock<Spool> = OnceLock::new();
static LEVEL: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Install the subscriber and the panic hook. A second call does nothing.
pub fn install(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    if SPOOL.get().is_some() {
        return;
    }
    let terminal = std::io::stderr().is_terminal();
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
    let told = if text { lost_as_text } else { lost_as_json };
    // Without a thread every line is written by whoever has it.
    let writer = match Spool::start(io::stderr(), told) {
        Ok(spool) => {
            let spool = SPOOL.get_or_init(|| spool);
            BoxMakeWriter::new(|| Taken(spool))
        }
        Err(_) => BoxMakeWriter::new(io::stderr),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer);
    let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // An error here means that a subscriber is installed already (tests); that one serves.
    let _ = if text {
        let lines = tracing_subscriber::fmt::format().with_target(false);
        let builder =
            builder.with_ansi(colour).event_format(Limited::new(lines, false)).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = LEVEL.set(Box::new(move |filter| drop(handle.reload(filter))));
        builder.try_init()
    } else {
        let builder = builder.event_format(Limited::new(Lines, true)).with_filter_reloading();
        let handle = builder.reload_handle();
        let _ = LEVEL.set(Box::new(move |filter| drop(handle.reload(filter))));
        builder.try_init()
    };
    std::panic::set_hook(Box::new(panicked));
}

/// Log at another level from now on. Does nothing before `install`, or with a level that is none.
pub fn set_level(level: &str) {
    if let (Some(set), Ok(filter)) = (LEVEL.get(), EnvFilter::try_new(level)) {
        set(filter);
    }
}

/// Wait until all lines so far are written, a second at most. Called at every end of the process that is in its own hands.
pub fn flush() {
    if let Some(spool) = SPOOL.get() {
        spool.flush(LAST_LINES);
    }
}

// One event on its way to the spool.
struct Taken<'a>(&'a Spool);

impl io::Write for Taken<'_> {
    fn write(&mut self, lines: &[u8]) -> io::Result<usize> {
        self.0.take(lines);
        Ok(lines.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

const LOST: &str = "lines of the log were lost, because they came faster than they could be written";

fn lost_as_text(lost: u64) -> String {
    format!("{}  WARN {lost} {LOST}\n", timestamp())
}

fn lost_as_json(lost: u64) -> String {
    let line = json!({
        "timestamp": timestamp(), "level": "WARN", "logger": "logging", "service": SERVICE, "lost": lost, "message": LOST,
    });
    format!("{line}\n")
}

// The default hook writes plain text between the lines of the log.
fn panicked(info: &std::panic::PanicHookInfo<'_>) {
    let message = info.payload_as_str().unwrap_or("a panic without text");
    let place = info.location().map(ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    let captured = backtrace.status() == std::backtrace::BacktraceStatus::Captured;
    tracing::error!(
        target: "error",
        error_type = "panic",
        error_message = &*toolgate_core::redact::text(message),
        context = place,
        backtrace = captured.then(|| tracing::field::display(&backtrace)),
        "panicked"
    );
    // What follows may be the end.
    flush();
}

/// JSON lines.
pub struct Lines;

impl<S, N> FormatEvent<S, N> for Lines
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let meta = event.metadata();
        let mut line = String::with_capacity(512);
        let _ = write!(line, "{{\"timestamp\":\"{:.6}\"", jiff::Timestamp::now());
        let _ = write!(line, ",\"level\":\"{}\",\"logger\":", meta.level());
        canon::write_string(&mut line, meta.target());
        let _ = write!(line, ",\"service\":\"{SERVICE}\"");
        event.record(&mut Fields(&mut line));
        line.push_str("}\n");
        writer.write_str(&line)
    }
}

/// Now, RFC 3339 in UTC with microseconds.
pub fn timestamp() -> String {
    format!("{:.6}", jiff::Timestamp::now())
}

// Members are added to a line as they come: the fields of one event have different names.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn name(&mut self, field: &Field) {
        // An event's own field never replaces one of the line's.
        let taken = matches!(field.name(), "timestamp" | "level" | "logger" | "service");
        self.0.push_str(if taken { ",\"event_" } else { ",\"" });
        self.0.push_str(field.name());
        self.0.push_str("\":");
    }

    // Numbers, true and false.
    fn put(&mut self, field: &Field, value: impl fmt::Display) {
        self.name(field);
        let _ = write!(self.0, "{value}");
    }

    fn text(&mut self, field: &Field, value: &str) {
        self.name(field);
        canon::write_string(self.0, value);
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // `null` for what is no number.
        self.put(field, json!(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value);
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value);
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value);
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        // An event has no other way to carry an object.
        let object = if field.name() == "tags" { serde_json::from_str::<Value>(value).ok() } else { None };
        match object {
            Some(object) => self.put(field, object),
            None => self.text(field, value),
        }
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.text(field, &text);
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub struct Kept(Arc<Mutex<Vec<u8>>>);

    impl Kept {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Kept {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn an_event_is_one_flat_json_line() {
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().event_format(Lines).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "toolgate_engine", event = "tool_execution", tool_name = "x\n", success = true,
                execution_time_ms = 1.5, level = "mine", "ran");
        });
        let text = kept.text();
        assert_eq!(text.lines().count(), 1, "{text}");
        let line: Value = serde_json::from_str(&text).unwrap();
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
        for (name, value) in [
            ("level", json!("INFO")),
            ("event_level", json!("mine")),
            ("logger", json!("toolgate_engine")),
            ("service", json!("mcp-server")),
            ("tool_name", json!("x\n")),
            ("success", json!(true)),
            ("execution_time_ms", json!(1.5)),
            ("message", json!("ran")),
        ] {
            assert_eq!(line[name], value, "{name}");
        }
    }

    // The hook is the process's, so the panic happens in a process of its own: this test, run once more.
    #[test]
    fn a_panic_is_a_line_of_the_log() {
        const AGAIN: &str = "TOOLGATE_TEST_PANIC";
        if std::env::var_os(AGAIN).is_some() {
            install(&Log { level: "info".into(), format: LogFormat::Json });
            let _ = std::thread::spawn(|| panic!("broken with tg_abcdefghijkl_{}", "s".repeat(43))).join();
            return;
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "logging::tests::a_panic_is_a_line_of_the_log", "--nocapture"])
            .env(AGAIN, "1")
            .env("RUST_BACKTRACE", "0")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines.len(), 1, "{text}");
        assert_eq!((&lines[0]["logger"], &lines[0]["error_type"]), (&json!("error"), &json!("panic")));
        let message = lines[0]["error_message"].as_str().unwrap();
        assert!(message.starts_with("broken with") && !message.contains("ssss"), "{message}");
        assert!(lines[0]["context"].as_str().unwrap().contains("logging.rs"), "{text}");
    }
}
