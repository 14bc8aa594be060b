//! What the settings of an upstream must mean, beyond their shape.
//!
//! Called by `config::semantic` for the file, and before anything is stored. A problem is a path below the upstream and a
//! sentence with the fix; a warning is the same, and stops nothing.

use super::secret;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use toolgate_core::name::ServerName;
use toolgate_core::pattern::Choice;
use toolgate_core::uri::MAX_URI;
use toolgate_upstream::settings::{Sandbox, Transport};
use toolgate_upstream::{Upstream, forward};
use url::Url;

/// What was found: paths below the upstream, and sentences.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub problems: Vec<(String, String)>,
    pub warnings: Vec<(String, String)>,
}

// Never forwarded from a client, and never set by hand.
const CONNECTION: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "keep-alive"];
// Longest list of anything.
const MANY: usize = 1000;

/// Whether a name can be one of an upstream beside these built-in servers.
pub fn name(name: &str, builtin: &[&str]) -> Result<ServerName, String> {
    let checked = ServerName::new(name)?;
    if builtin.contains(&name) {
        return Err(format!("there is a built-in server named {name:?}; give the upstream another name"));
    }
    Ok(checked)
}

/// Everything that is wrong or doubtful.
pub fn check(upstream: &Upstream) -> Found {
    let mut found = Found::default();
    match (&upstream.url, &upstream.command) {
        (Some(url), None) => remote(url, upstream, &mut found),
        (None, Some(command)) => program(command, upstream, &mut found),
        (Some(_), Some(_)) => found.problem("", "both `url` and `command` are set; keep one"),
        (None, None) => {
            found.problem("", "neither `url` nor `command` is set; one of them says where the server is")
        }
    }
    values(upstream, &mut found);
    tools(upstream, &mut found);
    limits(upstream, &mut found);
    found
}

impl Found {
    fn problem(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.problems.push((path.into(), message.into()));
    }

    fn warning(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.push((path.into(), message.into()));
    }
}

fn remote(text: &str, upstream: &Upstream, found: &mut Found) {
    match Url::parse(text) {
        Err(problem) => found.problem("url", format!("is not a URL ({problem}); write \"https://host/mcp\"")),
        Ok(url) => {
            if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
                found.problem("url", "must begin with http:// or https:// and name a host");
            }
            if !url.username().is_empty() || url.password().is_some() {
                found.problem("url", "holds credentials; put them into `headers`, as a reference");
            }
            if url.fragment().is_some() {
                found.problem("url", "has a fragment (#), which is never sent; leave it out");
            }
            for (key, value) in url.query_pairs() {
                if secret::suspicious(&key, &value) {
                    let why = "holds what looks like a secret, and addresses end up in logs; put it into `headers`, as a \
                               reference";
                    found.problem("url", format!("the parameter {key:?} {why}"));
                }
            }
            let local = url
                .host_str()
                .is_some_and(|host| host == "localhost" || host.starts_with("127.") || host == "[::1]");
            if url.scheme() == "http" && !local && !upstream.headers.is_empty() {
                found.warning("url", "is plain HTTP: the headers can be read on the way; use https");
            }
        }
    }
    for (path, set) in [
        ("args", !upstream.args.is_empty()),
        ("env", !upstream.env.is_empty()),
        ("cwd", upstream.cwd.is_some()),
        ("read", !upstream.read.is_empty()),
        ("write", !upstream.write.is_empty()),
        ("egress", !upstream.egress.is_empty()),
    ] {
        if set {
            found.problem(path, "is for programs, and this upstream has a `url`; leave it out");
        }
    }
    if upstream.ca.as_deref().is_some_and(|path| !path.is_absolute()) {
        found.problem("ca", "must be an absolute path");
    }
}

