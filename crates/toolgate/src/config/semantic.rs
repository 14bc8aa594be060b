//! What a schema cannot say: addresses, directories, names of servers, numbers that make no sense, the policy.
//!
//! Called by `config::load` on a document of the right shape; collects problems and resolves paths.

use super::Known;
use super::document::Document;
use super::nearest::nearest;
use super::schema;
use crate::upstreams::check as of_upstream;
use serde_json::json;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use toolgate_core::name::ServerName;
use toolgate_core::policy::{Policy, PolicyFile, server_key};
use toolgate_upstream::Upstream;

/// Collects a problem: path, message.
pub type Report<'a> = &'a mut dyn FnMut(&str, String);

/// `127.0.0.1:8000`, `[::1]:8000`, `localhost:8000`.
pub fn listen(text: &str, report: Report<'_>) -> Option<SocketAddr> {
    let parsed = match text.strip_prefix("localhost:") {
        Some(port) => format!("127.0.0.1:{port}").parse().ok(),
        None => text.parse().ok(),
    };
    if parsed.is_none() {
        let named =
            text.rsplit_once(':').is_some_and(|(host, _)| host.contains(|c: char| c.is_ascii_alphabetic()));
        let hint = if named { "; write an IP address instead of a name" } else { "" };
        report(
            "listen",
            format!("{} is not an address and port, such as \"127.0.0.1:8000\"{hint}", json!(text)),
        );
    }
    parsed
}

/// `~/x` and paths relative to `base`, made absolute.
pub fn absolute(path: &Path, base: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~"), home) {
        (Ok(rest), Some(home)) => home.join(rest),
        _ => base.join(path),
    }
}

const LIMITS: &str = "limits.servers.";
const POLICIES: &str = "server_policies.";

/// Everything that can be checked without opening the data directory.
pub fn check(document: &Document, servers: &[&str], report: Report<'_>) {
    if document.version != 1 {
        report(
            "version",
            format!("{} is not a version that is known here; write `version: 1`", document.version),
        );
    }
    log_level(&document.log.level, report);
    let owned = [
        document.http.problems(),
        document.limits.clients.problems(),
        document.exec.problems(),
        document.egress.problems(),
    ];
    for problem in owned.into_iter().flatten() {
        placed(problem, report);
    }
    if document.journal.segment_size.0 < 64 << 10 {
        report(
            "journal.segment_size",
            format!("{} is too small; at least 64KiB", document.journal.segment_size),
        );
    }
    if document.journal.checkpoint_lines == 0 {
        report("journal.checkpoint_lines", "0 is too small; at least 1".to_owned());
    }
    if document.journal.checkpoint_after.0.is_zero() {
        report("journal.checkpoint_after", "\"0\" is too short; at least \"1ms\"".to_owned());
    }
    upstreams(document, servers, report);
    limits(document, servers, report);
    let known: Vec<String> = servers.iter().map(|name| (*name).to_owned()).collect();
    for (i, name) in document.servers.enabled.iter().flatten().enumerate() {
        if !servers.contains(&name.as_str()) {
            report(&format!("servers.enabled[{i}]"), schema::unknown("server", name, &known));
        }
    }
    for (name, made) in &document.virtual_servers {
        if let Err(problem) = ServerName::new(name) {
            report(&format!("virtual_servers.{name}"), problem);
        }
        for (field, problem) in made.problems() {
            report(&format!("virtual_servers.{name}.{field}"), problem);
        }
    }
}

// A lone word would be read as the name of a part of the program, and everything else be silent.
fn log_level(text: &str, report: Report<'_>) {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_level = |word: &str| LEVELS.contains(&word.to_lowercase().as_str());
    let wrong = text.split(',').map(str::trim).find(|part| !part.contains('=') && !is_level(part));
    let why = match (wrong, tracing_subscriber::EnvFilter::try_new(text)) {
        (Some(word), _) => {
            let hint = nearest(&word.to_lowercase(), LEVELS);
            hint.map_or(String::new(), |word| format!("; did you mean {word:?}?"))
        }
        (None, Err(problem)) => format!(": {problem}"),
        (None, Ok(_)) => return,
    };
    let levels = LEVELS.join(", ");
    report(
        "log.level",
        format!(
            "{} is neither a level ({levels}) nor directives such as \"info,toolgate_engine=debug\"{why}",
            json!(text)
        ),
    );
}

fn upstreams(document: &Document, servers: &[&str], report: Report<'_>) {
    for (name, upstream) in &document.upstreams {
        let path = format!("upstreams.{name}");
        if let Err(message) = of_upstream::name(name, servers) {
            report(&path, message);
        }
        for (below, message) in of_upstream::check(upstream).problems {
            report(&joined(&path, &below), message);
        }
    }
}

/// What is doubtful of the upstreams: path and sentence.
pub fn upstream_warnings(document: &Document) -> impl Iterator<Item = (String, String)> + '_ {
    document.upstreams.iter().flat_map(|(name, upstream)| {
        let path = format!("upstreams.{name}");
        of_upstream::check(upstream)
            .warnings
            .into_iter()
            .map(move |(below, message)| (joined(&path, &below), message))
    })
}

fn joined(path: &str, below: &str) -> String {
    if below.is_empty() { path.to_owned() } else { format!("{path}.{below}") }
}

