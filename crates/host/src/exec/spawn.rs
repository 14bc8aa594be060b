//! The thread that starts children and clears up after them.
//!
//! One thread, for three reasons: fork, the making of rule sets and the sweeping of /proc block; the kernel delivers
//! PDEATHSIG when the *thread* that forked ends, and this one ends with `Exec`; and clearing up is sent here from
//! `Drop`, where nothing may block.

use super::child::{Child, Parts, sweep};
use super::confine::{Net, Reach, confine, denied_here};
use super::{Command, Confined, ExecRules, Profile, enter, environment};
use crate::HostError;
use crate::files::denied::Denied;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::io::unix::AsyncFd;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use toolgate_core::{Effect, Kind};

/// What holds for every child.
pub(super) struct Ground {
    pub rules: ExecRules,
    /// Canonical.
    pub read: Vec<PathBuf>,
    pub write: Vec<PathBuf>,
    pub denied: Vec<PathBuf>,
    /// Where programs are looked up.
    pub directories: Vec<PathBuf>,
    /// Landlock ABI of the kernel, 0 for none.
    pub abi: u8,
}

pub(super) struct Start {
    pub command: Command,
    /// Whether the child reads from a pipe; else from /dev/null.
    pub stdin: bool,
    pub lifetime: Duration,
    pub permit: OwnedSemaphorePermit,
    pub runtime: tokio::runtime::Handle,
    pub jobs: mpsc::Sender<Job>,
}

/// Work for the thread.
pub(super) enum Job {
    Start(Box<Start>, oneshot::Sender<Result<Child, HostError>>),
    /// Kill what left the group of a child whose leader has ended but is not reaped yet.
    Sweep {
        pid: i32,
        mark: String,
        done: oneshot::Sender<()>,
    },
    /// Kill a child that nobody waits for any more.
    Abandon(Box<Parts>, tokio::runtime::Handle),
    Remove(PathBuf),
}

/// Start the thread. It ends when all senders are gone.
pub(super) fn thread(ground: Arc<Ground>) -> Result<mpsc::Sender<Job>, HostError> {
    let (jobs, inbox) = mpsc::channel();
    let work = move || {
        for job in inbox {
            match job {
                Job::Start(start, answer) => {
                    // When nobody waits any more, dropping the child abandons it.
                    let _ = answer.send(begin(&ground, *start));
                }
                Job::Sweep { pid, mark, done } => {
                    sweep(pid, &mark);
                    let _ = done.send(());
                }
                Job::Abandon(parts, runtime) => {
                    let _guard = runtime.enter();
                    parts.abandon();
                }
                Job::Remove(path) => {
                    let _ = std::fs::remove_dir_all(path);
                }
            }
        }
    };
    std::thread::Builder::new()
        .name("toolgate-exec".into())
        .spawn(work)
        .map_err(|e| HostError::new(Kind::Internal, format!("no thread for child processes: {e}")))?;
    Ok(jobs)
}

/// A name that no other child of any gateway on this machine has.
pub(crate) fn mark() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}-{}-{:x}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed), now.as_nanos())
}

/// A temporary directory, removed unless the child takes it over.
struct Temp {
    path: PathBuf,
    kept: bool,
}

impl Temp {
    fn make(mark: &str) -> std::io::Result<Self> {
        let path = std::env::temp_dir().join(format!("toolgate-{mark}"));
        std::fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self { path: std::fs::canonicalize(path)?, kept: false })
    }

    fn keep(&mut self) -> PathBuf {
        self.kept = true;
        self.path.clone()
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        if !self.kept {
            let _ = std::fs::remove_dir_all(&self.path);
        }
    }
}

// Deprecated for types whose descriptor may change under it; that of an `OwnedFd` does not. Its successor is unsafe.
#[expect(deprecated)]
pub(crate) fn watched(fd: std::os::fd::OwnedFd) -> Option<AsyncFd<std::os::fd::OwnedFd>> {
    AsyncFd::with_interest(fd, tokio::io::Interest::READABLE).ok()
}

