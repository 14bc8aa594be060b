//! The command line: its grammar and its help, nothing that acts.
//!
//! `--data` and `--config` are layered over file and environment by `config`, so that `config show` can name the origin.

mod load;
mod upstreams;

pub use load::{Era, Load, Options};
pub use upstreams::{Add, Doctor, Import, Upstreams};

use crate::exit;
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER: &str = "\
Exit codes:
  0   done
  1   the command ran and failed: a tool said no, something is wrong
  2   wrong usage
  69  something needed is not available
  78  the configuration cannot be used

Environment: TOOLGATE_CONFIG, TOOLGATE_DATA, TOOLGATE_LISTEN, TOOLGATE_LOG, TOOLGATE_KEY,
TOOLGATE_CLIENT_CERT; NO_COLOR.";

/// The gateway between AI agents and the tools they use (MCP).
#[derive(Debug, Parser)]
#[command(name = "toolgate", version, after_help = AFTER, propagate_version = true, max_term_width = 100)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Data directory [default: $XDG_DATA_HOME/toolgate or ~/.local/share/toolgate]
    #[arg(long, global = true, value_name = "DIR")]
    pub data: Option<String>,
    /// Configuration file [default: toolgate.yaml in the data directory, if there is one]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Print results and errors as JSON
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve MCP and REST over HTTP
    Serve {
        /// Address and port [default: 127.0.0.1:8000]
        #[arg(long, value_name = "ADDRESS:PORT")]
        listen: Option<String>,
    },
    /// Serve MCP on standard input and output, for clients that start their servers
    Stdio {
        /// File with the key whose calls these are [default: TOOLGATE_KEY, then admin.key in the data directory]
        #[arg(long, value_name = "FILE")]
        key_file: Option<PathBuf>,
    },
    /// Call a tool and print its result
    Call {
        /// Name of the server, as `toolgate tools` shows it
        server: String,
        /// Name of the tool
        tool: String,
        /// Arguments as a JSON object; `-` reads them from standard input
        #[arg(value_name = "JSON")]
        arguments: Option<String>,
        #[command(flatten)]
        given: Credentials,
    },
    /// List the tools that can be called
    Tools {
        /// Only this server's
        server: Option<String>,
        #[command(flatten)]
        given: Credentials,
    },
    /// Create, list and revoke API keys
    #[command(subcommand)]
    Keys(Keys),
    /// Put load on a running gateway, or on any MCP server, and judge how it bears it
    #[command(subcommand)]
    Load(Box<Load>),
    /// Add, list, test and import upstream MCP servers
    #[command(subcommand)]
    Upstreams(Upstreams),
    /// Verify and read the audit journal
    #[command(subcommand)]
    Audit(Audit),
    /// Check and show the configuration
    #[command(subcommand)]
    Config(Config),
    /// Connect a client: print its entry for Toolgate, or install it
    Connect(Connect),
    /// Say what is wrong with this set-up and how to mend it
    #[command(args_conflicts_with_subcommands = true)]
    Doctor {
        #[command(flatten)]
        given: Credentials,
        #[command(subcommand)]
        about: Option<Doctor>,
    },
    /// Print a completion script
    Completions {
        /// Which shell's
        shell: clap_complete::Shell,
    },
}

