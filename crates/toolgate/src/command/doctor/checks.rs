//! The checks of `toolgate doctor`, one function each.

use super::Finding;
use crate::cli::Credentials;
use crate::client::Client;
use crate::config::Settings;
use crate::control;
use crate::data_dir::DataDir;
use crate::exit;
use crate::wiring;
use jiff::Timestamp;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;
use toolgate_core::Kind;
use toolgate_engine::journal;
use toolgate_store::Store;

/// Free space below which something is wrong, and below which it soon will be, in bytes.
const SPACE_WRONG: u64 = 100 << 20;
const SPACE_LOW: u64 = 1 << 30;

pub async fn all(settings: &Settings, given: &Credentials) -> Vec<Finding> {
    let mut findings = Vec::new();
    match DataDir::open(&settings.data) {
        Err(_) if !settings.data.exists() => findings.push(Finding::warning(
            "data directory",
            format!("{} is not there yet", settings.data.display()),
            "the first `toolgate serve` creates it",
        )),
        Err(problem) => {
            findings.push(Finding::wrong("data directory", format!("{problem:#}"), "mend this first"));
        }
        Ok(dir) => {
            findings.push(Finding::ok("data directory", dir.path().display().to_string()));
            findings.extend(private_files(&dir));
            findings.extend(database(&dir).await);
            findings.push(audit(&dir, settings).await);
        }
    }
    findings.push(disk(&settings.data));
    findings.push(clock(&settings.data));
    findings.push(confinement(settings));
    findings.extend(server(settings, given).await);
    findings
}

fn private_files(dir: &DataDir) -> Vec<Finding> {
    let key = dir.admin_key_file();
    let files = [key.clone(), dir.state_key_file(), dir.database(), dir.journal().join("journal.key")];
    let mut findings = Vec::new();
    for file in files {
        if let Ok(meta) = std::fs::metadata(&file)
            && meta.mode() & 0o077 != 0
        {
            findings.push(Finding::wrong(
                "file modes",
                format!("{} is open to other users (mode {:o})", file.display(), meta.mode() & 0o777),
                format!("chmod 600 {}; and make new keys if others could read them", file.display()),
            ));
        }
    }
    if findings.is_empty() {
        findings.push(Finding::ok("file modes", "keys and database are readable by their owner only"));
    }
    findings
}

async fn database(dir: &DataDir) -> Vec<Finding> {
    if !dir.database().exists() {
        return vec![Finding::warning(
            "database",
            "there is none yet",
            "the first `toolgate serve` creates it",
        )];
    }
    let store = match wiring::open_store(dir).await {
        Ok(store) => store,
        Err(problem) => {
            return vec![Finding::wrong(
                "database",
                format!("{problem:#}"),
                "see above; `toolgate serve` cannot start",
            )];
        }
    };
    let mut findings = vec![match store.integrity_check().await {
        Ok(problems) if problems.is_empty() => Finding::ok("database", "opens and is sound"),
        Ok(problems) => Finding::wrong(
            "database",
            problems.join("; "),
            "stop the gateway, keep a copy of the file and put back the last backup",
        ),
        Err(problem) => Finding::wrong("database", problem.message().to_owned(), "look after the disk"),
    }];
    findings.push(keys(dir, &store).await);
    store.close().await;
    findings
}

async fn keys(dir: &DataDir, store: &Store) -> Finding {
    let keys = match store.list_keys().await {
        Ok(keys) => keys,
        Err(problem) => {
            return Finding::wrong("keys", problem.message().to_owned(), "look after the database");
        }
    };
    let now = Timestamp::now();
    let active = keys.iter().filter(|key| key.is_active(now)).count();
    let more = "make one: toolgate keys create NAME --role admin";
    match dir.admin_key() {
        Err(problem) => {
            return Finding::wrong("keys", format!("{problem:#}"), "remove the file, then make a key");
        }
        Ok(Some(kept)) if !keys.iter().any(|key| key.id == kept.id() && key.is_active(now)) => {
            return Finding::warning(
                "keys",
                format!("the key in {} is revoked, expired or unknown", dir.admin_key_file().display()),
                "remove the file, or put an active key into it: `call`, `tools` and `stdio` use it",
            );
        }
        Ok(_) => {}
    }
    if active == 0 {
        return Finding::wrong("keys", "no key is active: nobody can call anything over HTTP", more);
    }
    Finding::ok("keys", format!("{active} active of {}", keys.len()))
}

async fn audit(dir: &DataDir, settings: &Settings) -> Finding {
    let options =
        journal::VerifyOptions { public_key: None, anchor: settings.document.journal.anchor.clone() };
    let path = dir.journal();
    let report = tokio::task::spawn_blocking(move || journal::verify(&path, &options, &mut |_, _| {})).await;
    match report {
        Ok(Ok(report)) if report.ok => {
            let records: u64 = report.chains.iter().map(|chain| chain.records).sum();
            Finding::ok("journal", format!("{} chains, {records} records, unbroken", report.chains.len()))
        }
        Ok(Ok(report)) => Finding::wrong(
            "journal",
            report.problems().next().map_or("damaged".to_owned(), ToString::to_string),
            "`toolgate audit verify` names every place; keep a copy of the files before anything else",
        ),
        Ok(Err(error)) if error.kind() == toolgate_core::Kind::NotFound => {
            Finding::warning("journal", "there is none yet", "the first `toolgate serve` creates it")
        }
        Ok(Err(error)) => {
            Finding::wrong("journal", error.message().to_owned(), "check the disk and the file modes")
        }
        Err(problem) => Finding::wrong("journal", problem.to_string(), "report this defect"),
    }
}

