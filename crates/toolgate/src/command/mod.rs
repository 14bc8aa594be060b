//! One file for each command, and the one place that starts them.

mod audit;
mod call;
mod completions;
mod config;
mod connect;
mod doctor;
mod keys;
mod load;
mod serve;
mod stdio;
mod tools;
mod upstreams;

use crate::cli::{self, Cli, Command};
use crate::config::{Flags, Settings, Sources};
use crate::output::Out;
use crate::servers;
use anyhow::Result;
use tokio::runtime::{Builder, Runtime};
use toolgate_http::Fronts;

/// Run one command to its end.
pub fn run(cli: Cli) -> Result<()> {
    let out = Out::of_process(cli.global.json);
    let listen = match &cli.command {
        Command::Serve { listen } => listen.clone(),
        _ => None,
    };
    let flags = Flags { listen, data: cli.global.data.clone() };
    let sources = Sources::of_process(cli.global.config.clone(), flags);
    let settings = || -> Result<Settings> { Ok(crate::config::load(&sources, servers::known())?) };
    match cli.command {
        Command::Completions { shell } => completions::run(shell),
        Command::Config(command) => config::run(&command, settings, out),
        Command::Connect(args) => block_on(connect::run(&args, settings()?, out)),
        Command::Serve { .. } => {
            let settings = settings()?;
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            // Dropped after the runtime: what calls have started on them is ended in order by then.
            let fronts = Fronts::start(cores)?;
            // Beside the fronts it keeps servers, watches files, and moves what goes through pipes.
            let runtime =
                Builder::new_multi_thread().worker_threads(cores.div_ceil(4)).enable_all().build()?;
            finish(runtime, serve::run(settings, sources, &fronts, out))
        }
        Command::Stdio { key_file } => {
            let settings = settings()?;
            block_on(stdio::run(settings, sources, key_file))
        }
        Command::Call { server, tool, arguments, given } => {
            block_on(call::run(settings()?, &server, &tool, arguments.as_deref(), &given, out))
        }
        Command::Tools { server, given } => block_on(tools::run(settings()?, server.as_deref(), &given, out)),
        Command::Load(command) => block_on(load::run(*command, settings()?, out)),
        Command::Keys(command) => block_on(keys::run(command, settings()?, out)),
        Command::Audit(command) => audit::run(command, &settings()?, out),
        Command::Upstreams(command) => block_on(upstreams::run(command, settings()?, out)),
        Command::Doctor { about: Some(cli::Doctor::Upstream { name }), .. } => {
            block_on(doctor::upstream(settings()?, &name, out))
        }
        Command::Doctor { given, about: None } => block_on(doctor::run(&sources, &given, out)),
    }
}

// A runtime with one worker for each core.
fn block_on<T>(future: impl Future<Output = Result<T>>) -> Result<T> {
    finish(Builder::new_multi_thread().enable_all().build()?, future)
}

// A read of standard input cannot be cancelled, so the end of the process does not wait for blocking threads; what must be
// finished has been awaited by then.
fn finish<T>(runtime: Runtime, future: impl Future<Output = Result<T>>) -> Result<T> {
    let result = runtime.block_on(future);
    runtime.shutdown_timeout(std::time::Duration::from_millis(50));
    result
}
