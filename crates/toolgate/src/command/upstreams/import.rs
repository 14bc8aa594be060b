//! `toolgate upstreams import`: what would come, shown; then taken over when the operator says so.

use super::add::pairs;
use crate::cli::{Client, Import, Scope};
use crate::config::Settings;
use crate::connect::entry;
use crate::exit;
use crate::output::{Out, Paint};
use crate::upstreams::change::Source;
use crate::upstreams::import::{self, Around, Candidate, Plan, Skipped};
use crate::upstreams::{secret, view};
use crate::wiring::{self, Gate};
use anyhow::{Context, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, IsTerminal, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Largest document, in bytes: clients keep more than servers in theirs.
const MAX_FILE: u64 = 64 << 20;

pub async fn run(args: Import, settings: Settings, out: Out) -> Result<()> {
    let gate = wiring::open(settings, "cli").await?;
    if args.undo {
        return undo(gate, out).await;
    }
    let given = pairs("--set", args.given.clone())?;
    let known = gate.upstreams.known().await.map_err(wiring::public)?;
    let data = gate.dir.path().to_path_buf();
    let plan = planned(&args, &data, &given)?.only(&args.only).map_err(wiring::public)?.settle(&known, &data);
    if !out.json {
        preview(&plan, out)?;
    }
    let go = !args.dry_run && !plan.servers.is_empty() && (args.yes || (!out.json && agreed()?));
    if !go {
        gate.close().await?;
        if out.json {
            out.value(&as_json(&plan, false))?;
        } else if !plan.servers.is_empty() {
            out.line("nothing was changed; --yes imports this without asking")?;
        }
        return Ok(());
    }
    let answer = as_json(&plan, true);
    apply(gate, plan, answer, out).await
}

async fn apply(gate: Gate, plan: Plan, answer: Value, out: Out) -> Result<()> {
    let servers = tokio::task::spawn_blocking(move || -> Result<Vec<Candidate>> {
        for server in &plan.servers {
            if let Some((file, folder)) = &server.bundle {
                import::unpack(file, folder)?;
            }
            for (file, value) in &server.files {
                keep(file, value)?;
            }
        }
        Ok(plan.servers)
    });
    let count = answer["servers"].as_array().map_or(0, Vec::len);
    let wanted = servers.await??.into_iter().map(Candidate::wanted).collect();
    gate.upstreams.import(&wiring::local_caller(), Source::Import, wanted).await.map_err(wiring::public)?;
    let told = super::tell(gate).await?;
    if out.json {
        out.value(&answer)?;
    } else {
        let done = format!("imported {count}");
        out.line(format!(
            "{}; take it back with: toolgate upstreams import --undo",
            out.paint(Paint::Good, &done)
        ))?;
        super::warn(&told);
    }
    super::finish(&told)
}

async fn undo(gate: Gate, out: Out) -> Result<()> {
    let done = gate.upstreams.undo(&wiring::local_caller()).await.map_err(wiring::public)?;
    let told = super::tell(gate).await?;
    if out.json {
        let all: Vec<Value> = done.iter().map(|(name, done)| json!({ "name": name, "done": done })).collect();
        out.value(&all)?;
    } else {
        let rows = done.iter().map(|(name, done)| {
            let what = match done {
                toolgate_store::Undone::Removed => "removed",
                toolgate_store::Undone::Restored => "as it was before",
                toolgate_store::Undone::Left => "left: it was changed since",
            };
            vec![name.clone(), what.to_owned()]
        });
        out.table(&["name", "done"], rows.collect(), "There is no import to take back.")?;
        super::warn(&told);
    }
    super::finish(&told)
}

fn planned(args: &Import, data: &Path, given: &BTreeMap<String, String>) -> Result<Plan> {
    let here = std::env::current_dir().context("the current directory")?;
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let env = |name: &str| std::env::var(name).ok();
    let around = Around { env: &env, home: home.as_deref(), folder: Some(&here), data, files: true, given };
    let Some(client) = args.client else {
        let file = here.join(args.file.as_deref().context("no file")?);
        if file.extension().is_some_and(|end| end == "mcpb" || end == "dxt") {
            return import::read_bundle(&file, args.sha256.as_deref(), args.yes, &around);
        }
        let document = document(&file)?;
        let folder = project(&file);
        let around = Around { folder: Some(&folder), ..around };
        return import::plan(&document, &around).map_err(wiring::public);
    };
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let mut plan = Plan::default();
    let mut looked = Vec::new();
    for scope in [Scope::User, Scope::Project] {
        let Ok(file) = entry::file(client, scope, home.as_deref(), &here, config.as_deref()) else {
            continue;
        };
        if !file.exists() {
            looked.push(file.display().to_string());
            continue;
        }
        let mut document = document(&file)?;
        if client == Client::ClaudeCode && scope == Scope::User {
            merge_local(&mut document, &here);
        }
        if document["mcpServers"].is_object() || document["servers"].is_object() {
            let found = import::plan(&document, &around).map_err(wiring::public)?;
            plan.servers.extend(found.servers);
            plan.skipped.extend(found.skipped);
        } else {
            looked.push(format!("{} (it has no servers)", file.display()));
        }
    }
    if plan.servers.is_empty() && plan.skipped.is_empty() {
        return Err(exit::unavailable(format!("no servers were found; looked for: {}", looked.join(", "))));
    }
    Ok(plan)
}

// Claude Code keeps servers of single projects in the user's file.
fn merge_local(document: &mut Value, here: &Path) {
    let local = document["projects"][here.display().to_string()]["mcpServers"].take();
    if let Value::Object(local) = local {
        match document["mcpServers"].as_object_mut() {
            Some(servers) => servers.extend(local),
            None => document["mcpServers"] = Value::Object(local),
        }
    }
}

// The project of a client's file: what `${workspaceFolder}` means.
fn project(file: &Path) -> PathBuf {
    let folder = file.parent().unwrap_or(Path::new("/"));
    let hidden = folder.file_name().is_some_and(|name| name == ".vscode" || name == ".cursor");
    if hidden { folder.parent().unwrap_or(folder).to_path_buf() } else { folder.to_path_buf() }
}

fn document(file: &Path) -> Result<Value> {
    let shown = file.display();
    let size = std::fs::metadata(file).with_context(|| shown.to_string())?.len();
    anyhow::ensure!(size <= MAX_FILE, "{shown} has {size} bytes; at most {MAX_FILE} are read");
    let text = std::fs::read_to_string(file).with_context(|| shown.to_string())?;
    import::parse(&text).map_err(|problem| exit::usage(format!("{shown} is not JSON: {problem}")))
}

fn preview(plan: &Plan, out: Out) -> Result<()> {
    let mut rows = Vec::new();
    for server in &plan.servers {
        let (paint, sign) = if server.replaces { (Paint::Warn, "~") } else { (Paint::Good, "+") };
        let state = if server.settings.enabled { "" } else { "disabled; " };
        let what = if server.replaces { "replaces the one of this name; " } else { "" };
        rows.push(vec![
            out.paint(paint, sign),
            server.name.clone(),
            view::place(&server.settings),
            format!("{state}{what}{}", server.notes.join("; ")),
        ]);
        let both = [("env", &server.settings.env), ("headers", &server.settings.headers)];
        for (section, values) in both {
            for (key, value) in values {
                let shown = if secret::suspicious(key, value) {
                    "*** -> a file of its own".to_owned()
                } else {
                    secret::masked(value)
                };
                rows.push(vec![
                    String::new(),
                    String::new(),
                    format!("  {section}.{key} = {shown}"),
                    String::new(),
                ]);
            }
        }
    }
    for Skipped { original, reason } in &plan.skipped {
        rows.push(vec![
            out.paint(Paint::Bad, "-"),
            original.clone(),
            String::new(),
            format!("not imported: {reason}"),
        ]);
    }
    Ok(out.table(&["", "name", "server", "note"], rows, "There is nothing to import.")?)
}

fn as_json(plan: &Plan, applied: bool) -> Value {
    let servers: Vec<Value> = plan
        .servers
        .iter()
        .map(|server| {
            json!({
                "name": server.name, "original": server.original, "notes": server.notes,
                "change": if server.replaces { "replace" } else { "add" },
                "settings": view::lean(&secret::shown(&server.settings)), "origin": server.origin,
            })
        })
        .collect();
    let skipped: Vec<Value> =
        plan.skipped.iter().map(|s| json!({ "original": s.original, "reason": s.reason })).collect();
    json!({ "applied": applied, "servers": servers, "skipped": skipped })
}

// Asked on a terminal only; elsewhere nobody is there to say yes.
fn agreed() -> Result<bool> {
    if !std::io::stdin().is_terminal() {
        return Ok(false);
    }
    eprint!("Import this? [y/N] ");
    std::io::stderr().flush()?;
    let mut line = String::new();
    std::io::stdin().lock().read_line(&mut line)?;
    Ok(matches!(line.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

// A secret that the operator gave, in place of an earlier one.
fn keep(file: &Path, value: &str) -> Result<()> {
    let folder = file.parent().context("a directory for secrets")?;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let temporary = folder.join(format!(".{}", std::process::id()));
    let _ = std::fs::remove_file(&temporary);
    let mut open = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
    open.write_all(value.as_bytes())?;
    open.sync_all()?;
    Ok(std::fs::rename(&temporary, file)?)
}
