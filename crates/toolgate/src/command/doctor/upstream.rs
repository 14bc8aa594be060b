//! `toolgate doctor upstream NAME`: the way to one upstream, step by step, each with its fix.

use super::Finding;
use crate::config::Settings;
use crate::upstreams::{Known, change, check, secret};
use crate::wiring::{self, Gate};
use anyhow::Result;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use toolgate_host::child::{Profile, enforceable};
use toolgate_upstream::settings::Sandbox;
use toolgate_upstream::{Cause, Report, Step, Upstream, secrets};

pub async fn all(settings: Settings, name: &str) -> Result<Vec<Finding>> {
    let gate = wiring::open(settings, "cli").await?;
    let found = gate.upstreams.find(name).await.map_err(wiring::public)?;
    let known = found.ok_or_else(|| wiring::public(change::nothing(name)))?;
    let findings = walk(&gate, &known).await;
    gate.close().await?;
    findings
}

async fn walk(gate: &Gate, known: &Known) -> Result<Vec<Finding>> {
    let mut findings = vec![match &known.broken {
        Some(why) => {
            Finding::wrong("settings", why.clone(), "change it: `toolgate upstreams add … --replace`")
        }
        None => Finding::ok("settings", format!("from {}", known.source())),
    }];
    if known.broken.is_some() {
        return Ok(findings);
    }
    for (path, message) in check::check(&known.settings).warnings {
        findings.push(Finding::warning("settings", path, message));
    }
    if !known.settings.enabled {
        let mend = format!("toolgate upstreams enable {}", known.name);
        findings.push(Finding::warning("enabled", "it is disabled: nothing of it is offered", mend));
    }
    let (name, settings) = (known.name.clone(), known.settings.clone());
    findings.extend(tokio::task::spawn_blocking(move || local(&name, &settings)).await?);
    if findings.iter().any(|finding| finding.level == super::Level::Wrong) {
        return Ok(findings);
    }
    let server = crate::upstreams::admin::server_name(&known.name).map_err(wiring::public)?;
    let report = gate.upstreams.test(&server, &known.settings).await;
    findings.extend(tried(&report, &known.settings));
    Ok(findings)
}

// What can be seen without connecting. Blocks.
fn local(name: &str, settings: &Upstream) -> Vec<Finding> {
    let mut findings = references(name, settings);
    if let Some(command) = &settings.command {
        let path = std::env::var_os("PATH").unwrap_or_default();
        findings.push(program(command, &path));
        findings.push(sandbox(settings.sandbox));
        for path in settings.read.iter().chain(&settings.write).chain(&settings.cwd) {
            if !path.exists() {
                let mend = "make it, or take it out of `read`, `write` or `cwd`";
                findings.push(Finding::wrong("paths", format!("{} is not there", path.display()), mend));
            }
        }
    }
    findings
}

fn references(name: &str, settings: &Upstream) -> Vec<Finding> {
    let mut findings = Vec::new();
    let both = [("env", &settings.env), ("headers", &settings.headers)];
    for (section, values) in both {
        for (key, value) in values {
            let field = format!("upstreams.{name}.{section}.{key}");
            if let Err(why) = secrets::resolve(&field, value) {
                let mend = "set the variable where the gateway is started, or write the file (mode 600)";
                findings.push(Finding::wrong("secrets", why, mend));
            }
            for piece in secret::pieces(value).unwrap_or_default() {
                if let secret::Piece::Reference(text) = piece
                    && let Some(path) = text.strip_prefix("file:")
                    && std::fs::metadata(path).is_ok_and(|meta| meta.permissions().mode() & 0o077 != 0)
                {
                    let found = format!("{path} is open to other users");
                    findings.push(Finding::warning("secrets", found, format!("chmod 600 {path}")));
                }
            }
        }
    }
    if findings.is_empty() && (!settings.env.is_empty() || !settings.headers.is_empty()) {
        findings.push(Finding::ok("secrets", "every reference can be read"));
    }
    findings
}