/// Paths of an upstream, relative to the file that it is written in, made absolute; so is a command with a slash.
pub fn absolute_upstream(upstream: &mut Upstream, from_file: &dyn Fn(&Path) -> std::path::PathBuf) {
    let single = [&mut upstream.cwd, &mut upstream.ca];
    for path in single.into_iter().flatten().chain(&mut upstream.read).chain(&mut upstream.write) {
        *path = from_file(path);
    }
    if let Some(command) = upstream.command.as_mut().filter(|command| command.contains('/')) {
        *command = from_file(Path::new(command.as_str())).display().to_string();
    }
}

fn limits(document: &Document, servers: &[&str], report: Report<'_>) {
    let limits = &document.limits;
    for (path, zero, why) in [
        ("limits.concurrency", limits.concurrency == 0, "0 lets no call run; at least 1"),
        ("limits.read_attempts", limits.read_attempts == 0, "0 means no try at all; at least 1"),
        (
            "limits.max_duration",
            limits.max_duration.0.is_zero(),
            "\"0\" ends every call at once; at least \"1s\"",
        ),
        (
            "limits.catalogues.max_bytes",
            limits.catalogues.max_bytes.0 == 0,
            "\"0B\" lets no upstream offer anything",
        ),
        (
            "limits.catalogues.max_items",
            limits.catalogues.max_items == 0,
            "0 lets no upstream offer anything",
        ),
        ("limits.max_output", limits.max_output.0 == 0, "\"0B\" cuts every result; at least \"1KiB\""),
        (
            "limits.breaker.failures",
            limits.breaker.failures == 0,
            "0 would open the breaker at once; at least 1",
        ),
    ] {
        if zero {
            report(path, why.to_owned());
        }
    }
    let known: Vec<String> = servers.iter().map(|name| (*name).to_owned()).collect();
    for (name, server) in &limits.servers {
        let path = format!("limits.servers.{name}");
        let is_known = servers.contains(&name.as_str()) || document.upstreams.contains_key(name);
        let all = servers.iter().copied().chain(document.upstreams.keys().map(String::as_str));
        // As with policies: a slip is one, another name may be an upstream's that the store has or will have.
        if !is_known && (nearest(name, all).is_some() || ServerName::new(name).is_err()) {
            report(&path, schema::unknown("server", name, &known));
        }
        if server.concurrency == Some(0) {
            report(&format!("{path}.concurrency"), "0 lets no call run; at least 1".to_owned());
        }
    }
}

/// Compile the policy; problems name their place themselves.
pub fn policy(file: &PolicyFile, known: Known, upstreams: &[&str], report: Report<'_>) -> Option<Policy> {
    restrictions(file, known, upstreams, report);
    match Policy::compile(file) {
        Ok(policy) => Some(policy),
        Err(problems) => {
            for problem in problems {
                placed(problem, report);
            }
            None
        }
    }
}

// A restriction of something that does not exist restricts nothing, and whoever wrote it believes that it does.
// What an upstream has is not known here, and more upstreams may be in the store (`absent_servers`).
fn restrictions(file: &PolicyFile, known: Known, upstreams: &[&str], report: Report<'_>) {
    let servers: Vec<String> = known.servers.iter().map(|name| (*name).to_owned()).collect();
    for (name, rules) in &file.server_policies {
        let path = format!("server_policies.{name}");
        let is = |server: &str| server_key(server) == server_key(name);
        let Some(server) = servers.iter().find(|server| is(server)) else {
            let all = known.servers.iter().chain(upstreams).copied();
            let upstream = upstreams.iter().any(|upstream| is(upstream));
            if !upstream && (nearest(name, all).is_some() || ServerName::new(name).is_err()) {
                report(&path, schema::unknown("server", name, &servers));
            }
            continue;
        };
        let entries = (known.entries)(server);
        for tool in rules.tools.keys().filter(|tool| !entries.contains(tool)) {
            report(&format!("{path}.tools.{tool}"), schema::unknown("tool", tool, &entries));
        }
    }
}

/// Servers that limits are for, that are neither built in nor upstreams of the file: path and sentence. The store may have
/// them.
pub fn absent_limits(document: &Document, known: Known) -> Vec<(String, String)> {
    let absent =
        |name: &&String| !known.servers.contains(&name.as_str()) && !document.upstreams.contains_key(*name);
    let warning = |name: &String| {
        let why = "no server of this name is configured here; the limits take effect when an upstream of this name is added";
        (format!("{LIMITS}{name}"), why.to_owned())
    };
    document.limits.servers.keys().filter(absent).map(warning).collect()
}

/// Warnings of `absent_limits` and `absent_servers` that are none where these upstreams are in the store.
pub fn is_answered(path: &str, stored: &BTreeSet<String>) -> bool {
    let policy = |name: &str| stored.iter().any(|server| server_key(server) == server_key(name));
    path.strip_prefix(LIMITS).is_some_and(|name| stored.contains(name))
        || path.strip_prefix(POLICIES).is_some_and(policy)
}

/// Servers that rules are for and that nothing here names: path and sentence.
pub fn absent_servers(file: &PolicyFile, known: Known, upstreams: &[&str]) -> Vec<(String, String)> {
    let is = |name: &str, server: &str| server_key(server) == server_key(name);
    let absent = |name: &&String| !known.servers.iter().chain(upstreams).any(|server| is(name, server));
    let warning = |name: &String| {
        let why = "no server of this name is configured here; the rules take effect when an upstream of this name is added";
        (format!("{POLICIES}{name}"), why.to_owned())
    };
    file.server_policies.keys().filter(absent).map(warning).collect()
}

/// Other crates write a problem as `path: what is wrong`.
pub fn placed(problem: String, report: Report<'_>) {
    match problem.split_once(": ") {
        Some((path, message)) if !path.contains(' ') => report(path, message.to_owned()),
        _ => report("", problem),
    }
}