fn program(command: &str, upstream: &Upstream, found: &mut Found) {
    if command.trim().is_empty() || command.contains(['\0', '\n']) {
        found.problem("command", "is not the name or path of a program");
    } else if command.contains(' ') && !command.contains('/') {
        found.problem("command", "holds spaces: no shell reads it; put the arguments into `args`");
    }
    for (path, set) in [
        ("headers", !upstream.headers.is_empty()),
        ("forward_headers", !upstream.forward_headers.is_empty()),
        ("transport", upstream.transport != Transport::Auto),
        ("ca", upstream.ca.is_some()),
    ] {
        if set {
            found.problem(path, "is for endpoints, and this upstream has a `command`; leave it out");
        }
    }
    let paths = |what: &str, all: &[PathBuf], found: &mut Found| {
        for (i, path) in all.iter().enumerate() {
            if !path.is_absolute() {
                found.problem(format!("{what}[{i}]"), "must be an absolute path");
            } else if path == Path::new("/") {
                found.warning(format!("{what}[{i}]"), "is everything; name what the program needs");
            }
        }
    };
    paths("read", &upstream.read, found);
    paths("write", &upstream.write, found);
    if upstream.cwd.as_deref().is_some_and(|path| !path.is_absolute()) {
        found.problem("cwd", "must be an absolute path");
    }
    for (i, host) in upstream.egress.iter().enumerate() {
        if !is_host(host) {
            found.problem(
                format!("egress[{i}]"),
                "is not a host; write \"api.example.com\" or \"*.example.com:443\"",
            );
        }
    }
    if upstream.sandbox == Sandbox::None {
        found.warning(
            "sandbox",
            "`none` lets the program do whatever this user may; use `standard` with `read`, `write` and `egress`",
        );
    }
    for (i, (arg, shown)) in upstream.args.iter().zip(secret::arguments(&upstream.args)).enumerate() {
        if *arg != shown {
            let why = "looks like a secret, and every process of this machine can read arguments; put it into `env`, as a \
                       reference, if the program takes it from there";
            found.warning(format!("args[{i}]"), why);
        }
    }
}

