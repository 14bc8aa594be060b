//! Child processes: argv only, allow-listed, confined. (signatures)

use crate::HostError;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// How far a child is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Own process group, limits, cleared environment; nothing else.
    None,
    /// And Landlock where the kernel has it.
    #[default]
    Standard,
    /// And Landlock or nothing: refuses to start a child that cannot be confined.
    Strict,
}

/// Rules for commands.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ExecRules {
    pub profile: Profile,
    /// Programs that may run, by name; empty means the built-in list (CATALOGUE 1.2).
    pub allow: Vec<String>,
    /// Names of environment variables passed on to children, beside the built-in few.
    pub env: Vec<String>,
    /// Directories, besides the system's own, where programs are looked up.
    pub path: Vec<PathBuf>,
    /// Children alive at once.
    pub max_children: usize,
    /// Address space of a child, in bytes; 0 for no limit.
    pub max_memory: u64,
}

impl Default for ExecRules {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            allow: Vec::new(),
            env: Vec::new(),
            path: Vec::new(),
            max_children: 32,
            max_memory: 0,
        }
    }
}

/// A command line that passed the rules: a resolved program and its arguments, no shell anywhere.
#[derive(Debug, Clone)]
pub struct Command {
    program: PathBuf,
    args: Vec<String>,
    /// Verified working directory (from `Files::directory`).
    pub cwd: Option<PathBuf>,
    pub timeout: Duration,
    /// Bytes kept of each of stdout and stderr.
    pub max_output: usize,
}

/// What came of a command that ran to its end.
#[derive(Debug, Clone)]
pub struct Finished {
    /// Exit status; `None` when a signal ended it.
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub stdout: String,
    pub stderr: String,
    /// Bytes of stdout and stderr that were not kept.
    pub cut: u64,
    pub timed_out: bool,
    pub duration: Duration,
    /// How it was confined, in words, e.g. `landlock abi 7`, `process group only`.
    pub confined: String,
}

/// The door to child processes.
pub struct Exec {}

impl Exec {
    /// `read`, `write`: directories that confined children may read and write, beside what programs need to start.
    pub fn new(
        rules: ExecRules,
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
        denied: Vec<PathBuf>,
    ) -> Result<Self, HostError> {
        let _ = (rules, read, write, denied);
        todo!()
    }

    /// Split a command line as a POSIX shell splits words (quotes, backslash), refuse every shell operator outside of
    /// quotes, check program and arguments against the rules.
    pub fn parse(&self, line: &str) -> Result<Command, HostError> {
        let _ = line;
        todo!()
    }

    /// The same for an argv.
    pub fn command(&self, argv: Vec<String>) -> Result<Command, HostError> {
        let _ = argv;
        todo!()
    }

    /// Run to the end. Dropping the future kills the whole process group.
    pub async fn run(&self, command: Command) -> Result<Finished, HostError> {
        let _ = command;
        todo!()
    }

    /// Start a long process; its output is kept in a ring and read in pages.
    pub async fn start(&self, command: Command, owner: &str) -> Result<Session, HostError> {
        let _ = (command, owner);
        todo!()
    }

    /// A running or just finished process started by `owner`.
    pub fn session(&self, id: u64, owner: &str) -> Option<Session> {
        let _ = (id, owner);
        todo!()
    }

    /// Sessions of `owner`, oldest first.
    pub fn sessions(&self, owner: &str) -> Vec<Session> {
        let _ = owner;
        todo!()
    }

    /// What confinement this machine can give, in words.
    pub fn confinement(&self) -> String {
        todo!()
    }

    /// Kill every child (shutdown).
    pub async fn shutdown(&self) {
        todo!()
    }
}

/// A long process. Cheap to clone.
#[derive(Clone)]
pub struct Session {}

/// State of a long process at one moment.
#[derive(Debug, Clone, Serialize)]
pub struct SessionInfo {
    pub id: u64,
    pub pid: u32,
    pub command: String,
    pub running: bool,
    pub exit_code: Option<i32>,
    pub signal: Option<i32>,
    pub runtime_ms: u64,
    /// Lines of output so far, and the first one still kept.
    pub lines: u64,
    pub first_kept: u64,
}

/// A page of a long process's output.
#[derive(Debug, Clone, Serialize)]
pub struct OutputPage {
    pub lines: Vec<String>,
    /// Number of the first line given.
    pub from: u64,
    /// Number to ask for next.
    pub next: u64,
    /// Lines dropped from the ring before `from`.
    pub dropped: u64,
    pub info: SessionInfo,
}

impl Session {
    pub fn info(&self) -> SessionInfo {
        todo!()
    }

    /// Lines from `from` (negative: counted from the end), at most `max`, waiting up to `wait` for something new.
    pub async fn read(&self, from: i64, max: usize, wait: Duration) -> OutputPage {
        let _ = (from, max, wait);
        todo!()
    }

    /// Write to its standard input.
    pub async fn send(&self, text: &str) -> Result<(), HostError> {
        let _ = text;
        todo!()
    }

    /// SIGTERM to its process group, SIGKILL after two seconds; `force`: SIGKILL at once.
    pub async fn terminate(&self, force: bool) -> SessionInfo {
        let _ = force;
        todo!()
    }
}
