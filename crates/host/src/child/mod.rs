//! Long-lived child processes that an operator configured (upstream servers), confined by a profile, ended for certain.
//!
//! `Child::start` is called by `upstream`; `sweep` and `enforceable` by the binary. Beside `exec`, whose children are commands
//! that a caller asks for: there the argument rules matter, here the sandbox; what both do to a process is `exec`'s.
//!
//! Parts, in the order in which a plan meets them: program.rs (which file, and what it needs), machine.rs (what can be
//! enforced here), spawn.rs (everything made before the fork), enter.rs with spaces.rs, keeper.rs and filter.rs (in the child),
//! connects.rs and proxy.rs (what it may reach), home.rs, stderr.rs, live.rs (its life and end), usage.rs (what it takes),
//! group.rs and runfile.rs (so that nothing is left). Linux only. Absent on purpose: shells, a profile that is enforced in part.

mod channel;
mod connects;
mod enter;
mod filter;
mod group;
mod home;
mod keeper;
mod live;
mod machine;
mod program;
mod proxy;
mod runfile;
mod spaces;
mod spawn;
mod stderr;
#[cfg(test)]
mod tests;
mod usage;

pub use live::Ended;
pub use runfile::sweep;

use crate::HostError;
use crate::egress::EgressRules;
use live::Order;
use machine::Machine;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::process::{ChildStdin, ChildStdout};
use tokio::sync::watch;
use toolgate_core::Kind;

/// How far a child is confined. One that cannot be confined as asked does not start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Own process group and limits only.
    None,
    /// Reads the system, what its program needs and `read`; writes its own directory and `write`; no dangerous system calls;
    /// no network but through the proxy, which lets through what `Egress` allows (everything public when nothing is listed).
    #[default]
    Standard,
    /// As standard; no network where nothing is listed; nothing of the home directory that `read` or `write` do not name.
    Strict,
}

/// What a confined child may connect to.
#[derive(Debug, Clone, Default)]
pub struct Egress {
    /// The gateway's own rules.
    pub rules: EgressRules,
    /// `api.example.org`, `*.example.org`, either with `:port`.
    pub allow: Vec<String>,
}

/// A child to start.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Of the server, for texts and the log.
    pub name: String,
    /// A name that is looked for, or a path.
    pub program: String,
    pub args: Vec<String>,
    /// Beside `PATH`, `HOME`, `LANG`, `TZ` and `TMPDIR`.
    pub env: Vec<(String, String)>,
    /// Values that are masked wherever the child's words are shown.
    pub secrets: Vec<String>,
    /// Default: its own directory.
    pub cwd: Option<PathBuf>,
    pub profile: Profile,
    /// Must exist.
    pub read: Vec<PathBuf>,
    /// Must exist.
    pub write: Vec<PathBuf>,
    /// Closed whatever is granted around them: the gateway's data directory.
    pub denied: Vec<PathBuf>,
    pub egress: Egress,
    /// Bytes of all its processes: by the kernel where there is a control group that bounds it, else looked at once a second
    /// (and of each process by the kernel).
    pub memory: u64,
    /// Directory of the gateway in which children's directories and run-files are; see `sweep`. Made when it is not there.
    pub state: PathBuf,
    /// Its own directory, kept (caches of npx and uvx); default one in `state`, removed with it.
    pub home: Option<PathBuf>,
    /// Where `home` is one of many, beside each other in a directory of their own: how many are kept. One that no child lives
    /// in makes room for a new one.
    pub most_homes: Option<usize>,
    /// Between closing its input, SIGTERM and SIGKILL.
    pub grace: Duration,
}

impl Plan {
    /// With defaults for everything else.
    pub fn new(name: impl Into<String>, program: impl Into<String>, state: impl Into<PathBuf>) -> Self {
        Self {
            name: name.into(),
            program: program.into(),
            args: Vec::new(),
            env: Vec::new(),
            secrets: Vec::new(),
            cwd: None,
            profile: Profile::default(),
            read: Vec::new(),
            write: Vec::new(),
            denied: Vec::new(),
            egress: Egress::default(),
            memory: 1 << 30,
            state: state.into(),
            home: None,
            most_homes: None,
            grace: Duration::from_secs(2),
        }
    }
}