fn is_host(text: &str) -> bool {
    let (host, port) = text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
    let host = host.strip_prefix("*.").unwrap_or(host);
    !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_'))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

fn values(upstream: &Upstream, found: &mut Found) {
    for key in upstream.env.keys() {
        if !secret::is_variable(key) {
            found.problem(format!("env.{key}"), "is not the name of an environment variable");
        } else if key.starts_with("LD_") || key.starts_with("DYLD_") {
            found.problem(format!("env.{key}"), "changes which code the loader runs; leave it out");
        }
    }
    for key in upstream.headers.keys() {
        let lower = key.to_ascii_lowercase();
        if http::HeaderName::try_from(key.as_str()).is_err() {
            found.problem(format!("headers.{key}"), "is not the name of a header");
        } else if CONNECTION.contains(&lower.as_str()) || lower.starts_with("mcp-") {
            found.problem(format!("headers.{key}"), "is set by the gateway itself; leave it out");
        }
    }
    let mut seen = BTreeSet::new();
    for (i, key) in upstream.forward_headers.iter().enumerate() {
        let (path, lower) = (format!("forward_headers[{i}]"), key.to_ascii_lowercase());
        if http::HeaderName::try_from(key.as_str()).is_err() {
            found.problem(path, "is not the name of a header");
        } else if let Some(why) = forward::withheld(&lower) {
            found.problem(path, format!("{key} {why}"));
        } else if !seen.insert(lower) {
            found.problem(path, "is there twice");
        }
    }
    let both = [("env", &upstream.env), ("headers", &upstream.headers)];
    for (section, (key, value)) in
        both.into_iter().flat_map(|(section, map)| map.iter().map(move |pair| (section, pair)))
    {
        let path = format!("{section}.{key}");
        if let Some(problem) = secret::problem(value) {
            found.problem(path, problem);
        } else if secret::suspicious(key, value) {
            found.warning(
                path,
                "looks like a secret that is written out; put it into a file of mode 600 or the environment and write \
                 ${file:/PATH} or ${env:NAME} here",
            );
        }
    }
}

fn tools(upstream: &Upstream, found: &mut Found) {
    let tools = &upstream.tools;
    for (section, choice, example) in
        [("resources", &upstream.resources, "file:///pub/*"), ("prompts", &upstream.prompts, "ask_*")]
    {
        for (what, all) in [("allow", &choice.allow), ("deny", &choice.deny)] {
            for (i, pattern) in all.iter().enumerate() {
                if !is_pattern_within(pattern, MAX_URI) {
                    let why = format!("is neither what is meant, nor a pattern such as \"{example}\"");
                    found.problem(format!("{section}.{what}[{i}]"), why);
                }
            }
        }
    }
    for (what, all) in [("allow", &tools.allow), ("deny", &tools.deny)] {
        for (i, pattern) in all.iter().enumerate() {
            if !is_pattern(pattern) {
                found.problem(
                    format!("tools.{what}[{i}]"),
                    "is not the name of a tool, nor a pattern such as \"read_*\"",
                );
            }
        }
    }
    let effects = tools.effects.keys().map(|pattern| ("effects", pattern));
    for (what, pattern) in effects.chain(tools.tasks.keys().map(|pattern| ("tasks", pattern))) {
        if !is_pattern(pattern) {
            found.problem(
                format!("tools.{what}.{pattern}"),
                "is not the name of a tool, nor a pattern such as \"read_*\"",
            );
        }
    }
    let mut targets = BTreeSet::new();
    for (from, to) in &tools.rename {
        let path = format!("tools.rename.{from}");
        let fits = (1..=64).contains(&to.len())
            && to.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
        if !fits {
            found.problem(path, format!("{to:?} is not a name: 1 to 64 of A-Z a-z 0-9 _ -"));
        } else if !targets.insert(to) {
            found.problem(path, format!("another tool is renamed to {to:?} as well"));
        }
    }
}

fn is_pattern(text: &str) -> bool {
    is_pattern_within(text, 200)
}

fn is_pattern_within(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && !text.contains(char::is_control) && text.matches('*').count() <= 8
}

fn limits(upstream: &Upstream, found: &mut Found) {
    let most = |choice: &Choice| choice.allow.len() + choice.deny.len();
    let hour = std::time::Duration::from_secs(3600);
    for (path, fits, want) in [
        ("max_sessions", (1..=10_000).contains(&upstream.max_sessions), "from 1 to 10000"),
        ("max_concurrency", (1..=10_000).contains(&upstream.max_concurrency), "from 1 to 10000"),
        ("max_message", (1 << 10..=1 << 30).contains(&upstream.max_message.0), "from 1KiB to 1GiB"),
        ("memory", upstream.memory.0 >= 16 << 20, "at least 16MiB"),
        ("deadline", !upstream.deadline.0.is_zero() && upstream.deadline.0 <= hour, "from 1ms to 1h"),
        ("start", !upstream.start.0.is_zero() && upstream.start.0 <= hour, "from 1ms to 1h"),
        ("idle", !upstream.idle.0.is_zero(), "at least 1ms"),
        ("args", upstream.args.len() <= MANY, "a list of at most 1000"),
        ("tools", upstream.tools.allow.len() + upstream.tools.deny.len() <= MANY, "lists of at most 1000"),
        ("resources", most(&upstream.resources) <= MANY, "lists of at most 1000"),
        ("prompts", most(&upstream.prompts) <= MANY, "lists of at most 1000"),
    ] {
        if !fits {
            found.problem(path, format!("must be {want}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn of(settings: Value) -> Found {
        check(&serde_json::from_value::<Upstream>(settings).unwrap())
    }

    fn paths(found: &[(String, String)]) -> Vec<&str> {
        found.iter().map(|(path, _)| path.as_str()).collect()
    }

    #[test]
    fn good_ones() {
        for settings in [
            json!({"url": "https://mcp.example.com/mcp", "headers": {"Authorization": "Bearer ${env:T}"}}),
            json!({"url": "http://127.0.0.1:1/mcp?tenant=a", "forward_headers": ["X-Tenant"], "ca": "/etc/ca.pem"}),
            json!({"command": "npx", "args": ["-y", "x@1"], "env": {"K": "${file:/k}"}, "egress": ["*.npmjs.org:443"],
                "tools": {"allow": ["read_*"], "rename": {"a": "b"}}, "cwd": "/srv", "read": ["/srv"]}),
        ] {
            assert_eq!(of(settings.clone()), Found::default(), "{settings}");
        }
    }

    #[test]
    fn every_problem_has_its_path() {
        for (settings, expected) in [
            (json!({}), vec![""]),
            (json!({"url": "https://a/", "command": "b"}), vec![""]),
            (json!({"url": "ftp://a/"}), vec!["url"]),
            (json!({"url": "https://u:p@a/"}), vec!["url"]),
            (json!({"url": "https://a/?api_key=abcdefgh"}), vec!["url"]),
            (json!({"url": "https://a/", "args": ["x"], "env": {"A": "b"}}), vec!["args", "env"]),
            (
                json!({"url": "https://a/", "headers": {"Host": "b", "é": "c", "X": "${A}"}}),
                vec!["headers.Host", "headers.é", "headers.X"],
            ),
            (
                json!({"url": "https://a/", "forward_headers": ["X", "x", "X-API-Key", "a b"]}),
                vec!["forward_headers[1]", "forward_headers[2]", "forward_headers[3]"],
            ),
            (json!({"command": "npx -y x"}), vec!["command"]),
            (
                json!({"command": "x", "headers": {"A": "b"}, "transport": "sse"}),
                vec!["headers", "transport"],
            ),
            (
                json!({"command": "x", "cwd": "a", "read": ["b"], "egress": ["a/b"]}),
                vec!["read[0]", "cwd", "egress[0]"],
            ),
            (json!({"command": "x", "env": {"LD_PRELOAD": "y", "1": "z"}}), vec!["env.1", "env.LD_PRELOAD"]),
            (
                json!({"command": "x", "tools": {"allow": [""], "effects": {"": "read"}, "tasks": {"": "optional"}, "rename": {"a": "c", "b": "c", "d": "e f"}}}),
                vec!["tools.allow[0]", "tools.effects.", "tools.tasks.", "tools.rename.b", "tools.rename.d"],
            ),
            (
                json!({"url": "https://a/", "resources": {"allow": ["file:///a b/*", ""]}, "prompts": {"deny": ["x\n"]}}),
                vec!["resources.allow[1]", "prompts.deny[0]"],
            ),
            (
                json!({"command": "x", "max_sessions": 0, "deadline": "0s", "memory": "1B"}),
                vec!["max_sessions", "memory", "deadline"],
            ),
        ] {
            assert_eq!(paths(&of(settings.clone()).problems), expected, "{settings}");
        }
        assert!(
            name("omnipotent", &["omnipotent"]).is_err() && name("A", &[]).is_err() && name("a", &[]).is_ok()
        );
    }

    #[test]
    fn what_is_doubtful_is_a_warning() {
        let found = of(
            json!({"command": "x", "sandbox": "none", "env": {"API_KEY": "abcdefgh"}, "args": ["--token=abcdefgh"]}),
        );
        assert_eq!(found.problems, []);
        assert_eq!(paths(&found.warnings), ["sandbox", "args[0]", "env.API_KEY"]);
        let text = format!("{found:?}");
        assert!(!text.contains("abcdefgh"), "{text}");
        assert_eq!(paths(&of(json!({"url": "http://a.example/", "headers": {"X": "y"}})).warnings), ["url"]);
    }
}
