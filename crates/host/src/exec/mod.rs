//! Child processes: argv only, allow-listed, confined.
//!
//! Tool servers start programs here and nowhere else. The parts, in the order in which a command meets them: words.rs
//! (no shell), rules.rs (which program, which arguments), resolve.rs (which file), spawn.rs, environment.rs, confine.rs
//! and enter.rs (started how), child.rs (ended for certain), capture.rs or ring.rs and session.rs (its output).
//!
//! Argument rules keep a program from being another one; they do not judge a project's own files. What holds a child
//! that runs code is Landlock: read and write roots (nothing to write when the command counts as reading), no TCP
//! unless the program is there to use the network (and never under the profile `strict`), no signals out. Without Landlock (profile `none`, or `standard` on an old kernel) a
//! child reads what the gateway's user reads, and `Finished::confined` says so. Absent on purpose: shells, terminals,
//! file name patterns, a way to switch rules off per call.

mod arguments;
mod capture;
pub(crate) mod child;
pub(crate) mod confine;
mod containers;
pub(crate) mod enter;
pub(crate) mod environment;
mod programs;
mod reads;
mod reads_git;
mod reads_tools;
mod repository;
mod resolve;
mod ring;
mod rules;
mod run;
mod session;
pub(crate) mod spawn;
mod subcommands;
mod words;

#[cfg(test)]
mod tests;

pub use session::Session;

use crate::HostError;
use rules::{NEVER, RULES, Rule};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use toolgate_core::unit::Size;
use toolgate_core::{Effect, Kind};

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(300);
const DEFAULT_OUTPUT: usize = 1 << 20;
const MOST_CHILDREN: usize = 10_000;
const MAX_ARGS: usize = 1024;
const MAX_ARG_BYTES: usize = 128 << 10;

/// How far a child is confined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Profile {
    /// Own process group, limits, cleared environment; nothing else.
    None,
    /// And Landlock where the kernel has it.
    #[default]
    Standard,
    /// And Landlock or nothing: refuses to start a child that cannot be confined. No TCP for any program.
    Strict,
}

/// Rules for commands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ExecRules {
    pub profile: Profile,
    /// Programs that may run, by name; empty means the built-in list. Shells and programs that run others are refused.
    pub allow: Vec<String>,
    /// Names of environment variables passed on to children, beside the built-in few.
    pub env: Vec<String>,
    /// Programs that get TCP under the profile `standard`, beside those that are there for it (git, npm, docker, ...).
    pub network: Vec<String>,
    /// Directories, besides the system's own, where programs are looked up.
    pub path: Vec<PathBuf>,
    /// Children alive at once.
    pub max_children: usize,
    /// Address space of a child; no limit when absent.
    pub max_memory: Option<Size>,
}

impl Default for ExecRules {
    fn default() -> Self {
        Self {
            profile: Profile::default(),
            allow: Vec::new(),
            env: Vec::new(),
            network: Vec::new(),
            path: Vec::new(),
            max_children: 32,
            max_memory: None,
        }
    }
}

impl ExecRules {
    /// Every problem, each with its path below `exec`.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut problem = |path: String, what: String| problems.push(format!("exec.{path}: {what}"));
        for (list, names) in [("allow", &self.allow), ("network", &self.network)] {
            for (i, name) in names.iter().enumerate() {
                if list == "allow" && NEVER.contains(&name.as_str()) {
                    let why = "cannot be allowed: it runs any program, and the list would mean nothing";
                    problem(format!("{list}[{i}]"), format!("{name:?} {why}"));
                } else if !resolve::is_name(name) {
                    let why =
                        "is not a program's name; write the bare name, and its directory in `exec.path`";
                    problem(format!("{list}[{i}]"), format!("{name:?} {why}"));
                }
            }
        }
        for (i, name) in self.env.iter().enumerate().filter(|(_, name)| !environment::may_pass(name)) {
            let why = "is not passed on to children: no variable's name, or one that decides what they run";
            problem(format!("env[{i}]"), format!("{name:?} {why}"));
        }
        for (i, path) in self.path.iter().enumerate().filter(|(_, path)| !path.is_absolute()) {
            let shown = path.display().to_string();
            problem(format!("path[{i}]"), format!("{shown:?} is not an absolute path"));
        }
        if !(1..=MOST_CHILDREN).contains(&self.max_children) {
            problem(
                "max_children".into(),
                format!("{} is not a number from 1 to {MOST_CHILDREN}", self.max_children),
            );
        }
        problems
    }
}