// What a name leads to, and where it was looked for.
fn program(command: &str, path: &std::ffi::OsStr) -> Finding {
    let runs = |file: &Path| {
        std::fs::metadata(file).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if command.contains('/') {
        let file = PathBuf::from(command);
        if runs(&file) {
            return Finding::ok("program", command);
        }
        let why = if file.exists() { "is there, but cannot be run" } else { "is not there" };
        return Finding::wrong(
            "program",
            format!("{command} {why}"),
            "correct `command`, or chmod +x the file",
        );
    }
    let folders: Vec<PathBuf> = std::env::split_paths(path).collect();
    if let Some(file) = folders.iter().map(|folder| folder.join(command)).find(|file| runs(file)) {
        return Finding::ok("program", file.display().to_string());
    }
    let places: Vec<String> = folders.iter().map(|folder| folder.display().to_string()).collect();
    let mend = match command {
        "npx" | "node" | "npm" => {
            "install Node.js; is it installed with a version manager (nvm, fnm, volta), give the whole path: `which npx` in your shell \
             says it"
        }
        "uvx" | "uv" => "install uv (https://docs.astral.sh/uv); is it in ~/.local/bin, give the whole path",
        "docker" => "install Docker, and let this user talk to it",
        _ => {
            "install it, or give its whole path as `command`: a service often has a shorter PATH than your shell"
        }
    };
    Finding::wrong("program", format!("{command} was looked for in {}", places.join(":")), mend)
}

fn sandbox(sandbox: Sandbox) -> Finding {
    let profile = match sandbox {
        Sandbox::None => Profile::None,
        Sandbox::Standard => Profile::Standard,
        Sandbox::Strict => Profile::Strict,
    };
    match enforceable(profile) {
        Ok(by) => Finding::ok("sandbox", by),
        Err(missing) => Finding::wrong(
            "sandbox",
            format!("it cannot be confined as asked here: {}", missing.join("; ")),
            "provide what is missing, or choose a lesser `sandbox` knowing what the program may do then",
        ),
    }
}

fn tried(report: &Report, settings: &Upstream) -> Vec<Finding> {
    report
        .steps
        .iter()
        .map(|step| {
            let found = format!("{} ({} ms)", step.detail, step.took_ms);
            match step.ok {
                true if step.cause == Some(Cause::SetAside) => Finding::warning(
                    step.name,
                    found,
                    "what is set aside is not offered: tell its author, or rename it in `tools.rename`",
                ),
                true => Finding::ok(step.name, found),
                false => Finding::wrong(step.name, found, mend(step, settings)),
            }
        })
        .collect()
}

// The fix, by the kind of the failure.
fn mend(step: &Step, settings: &Upstream) -> &'static str {
    match step.cause {
        Some(Cause::Credentials) => {
            "it wants to know who asks: set `headers.Authorization: Bearer ${env:NAME}`, and check that the token is not expired"
        }
        Some(Cause::HostName) => {
            "it takes no requests for this host name (its protection against DNS rebinding): add the name to its allowed hosts"
        }
        Some(Cause::Rights) => "it knows who asks and refuses: check what the token in `headers` may do",
        Some(Cause::Path) => {
            "there is no MCP endpoint at this address: most end with /mcp, old ones with /sse"
        }
        Some(Cause::Rule) => {
            "the gateway's own rules forbid it: name the address in `egress.allow_private`, or what the program needs in `read`"
        }
        Some(Cause::Unreachable) => {
            "there is no connection: is the server running, and is `url` right as seen from this machine? A certificate of an authority \
             that is not known here needs `ca: /path/ca.pem`"
        }
        Some(Cause::Slow) => {
            "it takes too long: the first start of npx or uvx downloads the package; give it more with `start: 2m`"
        }
        Some(Cause::Ended) => last_words(&step.detail),
        Some(Cause::NotStarted) => {
            "it cannot be started: see the reason; a secret that is missing, a path that is not there, a sandbox that this machine \
             does not have"
        }
        Some(Cause::Settings) => "correct the settings: `toolgate config schema` describes every field",
        Some(Cause::Broken | Cause::SetAside) | None if settings.command.is_some() => {
            "the server answers and what it says is broken: tell its author"
        }
        Some(Cause::Broken | Cause::SetAside) | None => {
            "what answers there breaks the protocol, or is no MCP server: check `url`, `transport` and `era`, else tell its author"
        }
    }
}

// A program that ended has nothing but its last words, in whatever language: the usual ones are known.
fn last_words(text: &str) -> &'static str {
    let text = text.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if has(&["npm error", "no matching version", "no solution found", "failed to fetch"]) {
        "the package could not be had: check its name and version, and that `egress` names the registry's hosts"
    } else if has(&["modulenotfound", "cannot find module", "no module named"]) {
        "something that it needs is not installed, or not readable in the sandbox: name the place in `read`"
    } else if has(&["eacces", "permission denied", "read-only", "operation not permitted"]) {
        "the sandbox closes a path or a call that it needs: name paths in `read` and `write`"
    } else if has(&["memory", "sigkill"]) {
        "it may have run out of memory: give it more with `memory: 2GiB`"
    } else {
        "start it by hand to see what it says: a server for stdio must write nothing but MCP to standard output; in the sandbox it \
         may lack a path (`read`, `write`) or a host (`egress`)"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_is_missing_is_said_with_the_places() {
        let dir = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([dir.path(), Path::new("/nowhere")]).unwrap();
        let found = program("npx", &path);
        assert_eq!(found.level, super::super::Level::Wrong);
        assert!(
            found.found.contains("/nowhere") && found.mend.unwrap().contains("Node.js"),
            "{}",
            found.found
        );
        let file = dir.path().join("npx");
        std::fs::write(&file, "").unwrap();
        assert_eq!(program("npx", &path).level, super::super::Level::Wrong, "not executable");
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).unwrap();
        assert_eq!(program("npx", &path), Finding::ok("program", file.display().to_string()));
        assert_eq!(program("/nowhere/x", &path).level, super::super::Level::Wrong);
    }

    #[test]
    fn failures_have_their_fixes() {
        let of = |cause, detail: &str, settings: &Upstream| {
            let step = Step {
                name: "connect",
                ok: false,
                cause: Some(cause),
                detail: detail.to_owned(),
                took_ms: 1,
            };
            mend(&step, settings)
        };
        let endpoint = Upstream { url: Some("https://a/".into()), ..Upstream::default() };
        for (cause, says) in [
            (Cause::Credentials, "Authorization"),
            (Cause::HostName, "allowed hosts"),
            (Cause::Rights, "refuses"),
            (Cause::Path, "/mcp"),
            (Cause::Rule, "egress"),
            (Cause::Unreachable, "ca:"),
            (Cause::Slow, "start:"),
            (Cause::Broken, "`era`"),
        ] {
            // Whatever it says of itself: words are not what decides.
            assert!(of(cause, "HTTP 401 certificate 404 timed out", &endpoint).contains(says), "{cause:?}");
        }
        let program = Upstream { command: Some("npx".into()), ..Upstream::default() };
        assert!(
            of(Cause::Ended, "its last words: npm error 403 Forbidden", &program)
                .contains("registry's hosts")
        );
        assert!(of(Cause::Ended, "EACCES: /x", &program).contains("read"));
        assert!(of(Cause::Ended, "exited with status 1", &program).contains("by hand"));
        assert!(of(Cause::NotStarted, "no module named memory", &program).contains("cannot be started"));
    }
}
