//! What each client calls its file and how it writes an MCP server (PROTOCOL 7.3).
//!
//! No entry holds a secret: over stdio Toolgate reads its own key, over HTTP the client is told to take it from the
//! environment (or, in VS Code, to ask).

use crate::cli::{Client, Scope, Transport};
use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// What an entry is made from.
pub struct Wanted<'a> {
    pub client: Client,
    pub transport: Transport,
    /// This program.
    pub program: &'a Path,
    /// Arguments of the stdio form.
    pub args: Vec<String>,
    /// Address of the MCP endpoint.
    pub url: &'a str,
}

/// The member of the client's file that holds its servers.
pub fn section(client: Client) -> &'static str {
    match client {
        Client::Vscode => "servers",
        _ => "mcpServers",
    }
}

/// The client's entry for Toolgate.
pub fn entry(wanted: &Wanted<'_>) -> Result<Value> {
    if wanted.transport == Transport::Stdio {
        let program = wanted.program.to_str().context("the path of this program is not UTF-8")?;
        let mut entry = json!({ "command": program, "args": wanted.args });
        if matches!(wanted.client, Client::ClaudeCode | Client::Vscode) {
            entry["type"] = json!("stdio");
        }
        return Ok(entry);
    }
    let url = wanted.url;
    Ok(match wanted.client {
        Client::ClaudeCode => {
            json!({ "type": "http", "url": url, "headers": { "Authorization": "Bearer ${TOOLGATE_KEY}" } })
        }
        Client::Cursor => json!({ "url": url, "headers": { "Authorization": "Bearer ${env:TOOLGATE_KEY}" } }),
        Client::Vscode => {
            json!({ "type": "http", "url": url, "headers": { "Authorization": "Bearer ${env:TOOLGATE_KEY}" } })
        }
        Client::ClaudeDesktop => {
            bail!("Claude Desktop starts its servers itself; use `--transport stdio` (the default)")
        }
    })
}

/// The whole file with nothing but this entry, for pasting.
pub fn snippet(client: Client, name: &str, entry: &Value) -> Value {
    let servers = Map::from_iter([(name.to_owned(), entry.clone())]);
    Value::Object(Map::from_iter([(section(client).to_owned(), Value::Object(servers))]))
}

/// Where the client keeps it.
pub fn file(
    client: Client,
    scope: Scope,
    home: Option<&Path>,
    cwd: &Path,
    config: Option<&Path>,
) -> Result<PathBuf> {
    if scope == Scope::Project {
        return match client {
            Client::ClaudeCode => Ok(cwd.join(".mcp.json")),
            Client::Vscode => Ok(cwd.join(".vscode/mcp.json")),
            Client::Cursor => Ok(cwd.join(".cursor/mcp.json")),
            Client::ClaudeDesktop => {
                bail!("Claude Desktop knows no projects; use `--scope user` (the default)")
            }
        };
    }
    let home = home.context("HOME is not set; name the client's file with --file")?;
    let config = match config {
        Some(config) => config.to_path_buf(),
        None if cfg!(target_os = "macos") => home.join("Library/Application Support"),
        None => home.join(".config"),
    };
    Ok(match client {
        Client::ClaudeCode => home.join(".claude.json"),
        Client::ClaudeDesktop => config.join("Claude/claude_desktop_config.json"),
        Client::Vscode => config.join("Code/User/mcp.json"),
        Client::Cursor => home.join(".cursor/mcp.json"),
    })
}
