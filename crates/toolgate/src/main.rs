//! The `toolgate` binary: command line, configuration, wiring, shutdown.
//!
//! Small on purpose: it reads `Settings`, joins the crates that do the work (`wiring`), and turns errors into exit codes.

mod cli;
mod client;
mod command;
mod config;
mod connect;
mod control;
mod data_dir;
mod exit;
mod health;
mod insight;
mod key;
mod library;
mod life;
mod logging;
mod meter;
mod output;
mod servers;
mod sessions;
mod tally;
mod tasks;
mod terminal;
mod upstreams;
mod wiring;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // No core dump holds keys, and no other process of this user reads them from /proc/PID/environ or mem. A second wall
    // behind closed files and Landlock, so a kernel that refuses stops nothing.
    let _ = rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::NotDumpable);
    // Huge pages make a gateway that does little hold a third more memory than it uses.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
    let cli = match cli::parse() {
        Ok(cli) => cli,
        Err(code) => return code,
    };
    let json = cli.global.json;
    let result = command::run(cli);
    logging::flush();
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => exit::report(&error, json),
    }
}