/// A command line that passed the rules: a resolved program and its arguments, no shell anywhere.
#[derive(Debug, Clone)]
pub struct Command {
    name: String,
    program: PathBuf,
    args: Vec<String>,
    rule: &'static Rule,
    /// Content filters that the repository configures, to be switched off (repository.rs).
    filters: Vec<String>,
    /// Verified working directory (from `Files::directory`). Else the first root.
    pub cwd: Option<PathBuf>,
    /// For `run`; a session lives until it is ended, a day at most.
    pub timeout: Duration,
    /// Bytes kept of each of stdout and stderr.
    pub max_output: usize,
}

impl Command {
    /// Program name and arguments, for display.
    pub fn argv(&self) -> Vec<String> {
        std::iter::once(&self.name).chain(&self.args).cloned().collect()
    }

    /// `Read` where program and arguments are known to change nothing, else `Write`.
    pub fn effect(&self) -> Effect {
        if self.rule.only_reads(&self.args) { Effect::Read } else { Effect::Write }
    }

    /// The command on one line, quoted as a shell would need it.
    pub fn line(&self) -> String {
        let plain = |a: &str| {
            !a.is_empty() && a.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@+%".contains(c))
        };
        let quote = |a: String| if plain(&a) { a } else { format!("'{}'", a.replace('\'', r"'\''")) };
        self.argv().into_iter().map(quote).collect::<Vec<_>>().join(" ")
    }
}

/// The effect of a command line before it is parsed for real: `Read` where program and arguments are known to change
/// nothing, else `Write`, also for what `Exec::parse` will refuse.
pub fn effect_of(line: &str) -> Effect {
    match words::split(line) {
        Ok(words) if !words.is_empty() && rules::Rule::of(&words[0]).only_reads(&words[1..]) => Effect::Read,
        _ => Effect::Write,
    }
}

/// How a child was confined, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confined {
    /// Process group and limits only.
    None,
    /// Landlock, with what the profile `standard` allows.
    Landlock,
    /// Landlock, under the profile `strict`.
    Strict,
}

/// What came of a command that ran to its end.
#[derive(Debug, Clone, Serialize, JsonSchema)]
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
    pub confined: Confined,
    /// The same in words and in full, for the operator: it names paths, e.g. `landlock abi 7, no tcp`.
    pub confinement: String,
}

/// State of a long process at one moment.
#[derive(Debug, Clone, Serialize, JsonSchema)]
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
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct OutputPage {
    pub lines: Vec<String>,
    /// Number of the first line given.
    pub from: u64,
    /// Number to ask for next; an unfinished last line is given again until it is finished.
    pub next: u64,
    /// Lines dropped from the ring before `from`.
    pub dropped: u64,
    pub info: SessionInfo,
}

/// The door to child processes. Dropped: all children are killed.
pub struct Exec {
    ground: Arc<spawn::Ground>,
    allow: Vec<String>,
    jobs: mpsc::Sender<spawn::Job>,
    slots: Arc<Semaphore>,
    closing: watch::Sender<bool>,
    sessions: Mutex<Vec<Session>>,
    next_id: AtomicU64,
}

impl Exec {
    /// `read`, `write`: directories that confined children may read and write, beside what programs need to start.
    /// `denied`: paths in them that stay closed, beside the usual credential stores.
    pub fn new(
        rules: ExecRules,
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
        denied: Vec<PathBuf>,
    ) -> Result<Self, HostError> {
        Self::with_abi(rules, read, write, denied, confine::abi())
    }

    /// `abi`: the Landlock ABI of the kernel, 0 for none.
    fn with_abi(
        rules: ExecRules,
        read: Vec<PathBuf>,
        write: Vec<PathBuf>,
        denied: Vec<PathBuf>,
        abi: u8,
    ) -> Result<Self, HostError> {
        if rules.profile == Profile::Strict && abi < 4 {
            let has = if abi == 0 {
                "has none".to_owned()
            } else {
                format!("has ABI {abi}, which cannot confine TCP")
            };
            return Err(HostError::new(
                Kind::Unsupported,
                format!(
                    "the exec profile `strict` needs Landlock ABI 4 or later (Linux 6.7, `landlock` among the active \
                     security modules), and this kernel {has}; use the profile `standard`, or another kernel"
                ),
            ));
        }
        let invalid = |text: String| HostError::new(Kind::Invalid, text);
        let problems = rules.problems();
        if !problems.is_empty() {
            return Err(invalid(problems.join("; ")));
        }
        let real = |paths: Vec<PathBuf>| -> Result<Vec<PathBuf>, HostError> {
            let one = |p: PathBuf| {
                std::fs::canonicalize(&p).map_err(|e| invalid(format!("the directory {}: {e}", p.display())))
            };
            paths.into_iter().map(one).collect()
        };
        let allow = match rules.allow.is_empty() {
            true => RULES.iter().filter(|r| r.built_in).map(|r| r.name.to_owned()).collect(),
            false => rules.allow.clone(),
        };
        let slots = Arc::new(Semaphore::new(rules.max_children));
        let ground = Arc::new(spawn::Ground {
            directories: resolve::directories(&rules.path),
            read: real(read)?,
            write: real(write)?,
            denied,
            abi,
            rules,
        });
        Ok(Self {
            jobs: spawn::thread(ground.clone())?,
            ground,
            allow,
            slots,
            closing: watch::Sender::new(false),
            sessions: Mutex::default(),
            next_id: AtomicU64::new(1),
        })
    }

