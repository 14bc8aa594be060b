//! `toolgate connect CLIENT`: print the client's entry, install it, or undo that.

use crate::cli::{self, Transport};
use crate::config::Settings;
use crate::connect::{self, entry};
use crate::control;
use crate::data_dir::DataDir;
use crate::output::{Out, Paint};
use anyhow::{Context, Result};
use serde_json::json;
use std::path::{Path, PathBuf};

pub async fn run(args: &cli::Connect, settings: &Settings, out: Out) -> Result<()> {
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
        out.line(change.preview().trim_end())?;
        return Ok(out.line(out.paint(Paint::Good, "undone"))?);
    }
    let url = endpoint(settings).await;
    let entry = entry::entry(&entry::Wanted {
        client: args.client,
        transport: args.transport,
        program: &std::env::current_exe().context("the path of this program")?,
        args: stdio_args(settings),
        url: &url,
    })?;
    if !args.install {
        let snippet = entry::snippet(args.client, &args.name, &entry);
        if out.json {
            return Ok(out.value(&json!({ "file": file, "entry": snippet }))?);
        }
        out.line(serde_json::to_string_pretty(&snippet)?)?;
        // What cannot be edited can still be pasted; --install says why it cannot.
        eprintln!(
            "\nThis goes into {}. To put it there: add --install (undo it with --undo).",
            file.display()
        );
        hint(args.transport);
        return Ok(());
    }
    let change = connect::install(&file, section, &args.name, &entry)?;
    if change.is_empty() {
        if out.json {
            return Ok(out.value(&json!({ "file": change.file, "changed": false }))?);
        }
        return Ok(out.line(format!("{} has this entry already", change.file.display()))?);
    }
    if !out.json {
        out.line(change.preview().trim_end())?;
    }
    let backup = connect::apply(&change, true)?;
    if out.json {
        return Ok(out.value(&json!({ "file": change.file, "changed": true, "backup": backup }))?);
    }
    let kept = backup.map_or(String::new(), |path| format!("; the file as it was: {}", path.display()));
    out.line(format!("{}{kept}", out.paint(Paint::Good, "installed")))?;
    hint(args.transport);
    Ok(())
}

fn hint(transport: Transport) {
    if transport == Transport::Http {
        eprintln!(
            "The client reads the key from the environment variable TOOLGATE_KEY; make one with \
             `toolgate keys create NAME --role operator`."
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