// Of the nearest directory that exists.
fn disk(data: &Path) -> Finding {
    let Some(existing) = data.ancestors().find(|path| path.is_dir()) else {
        return Finding::wrong(
            "disk space",
            "no directory on the way to the data directory exists",
            "name another with --data",
        );
    };
    match rustix::fs::statvfs(existing) {
        Err(problem) => Finding::wrong("disk space", problem.to_string(), "check the file system"),
        Ok(stat) => {
            let free = stat.f_bavail.saturating_mul(stat.f_frsize);
            let found = format!("{} MiB free", free >> 20);
            let mend = "free some space: a call is refused when its record cannot be written";
            match free {
                free if free < SPACE_WRONG => Finding::wrong("disk space", found, mend),
                free if free < SPACE_LOW => Finding::warning("disk space", found, mend),
                _ => Finding::ok("disk space", found),
            }
        }
    }
}

// A clock behind the newest thing written, or behind this program itself, was set back or never set.
fn clock(data: &Path) -> Finding {
    let now = SystemTime::now();
    let written = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified()).ok();
    let newest = [
        std::env::current_exe().ok().and_then(|exe| written(&exe)),
        written(&data.join(toolgate_store::STATE_FILE)),
    ]
    .into_iter()
    .flatten()
    .max();
    match newest.and_then(|newest| newest.duration_since(now).ok()) {
        Some(behind) if behind.as_secs() > 60 => Finding::wrong(
            "clock",
            format!("it is {} s behind files that exist already", behind.as_secs()),
            "set the clock (NTP): expiry of keys and the journal's times depend on it",
        ),
        _ => Finding::ok("clock", Timestamp::now().strftime("%FT%TZ").to_string()),
    }
}

fn confinement(settings: &Settings) -> Finding {
    use toolgate_host::exec::Profile;
    let mut settings = settings.clone();
    // Made by the first start.
    let workspace = settings.data.join("workspace");
    settings.roots.retain(|root| root.path != workspace || workspace.is_dir());
    let host = match wiring::open_host(&settings) {
        Ok(host) => host,
        Err(problem) => {
            return Finding::wrong("host", format!("{problem:#}"), "correct `files`, `exec` and `egress`");
        }
    };
    let found = host.exec().confinement();
    let landlock = found.to_lowercase().contains("landlock");
    match (landlock, settings.document.exec.profile) {
        (true, _) => Finding::ok("confinement", found),
        (false, Profile::Strict) => Finding::wrong(
            "confinement",
            found,
            "`exec.profile: strict` runs nothing here: use a kernel with Landlock (5.13 and later), or `standard`",
        ),
        (false, Profile::Standard) => Finding::warning(
            "confinement",
            found,
            "programs are not confined to the file roots: use a kernel with Landlock (5.13 and later)",
        ),
        (false, Profile::None) => Finding::warning("confinement", found, "set `exec.profile: standard`"),
    }
}

async fn server(settings: &Settings, given: &Credentials) -> Vec<Finding> {
    let run = settings.data.join("run");
    let running = control::running(&run).await;
    let urls: Vec<String> = running.iter().filter_map(|process| process.url.clone()).collect();
    let mut findings = Vec::new();
    for url in &urls {
        findings.push(reachable(settings, url, given).await);
    }
    if !urls.is_empty() {
        return findings;
    }
    findings.push(match std::net::TcpListener::bind(settings.listen) {
        Ok(_) => Finding::ok(
            "port",
            format!("{} is free; no gateway runs on this data directory", settings.listen),
        ),
        Err(problem) => Finding::wrong(
            "port",
            format!("{} cannot be used: {problem}", settings.listen),
            "end the other program, or choose another port with --listen",
        ),
    });
    findings
}

async fn reachable(settings: &Settings, url: &str, given: &Credentials) -> Finding {
    let answer = match Client::new(settings, url.to_owned(), given).await {
        Ok(client) => client.get("/ready").await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(answer) if answer.status == 200 && answer.body["status"] == "degraded" => {
            let of = |check: &serde_json::Value| {
                format!(
                    "{}: {}",
                    check["name"].as_str().unwrap_or_default(),
                    check["message"].as_str().unwrap_or("degraded")
                )
            };
            let checks = answer.body["checks"].as_array().into_iter().flatten();
            let ill: Vec<String> = checks.filter(|check| check["status"] != "healthy").map(of).collect();
            Finding::warning(
                "gateway",
                format!("{url} answers; {}", ill.join("; ")),
                "give it more room, or less to do",
            )
        }
        Ok(answer) if answer.status == 200 => Finding::ok("gateway", format!("{url} answers and is well")),
        Ok(answer) => Finding::wrong(
            "gateway",
            format!(
                "{url}/ready answers {} {}",
                answer.status,
                answer.body["status"].as_str().unwrap_or_default()
            ),
            "its log says why",
        ),
        Err(problem) => {
            let found = format!("{problem:#}");
            match exit::kind(&problem) {
                // What this command was not given says nothing of the set-up.
                Kind::Invalid => Finding::warning("gateway", found, "then it can be looked at as well"),
                Kind::Unauthenticated => {
                    Finding::wrong("gateway", found, "until then no command here talks to it")
                }
                _ => Finding::wrong("gateway", found, "its log says why; restart it"),
            }
        }
    }
}