    /// Split a command line as a POSIX shell splits words (quotes, backslash), refuse every shell operator outside of
    /// quotes, check program and arguments against the rules. File name patterns are passed as they stand.
    pub fn parse(&self, line: &str) -> Result<Command, HostError> {
        self.command(words::split(line)?)
    }

    /// The same for an argv.
    pub fn command(&self, argv: Vec<String>) -> Result<Command, HostError> {
        let (name, args) = self.named(argv)?;
        Rule::of(&name).refuse(&args).map_err(|why| {
            HostError::forbidden(format!("`{name}` is not run with these arguments: {why}"))
        })?;
        self.resolved(name, args)
    }

    /// The same without the argument rules, for a tool server that made the arguments itself from checked parts
    /// (e.g. `docker run` with vetted mounts). Allow-list and confinement hold. Never for words that a caller wrote.
    pub fn vetted(&self, argv: Vec<String>) -> Result<Command, HostError> {
        let (name, args) = self.named(argv)?;
        self.resolved(name, args)
    }

    /// Program and arguments, the program being one of the list.
    fn named(&self, argv: Vec<String>) -> Result<(String, Vec<String>), HostError> {
        let invalid = |text: &'static str| HostError::new(Kind::Invalid, text);
        if argv.len() > MAX_ARGS || argv.iter().map(String::len).sum::<usize>() > MAX_ARG_BYTES {
            return Err(HostError::new(
                Kind::TooLarge,
                "too many or too long arguments (1024; 128 KiB in all)",
            ));
        }
        if argv.iter().any(|a| a.contains('\0')) {
            return Err(invalid("an argument holds a NUL character"));
        }
        let mut argv = argv.into_iter();
        let name = argv.next().ok_or_else(|| invalid("no program is named"))?;
        if name.contains('/') {
            return Err(HostError::forbidden(
                "programs are called by name, not by path; name an allowed program".to_owned(),
            ));
        }
        if name.contains('=') {
            return Err(HostError::forbidden("variables cannot be set; name the program first".to_owned()));
        }
        if !self.allow.contains(&name) {
            let known = resolve::is_name(&name);
            let shown = if known { name.as_str() } else { "that" };
            return Err(HostError::forbidden(format!(
                "the program `{shown}` is not allowed; allowed are: {}",
                self.allow.join(", ")
            )));
        }
        if name == "export" {
            return Err(invalid("`export` is a word of a shell; no shell here"));
        }
        Ok((name, argv.collect()))
    }

    fn resolved(&self, name: String, args: Vec<String>) -> Result<Command, HostError> {
        Ok(Command {
            program: resolve::program(&name, &self.ground.directories, &self.ground.write)?,
            rule: Rule::of(&name),
            filters: Vec::new(),
            name,
            args,
            cwd: None,
            timeout: DEFAULT_TIMEOUT,
            max_output: DEFAULT_OUTPUT,
        })
    }

    /// What confinement this machine can give, in words.
    pub fn confinement(&self) -> String {
        match (self.ground.rules.profile, self.ground.abi) {
            (Profile::None, _) => "process group and limits only (profile none)".into(),
            (_, 0) => "process group and limits only: this kernel has no Landlock".into(),
            (Profile::Strict, abi) => format!("landlock abi {abi}, no tcp for any program (profile strict)"),
            (Profile::Standard, abi) => {
                let tcp = if abi >= 4 { "tcp for network programs only" } else { "tcp not confined" };
                format!("landlock abi {abi}, {tcp} (profile standard)")
            }
        }
    }
}

impl std::fmt::Debug for Rule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "rule {}", if self.name.is_empty() { "of any program" } else { self.name })
    }
}
