//! One file for each command, and the one place that starts them.

mod completions;
mod config;
mod connect;

use crate::cli::{Cli, Command};
use crate::config::{Flags, Settings, Sources};
use crate::output::Out;
use crate::servers;
use anyhow::Result;

/// Run one command to its end.
pub fn run(cli: Cli) -> Result<()> {
    let out = Out::of_process(cli.global.json);
    let listen = match &cli.command {
        Command::Serve { listen } => listen.clone(),
        _ => None,
    };
    let flags = Flags { listen, data: cli.global.data.clone() };
    let sources = Sources::of_process(cli.global.config.clone(), flags);
    let settings = || -> Result<Settings> { Ok(crate::config::load(&sources, servers::names())?) };
    match cli.command {
        Command::Completions { shell } => completions::run(shell),
        Command::Config(command) => config::run(&command, settings, out),
        Command::Connect(args) => block_on(connect::run(&args, &settings()?, out)),
        _ => anyhow::bail!("not yet"),
    }
}

/// A runtime with one worker for each core.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(future)
}
