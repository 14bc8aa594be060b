//! The grammar of `toolgate upstreams` and `toolgate doctor upstream`.

use super::{Client, Credentials};
use clap::{Args, Subcommand};
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use toolgate_core::foreign::Prefix;
use toolgate_upstream::settings::{EraChoice, Sandbox};

#[derive(Debug, Subcommand)]
pub enum Upstreams {
    /// Add a server: an endpoint (--url), or a program (behind --)
    Add(Box<Add>),
    /// List the upstreams and how they are
    List {
        #[command(flatten)]
        given: Credentials,
        /// Print names only, of the file and the store; completion scripts use it
        #[arg(long)]
        names: bool,
    },
    /// Show one: its settings, where it comes from, how it is
    Show {
        name: String,
        #[command(flatten)]
        given: Credentials,
    },
    /// Remove one, with its secrets
    Remove { name: String },
    /// Enable one
    Enable { name: String },
    /// Disable one; it keeps its settings
    Disable { name: String },
    /// Try one out, step by step; the running gateway does it, if there is one
    Test {
        name: String,
        #[command(flatten)]
        given: Credentials,
    },
    /// Take servers over from a client's configuration, a registry's server.json or an .mcpb bundle
    Import(Import),
}

#[derive(Debug, Args)]
pub struct Add {
    /// What it is called here: a-z 0-9 _ -
    pub name: String,
    /// Address of its MCP endpoint
    #[arg(long, conflicts_with = "command")]
    pub url: Option<String>,
    /// A variable of the program's environment; a secret is put into a file of its own
    #[arg(long, value_name = "NAME=VALUE")]
    pub env: Vec<String>,
    /// A header of every request to the endpoint; a secret is put into a file of its own
    #[arg(long, value_name = "NAME=VALUE")]
    pub header: Vec<String>,
    /// Era of MCP that it speaks: auto, modern, legacy
    #[arg(long, value_parser = word::<EraChoice>)]
    pub era: Option<EraChoice>,
    /// How its tools are named: always, on-conflict, never
    #[arg(long, value_parser = word::<Prefix>)]
    pub prefix: Option<Prefix>,
    /// How far the program is confined: standard, strict, none
    #[arg(long, value_parser = word::<Sandbox>)]
    pub sandbox: Option<Sandbox>,
    /// A path that the program may read
    #[arg(long, value_name = "PATH")]
    pub read: Vec<PathBuf>,
    /// A path that the program may write
    #[arg(long, value_name = "PATH")]
    pub write: Vec<PathBuf>,
    /// A host that the program may connect to
    #[arg(long, value_name = "HOST")]
    pub egress: Vec<String>,
    /// Directory that the program runs in
    #[arg(long, value_name = "PATH")]
    pub cwd: Option<PathBuf>,
    /// Believe what it says of its tools (readOnlyHint, destructiveHint)
    #[arg(long)]
    pub trust_hints: bool,
    /// Add it without offering it
    #[arg(long)]
    pub disabled: bool,
    /// Add it without trying it out
    #[arg(long)]
    pub no_test: bool,
    /// Put it in the place of the one of this name
    #[arg(long)]
    pub replace: bool,
    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Import {
    /// The file: a client's configuration, server.json, or a bundle (.mcpb)
    #[arg(required_unless_present_any = ["client", "undo"], conflicts_with_all = ["client", "undo"])]
    pub file: Option<PathBuf>,
    /// The configuration of this client, of this user and of the project in the current directory
    #[arg(long, value_enum, conflicts_with = "undo")]
    pub client: Option<Client>,
    /// Only these servers
    #[arg(long, value_name = "NAME,NAME", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Give a value that is asked for
    #[arg(long = "set", value_name = "ID=VALUE")]
    pub given: Vec<String>,
    /// Refuse a bundle that has not this SHA-256
    #[arg(long, value_name = "HEX")]
    pub sha256: Option<String>,
    /// Import what is shown, without asking; a bundle is enabled
    #[arg(long, conflicts_with = "dry_run")]
    pub yes: bool,
    /// Show what would be imported
    #[arg(long)]
    pub dry_run: bool,
    /// Take the last import back
    #[arg(long)]
    pub undo: bool,
}

#[derive(Debug, Subcommand)]
pub enum Doctor {
    /// Say why an upstream does not work, and the fix
    Upstream { name: String },
}

fn word<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).map_err(|problem| problem.to_string())
}