/// What the running server wants to see.
#[derive(Debug, Clone, Args)]
pub struct Credentials {
    /// API key for the running server [default: TOOLGATE_KEY, then admin.key in the data directory]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Certificate and private key in one PEM file, for a running server that asks for one
    /// (http.tls.client_ca) [default: TOOLGATE_CLIENT_CERT]
    #[arg(long, value_name = "FILE")]
    pub client_cert: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Keys {
    /// Create a key and print it, once
    Create {
        /// Who or what the key is for
        name: String,
        /// A role the key has; give it again for more
        #[arg(long = "role", value_name = "ROLE", required = true)]
        roles: Vec<String>,
        /// Let the key expire after this long, e.g. 90d
        #[arg(long, value_name = "DURATION")]
        expires: Option<toolgate_core::unit::Span>,
    },
    /// List keys; never their secrets
    List,
    /// Revoke a key, at once and in every running process
    Revoke {
        /// Its id: the part between `tg_` and the second `_`
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Audit {
    /// Check every link of every chain; needs the files only
    Verify {
        /// Trust this public key (64 hexadecimal digits) instead of the one beside the journal
        #[arg(long, value_name = "HEX")]
        public_key: Option<String>,
        /// Compare with the checkpoints in this file [default: journal.anchor of the configuration]
        #[arg(long, value_name = "FILE")]
        anchor: Option<PathBuf>,
    },
    /// Show the newest records
    Tail {
        /// Keep on showing new ones
        #[arg(short, long)]
        follow: bool,
        /// How many to begin with
        #[arg(short = 'n', long, default_value_t = 20)]
        lines: usize,
    },
    /// Find records
    Search(Search),
    /// Write records to standard output
    Export {
        #[arg(long, value_enum, default_value_t = Format::Jsonl)]
        format: Format,
        #[command(flatten)]
        filter: Filter,
    },
}

#[derive(Debug, Args)]
pub struct Search {
    /// Text in the caller, server, tool, rule or message
    pub text: Option<String>,
    #[command(flatten)]
    pub filter: Filter,
    /// At most so many, the newest
    #[arg(short = 'n', long, default_value_t = 100)]
    pub limit: usize,
}

/// Which records.
#[derive(Debug, Clone, Default, Args)]
pub struct Filter {
    /// Caller id or name
    #[arg(long)]
    pub caller: Option<String>,
    /// Name of the server
    #[arg(long)]
    pub server: Option<String>,
    /// Name of the tool, or of the event
    #[arg(long)]
    pub tool: Option<String>,
    /// `ok`, or an error kind such as `forbidden`
    #[arg(long)]
    pub outcome: Option<String>,
    /// Only what was refused
    #[arg(long)]
    pub denied: bool,
    /// Not before: an RFC 3339 time, or an age such as 24h
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Before
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    Jsonl,
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum Config {
    /// Say everything that is wrong with the configuration
    Check,
    /// Show the values in effect and where each comes from
    Show,
    /// Print the JSON Schema of toolgate.yaml
    Schema,
}

#[derive(Debug, Args)]
pub struct Connect {
    /// Which client
    #[arg(value_enum)]
    pub client: Client,
    /// Write the entry into the client's file; a backup is kept
    #[arg(long, conflicts_with = "undo")]
    pub install: bool,
    /// Take the entry out again
    #[arg(long)]
    pub undo: bool,
    /// Make the client a key of its own with this role, instead of the administrator's
    #[arg(long, value_name = "ROLE", requires = "install")]
    pub role: Option<String>,
    /// How the client reaches Toolgate
    #[arg(long, value_enum, default_value_t = Transport::Stdio)]
    pub transport: Transport,
    /// For this user, or for the project in the current directory
    #[arg(long, value_enum, default_value_t = Scope::User)]
    pub scope: Scope,
    /// Name of the entry
    #[arg(long, default_value = "toolgate")]
    pub name: String,
    /// Use this file instead of the client's usual one
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Client {
    ClaudeCode,
    ClaudeDesktop,
    Vscode,
    Cursor,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    Stdio,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Scope {
    User,
    Project,
}

/// The process's own arguments. Usage errors and help are printed here (exit 2 and 0).
pub fn parse() -> Result<Cli, ExitCode> {
    Cli::try_parse().map_err(|problem| {
        if problem.use_stderr() && wants_json(std::env::args_os()) {
            return exit::report(&exit::usage(plain(&problem)), true);
        }
        problem.exit()
    })
}

// The arguments could not be parsed, so `--json` is looked for as a word; behind `--` it is not an option.
fn wants_json(arguments: impl Iterator<Item = OsString>) -> bool {
    arguments.take_while(|word| word != "--").any(|word| word == "--json")
}

fn plain(problem: &clap::Error) -> String {
    if problem.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        return "a command is missing; `toolgate --help` lists them".to_owned();
    }
    let text = problem.render().to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

/// The grammar, for completions and the help snapshot.
pub fn grammar() -> clap::Command {
    <Cli as clap::CommandFactory>::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(command: &mut clap::Command, path: &str, all: &mut String) {
        all.push_str(&format!("==== {path}\n{}\n", command.render_long_help()));
        for sub in command.get_subcommands_mut().filter(|sub| sub.get_name() != "help") {
            let path = format!("{path} {}", sub.get_name());
            help(sub, &path, all);
        }
    }

    #[test]
    fn grammar_is_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn help_of_every_command() {
        let mut all = String::new();
        let mut grammar = grammar().term_width(100);
        grammar.build();
        help(&mut grammar, "toolgate", &mut all);
        let all: Vec<&str> = all.lines().map(str::trim_end).collect();
        insta::assert_snapshot!(all.join("\n"));
    }
}
