//! What `execute_command` and `make_command` share: one program run to its end.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::Serialize;
use std::time::Duration;
use toolgate_core::ToolError;
use toolgate_host::exec::{Command, Confined};

// CATALOGUE 1.2 allows 10 MB of output; stdout and stderr share it, and it has to fit into a result.
const MAX_OUTPUT: usize = 4 << 20;

/// What the program did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ended {
    command: String,
    working_directory: Option<String>,
    /// Exit status; null when a signal ended it.
    exit_code: Option<i32>,
    stdout: String,
    stderr: String,
    success: bool,
    timed_out: bool,
    duration_ms: u64,
    /// Bytes of output that were left out of the middle.
    cut: u64,
    confined: Confined,
}

/// The command in its verified directory: the one asked for, or the workspace.
pub(super) async fn placed(
    server: &DesktopCommander,
    mut command: Command,
    directory: Option<&str>,
) -> Result<Command, ToolError> {
    let host = &server.host;
    command.cwd = match directory {
        Some(path) => Some(host.files().directory(path).await?),
        None => host.files().base().map(Into::into),
    };
    Ok(command)
}

pub(super) async fn run(
    server: &DesktopCommander,
    line: String,
    mut command: Command,
    timeout: Duration,
) -> Result<Ended, ToolError> {
    command.timeout = timeout;
    command.max_output = MAX_OUTPUT;
    let working_directory = command.cwd.as_ref().map(|d| d.display().to_string());
    let ended = server.host.exec().run(command).await?;
    Ok(Ended {
        command: line,
        working_directory,
        exit_code: ended.exit_code,
        success: ended.exit_code == Some(0) && !ended.timed_out,
        stdout: ended.stdout,
        stderr: ended.stderr,
        timed_out: ended.timed_out,
        duration_ms: u64::try_from(ended.duration.as_millis()).unwrap_or(u64::MAX),
        cut: ended.cut,
        confined: ended.confined,
    })
}
