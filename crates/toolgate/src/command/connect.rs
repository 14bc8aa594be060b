//! `toolgate connect CLIENT`: print the client's entry, install it, or undo that.

use super::keys;
use crate::cli::{self, Transport};
use crate::config::Settings;
use crate::connect::{self, entry};
use crate::control;
use crate::data_dir::DataDir;
use crate::key::KeyText;
use crate::output::{Out, Paint};
use anyhow::{Context, Result};
use clap::ValueEnum;
use serde_json::json;
use std::path::{Path, PathBuf};

pub async fn run(args: &cli::Connect, settings: Settings, out: Out) -> Result<()> {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let config = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let cwd = std::env::current_dir()?;
    let file = match &args.file {
        Some(file) => cwd.join(file),
        None => entry::file(args.client, args.scope, home.as_deref(), &cwd, config.as_deref())?,
    };
    let section = entry::section(args.client);
    if args.undo {
        let change = connect::undo(&file, section, &args.name)?;
        connect::apply(&change, false)?;
        if out.json {
            return Ok(out.value(&json!({ "file": change.file, "undone": true }))?);
        }
        out.lines(change.preview().trim_end())?;
        out.line(out.paint(Paint::Good, "undone"))?;
        left_over(&change.removed);
        return Ok(());
    }
    let url = endpoint(&settings).await;
    let program = std::env::current_exe().context("the path of this program")?;
    let stdio = stdio_args(&settings);
    let entry = |stdio: Vec<String>| {
        let (client, transport) = (args.client, args.transport);
        entry::entry(&entry::Wanted { client, transport, program: &program, args: stdio, url: &url })
    };
    let plain = entry(stdio.clone())?;
    if !args.install {
        let snippet = entry::snippet(args.client, &args.name, &plain);
        if out.json {
            return Ok(out.value(&json!({ "file": file, "entry": snippet }))?);
        }
        out.lines(serde_json::to_string_pretty(&snippet)?)?;
        // What cannot be edited can still be pasted; --install says why it cannot.
        eprintln!(
            "\nThis goes into {}. To put it there: add --install (undo it with --undo).",
            file.display()
        );
        hint(args.transport);
        return Ok(());
    }
    // What cannot be edited is found out before a key is made for it.
    let mut change = connect::install(&file, section, &args.name, &plain)?;
    let mut key = None;
    if let Some(role) = &args.role {
        let (made, kept) = client_key(args, settings, role).await?;
        let key_file = kept.iter().flat_map(|file| ["--key-file".to_owned(), file.display().to_string()]);
        change = connect::install(
            &file,
            section,
            &args.name,
            &entry(stdio.into_iter().chain(key_file).collect())?,
        )?;
        key = Some(made);
    }
    let key_id = key.as_ref().map(KeyText::id);
    if change.is_empty() {
        if out.json {
            out.value(&json!({ "file": change.file, "changed": false, "key_id": key_id }))?;
        } else {
            out.line(format!("{} has this entry already", change.file.display()))?;
        }
    } else {
        if !out.json {
            out.lines(change.preview().trim_end())?;
        }
        let backup = connect::apply(&change, true)?;
        if out.json {
            out.value(&json!({ "file": change.file, "changed": true, "backup": backup, "key_id": key_id }))?;
        } else {
            let kept =
                backup.map_or(String::new(), |path| format!("; the file as it was: {}", path.display()));
            out.line(format!("{}{kept}", out.paint(Paint::Good, "installed")))?;
            left_over(&change.removed);
        }
    }
    match (key, args.transport) {
        (None, _) if out.json => {}
        (None, transport) => hint(transport),
        (Some(_), Transport::Stdio) => {}
        (Some(key), Transport::Http) => eprintln!(
            "The client reads the key from the environment variable TOOLGATE_KEY. This is it, shown this once:\n{}",
            key.reveal()
        ),
    }
    Ok(())
}

// A key for this client alone; over stdio kept in a file, whose path is no secret.
async fn client_key(
    args: &cli::Connect,
    settings: Settings,
    role: &str,
) -> Result<(KeyText, Option<PathBuf>)> {
    let roles = vec![role.to_owned()];
    keys::roles_exist(&settings, &roles)?;
    let client =
        args.client.to_possible_value().map_or("client".to_owned(), |value| value.get_name().to_owned());
    let mut kept = None;
    let made = keys::make(settings, &client, roles, None, |dir, key| {
        if args.transport == Transport::Stdio {
            kept = Some(dir.keep_client_key(key)?);
        }
        Ok(())
    });
    let (key, _, told) = made.await?;
    keys::warn(&told);
    Ok((key, kept))
}

fn hint(transport: Transport) {
    match transport {
        Transport::Http => eprintln!(
            "The client reads the key from the environment variable TOOLGATE_KEY; make one with \
             `toolgate keys create NAME --role operator`."
        ),
        Transport::Stdio => eprintln!(
            "Unless TOOLGATE_KEY says otherwise the client acts as the administrator. To give it a key of its own: add \
             --install --role operator (or read_only)."
        ),
    }
}

// The key of an entry that is gone is still good.
fn left_over(removed: &str) {
    let id = removed.split_once("/client-").and_then(|(_, rest)| rest.split_once(".key")).map(|(id, _)| id);
    if let Some(id) = id {
        eprintln!(
            "The key of the entry that was taken out is still good; to end it: toolgate keys revoke {id}"
        );
    }
}

// The stdio form names data directory and configuration whenever they are not the defaults.
fn stdio_args(settings: &Settings) -> Vec<String> {
    let mut args = vec!["stdio".to_owned(), "--data".to_owned(), settings.data.display().to_string()];
    let found = settings.data.join("toolgate.yaml");
    if let Some(file) = settings.file.as_deref().filter(|file| *file != Path::new(&found)) {
        args.extend(["--config".to_owned(), file.display().to_string()]);
    }
    args
}

// The running server's address, or the one it would have.
async fn endpoint(settings: &Settings) -> String {
    let running = match DataDir::open(&settings.data) {
        Ok(dir) => control::running(&dir.run()).await,
        Err(_) => Vec::new(),
    };
    let base = running.into_iter().find_map(|process| process.url);
    format!(
        "{}/mcp",
        base.unwrap_or_else(|| {
            let tls = settings.document.http.tls.is_some();
            format!("{}://{}", if tls { "https" } else { "http" }, settings.listen)
        })
    )
}
