//! `toolgate completions SHELL`.

use crate::cli;
use std::io::Write;

pub fn run(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::grammar(), "toolgate", &mut script);
    std::io::stdout().lock().write_all(&script)?;
    Ok(())
}