/// A living child. Dropped: its input is closed by whoever has it, then SIGTERM and SIGKILL go to everything it started.
pub struct Child {
    pid: u32,
    stdin: Option<ChildStdin>,
    stdout: Option<ChildStdout>,
    confinement: String,
    tail: stderr::Tail,
    mask: stderr::Mask,
    order: watch::Sender<Order>,
    ended: watch::Receiver<Option<Ended>>,
}

impl Child {
    /// Start a child. Errors: `Invalid` plan, `NotFound` program, `Unsupported` profile, `Unavailable` when the system refuses.
    pub async fn start(plan: Plan) -> Result<Self, HostError> {
        Self::start_on(plan, None).await
    }

    async fn start_on(plan: Plan, machine: Option<Arc<Machine>>) -> Result<Self, HostError> {
        let mut secrets = plan.secrets.clone();
        let (name, grace): (Arc<str>, _) = (plan.name.as_str().into(), plan.grace);
        let runtime = tokio::runtime::Handle::current();
        let (answer, answered) = tokio::sync::oneshot::channel();
        spawn::on_thread(Box::new(move || {
            let machine = machine.unwrap_or_else(Machine::here);
            // Nobody waits any more: what was begun is dropped, and so ended.
            let _ = answer.send(spawn::begin(plan, &machine, runtime));
        }))?;
        let lost = |_| HostError::new(Kind::Internal, "the thread that starts children is gone");
        let mut begun = answered.await.map_err(lost)??;
        secrets.push(begun.secret.text().to_owned());
        let (tail, mask) = (stderr::Tail::default(), stderr::Mask::new(secrets));
        let (stdin, stdout) = (begun.stdin.take(), begun.stdout.take());
        let captured = begun
            .stderr
            .take()
            .map(|stderr| tokio::spawn(stderr::capture(stderr, name.clone(), tail.clone(), mask.clone())));
        let (order, orders) = watch::channel(Order::Live);
        let (report, ended) = watch::channel(None);
        let (pid, confinement) = (begun.life.pid().unsigned_abs(), std::mem::take(&mut begun.confinement));
        tracing::info!(server = %name, pid, confinement, "a server is started");
        tokio::spawn(live::live(begun.life, orders, report, captured, grace, name, begun.usage));
        Ok(Self { pid, stdin, stdout, confinement, tail, mask, order, ended })
    }

    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Its standard input, once.
    pub fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.stdin.take()
    }

    /// Its standard output, once.
    pub fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.stdout.take()
    }

    /// By what it is confined, in words for the operator.
    pub fn confinement(&self) -> &str {
        &self.confinement
    }

    /// The last lines of its standard error, masked; 50 at most.
    pub fn tail(&self) -> Vec<String> {
        self.tail.lines()
    }

    /// A text of the child's with its secrets masked.
    pub fn masked(&self, text: &str) -> String {
        self.mask.text(text)
    }

    /// Wait until it, and all that it started, is gone.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        match ended.wait_for(Option::is_some).await {
            Ok(ended) => ended.clone().unwrap_or_default(),
            Err(_) => Ended::default(),
        }
    }

    /// End it: its input is expected to be closed now. Returns at once; `ended` waits.
    pub fn stop(&self) {
        self.order.send_modify(|order| *order = Order::Stop);
    }

    /// End it now.
    pub fn kill(&self) {
        self.order.send_modify(|order| *order = Order::Kill);
    }
}

/// By what a profile is enforced on this machine, or everything that is missing for it. Blocks for some milliseconds.
pub fn enforceable(profile: Profile) -> Result<String, Vec<String>> {
    Machine::here().enforceable(profile)
}
