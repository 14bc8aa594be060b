//! What a program did, as the tools say it that run one to its end (`run_command`, `execute_command`).

use schemars::JsonSchema;
use serde::Serialize;
use toolgate_host::exec::{Confined, Finished};

/// What the program did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Ended {
    command: String,
    /// Exit status; null when a signal ended it.
    returncode: Option<i32>,
    stdout: String,
    stderr: String,
    success: bool,
    timed_out: bool,
    /// Bytes of output that were left out of the middle.
    cut: u64,
    confined: Confined,
}

impl Ended {
    /// `command`: as the caller wrote it.
    pub fn of(command: String, finished: Finished) -> Self {
        Self {
            command,
            returncode: finished.exit_code,
            success: finished.exit_code == Some(0) && !finished.timed_out,
            stdout: finished.stdout,
            stderr: finished.stderr,
            timed_out: finished.timed_out,
            cut: finished.cut,
            confined: finished.confined,
        }
    }
}
