//! The log: one line for each tracing event on stderr, as JSON (CATALOGUE 2.11) or as text.
//!
//! Installed once by `serve` and `stdio`, together with the panic hook. Engine and edge emit events (`tool_execution`, `security`,
//! `performance_metric`, `error`) with fields; this writes them flat beside `timestamp`, `level`, `logger`, `service`.

mod limited;

use crate::config::document::{Log, LogFormat};
use limited::Limited;
use serde_json::{Map, Value, json};
use std::fmt;
use std::io::IsTerminal;
use std::sync::OnceLock;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Value of `service` in every line, a contract of the catalogue.
const SERVICE: &str = "mcp-server";

// The process has one log.
static LEVEL: OnceLock<Box<dyn Fn(EnvFilter) + Send + Sync>> = OnceLock::new();

/// Install the subscriber and the panic hook. A second call does nothing.
pub fn install(log: &Log) {
    let filter = EnvFilter::try_new(&log.level).unwrap_or_else(|_| EnvFilter::new("info"));
    let terminal = std::io::stderr().is_terminal();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let text = match log.format {
        LogFormat::Auto => terminal,
        LogFormat::Json => false,
        LogFormat::Text => true,
    };
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
        let mut fields = Fields(Map::new());
        fields.0.insert("timestamp".into(), json!(timestamp()));
        fields.0.insert("level".into(), json!(meta.level().as_str()));
        fields.0.insert("logger".into(), json!(meta.target()));
        fields.0.insert("service".into(), json!(SERVICE));
        event.record(&mut fields);
        writeln!(writer, "{}", Value::Object(fields.0))
    }
}

/// Now, RFC 3339 in UTC with microseconds.
pub fn timestamp() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()
}

struct Fields(Map<String, Value>);

impl Fields {
    // An event's own field never replaces one of the line's.
    fn put(&mut self, field: &Field, value: Value) {
        let name = field.name();
        let name = if self.0.contains_key(name) { format!("event_{name}") } else { name.to_owned() };
        self.0.insert(name, value);
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, json!(value));
    }
    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, json!(value));
    }
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, json!(value));
    }
    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, json!(value));
    }
    fn record_str(&mut self, field: &Field, value: &str) {
        // An event has no other way to carry an object.
        let object = if field.name() == "tags" { serde_json::from_str(value).ok() } else { None };
        self.put(field, object.unwrap_or_else(|| json!(value)));
    }
    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        let mut text = value.to_string();
        let mut source = value.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        self.put(field, json!(text));
    }
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, json!(format!("{value:?}")));
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