fn begin(ground: &Ground, start: Start) -> Result<Child, HostError> {
    let Start { command, stdin, lifetime, permit, runtime, jobs } = start;
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        HostError::new(Kind::Unavailable, format!("`{}` was not started: {what}: {e}", command.name))
    };
    let mark = mark();
    let mut temp = Temp::make(&mark).map_err(|e| failed("no temporary directory", &e))?;
    let cwd =
        command.cwd.as_ref().or(ground.write.first()).or(ground.read.first()).unwrap_or(&temp.path).clone();
    arguments_stay_clear(ground, &command, &cwd)?;

    let rule = command.rule;
    let (ruleset, confined, confinement) = match (ground.rules.profile, ground.abi) {
        (Profile::None, _) => {
            (None, Confined::None, "process group and limits only (profile none)".to_owned())
        }
        (Profile::Standard, 0) => {
            let words = "process group and limits only: this kernel has no Landlock";
            (None, Confined::None, words.to_owned())
        }
        (profile, abi) => {
            let strict = profile == Profile::Strict;
            // What counts as reading is held to it by the kernel too, not by the tables of arguments alone.
            let only_reads = command.effect() == Effect::Read;
            let both: Vec<PathBuf> = ground.read.iter().chain(&ground.write).cloned().collect();
            let tcp =
                !strict && (rule.connects(&command.args) || ground.rules.network.contains(&command.name));
            let reach = Reach {
                read: if only_reads { &both } else { &ground.read },
                write: if only_reads { &[] } else { &ground.write },
                denied: &ground.denied,
                programs: &ground.rules.path,
                temp: &temp.path,
                net: if tcp { Net::Unruled } else { Net::Shut },
                containers: tcp,
                proc: rule.proc,
                strict,
            };
            let made = confine(&reach, abi).map_err(|e| failed("it cannot be confined", &e))?;
            tracing::debug!(program = %command.name, confinement = made.words, "a program is confined");
            let word = if strict { Confined::Strict } else { Confined::Landlock };
            (Some(made.ruleset), word, made.words)
        }
    };

    let mut process = tokio::process::Command::new(&command.program);
    process
        .args(environment::arguments(&command))
        .env_clear()
        .envs(environment::variables(ground, &command, &cwd, &temp.path, &mark))
        .current_dir(&cwd)
        .stdin(if stdin { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    enter::prepare(&mut process, enter::limits(&ground.rules, lifetime), ruleset.as_ref());

    let _guard = runtime.enter();
    let mut inner = process.spawn().map_err(|e| failed("the system refused", &e))?;
    let pid = inner.id().and_then(|id| i32::try_from(id).ok()).unwrap_or_default();
    // Out of memory, the kernel shall take the child, not the gateway. Best effort. Not between fork and exec: what is
    // forked from a process that is not dumpable may not open it, unless it runs as root.
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
    // Not reaped yet, so the number still means this child.
    let pidfd = rustix::process::Pid::from_raw(pid)
        .and_then(|p| rustix::process::pidfd_open(p, rustix::process::PidfdFlags::empty()).ok())
        .and_then(watched);
    Ok(Child {
        pid,
        stdin: inner.stdin.take(),
        stdout: inner.stdout.take(),
        stderr: inner.stderr.take(),
        confined,
        confinement,
        pidfd,
        jobs,
        runtime: runtime.clone(),
        parts: Some(Parts { inner, pid, mark, temp: temp.keep(), permit }),
    })
}

/// Refuse an argument that names a denied path, or a file that the file tools keep closed for its name. For the first
/// kind Landlock is what holds and this is the word before; for the second, and on a machine without Landlock, this is
/// all there is: a program that finds its files itself (`grep -r`) is not held by it.
fn arguments_stay_clear(ground: &Ground, command: &Command, cwd: &Path) -> Result<(), HostError> {
    let denied = denied_here(&ground.denied, ground.read.iter().chain(&ground.write));
    for text in command.args.iter().flat_map(|arg| paths(arg)) {
        let Ok(real) = std::fs::canonicalize(cwd.join(text)) else { continue };
        if denied.iter().any(|d| real.starts_with(d)) || Denied::by_name(&real) {
            return Err(HostError::forbidden(format!("`{text}` is closed to commands")));
        }
    }
    Ok(())
}

/// What in an argument may be a path: all of it, what follows `=`, `:`, `@` or `,` (`--x=PATH`, `HEAD:PATH`, `@PATH`), and the
/// value attached to one of the first letters of a cluster of short options (`-fPATH`).
fn paths(arg: &str) -> impl Iterator<Item = &str> {
    const MARKS: usize = 16;
    const LETTERS: usize = 6;
    let marked =
        arg.match_indices(['=', ':', '@', ',']).take(MARKS).map(|(at, mark)| &arg[at + mark.len()..]);
    let cluster = arg.strip_prefix('-').filter(|c| !c.starts_with('-')).unwrap_or_default();
    let attached = cluster.char_indices().skip(1).take(LETTERS).map(|(at, _)| &cluster[at..]);
    std::iter::once(arg).chain(marked).chain(attached).filter(|text| !text.is_empty())
}
