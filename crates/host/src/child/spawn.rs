//! Starts children: everything is made before the fork, and made good or undone when the start fails.
//!
//! One thread forks them all and never ends: the kernel delivers the parent-death signal when the thread that forked ends.

use super::channel::{self, Step, Word};
use super::connects::{self, Allowed, Way};
use super::enter::{self, Entry, Spaces};
use super::group::Group;
use super::live::{Life, Parts, Remains};
use super::machine::Machine;
use super::proxy::{Proxy, Secret};
use super::runfile::RunFile;
use super::usage::Usage;
use super::{Plan, Profile, filter, home, program, spaces};
use crate::HostError;
use crate::egress::dial::Dial;
use crate::exec::confine::{Net, Reach, confine};
use crate::exec::enter::at_most_own;
use crate::exec::environment::MARK;
use crate::exec::spawn::{mark, watched};
use crate::files::denied::Denied;
use rustix::process::Resource;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, mpsc};
use tokio::process::{ChildStderr, ChildStdin, ChildStdout};
use toolgate_core::Kind;

const MAX_OPEN: u64 = 4096;
/// Of the user; does not bind root.
const MAX_PROCESSES: u64 = 4096;
/// And threads, of one child.
const MAX_IN_GROUP: usize = 512;

type Job = Box<dyn FnOnce() + Send>;

/// Have the thread do something.
pub(super) fn on_thread(job: Job) -> Result<(), HostError> {
    static THREAD: OnceLock<Mutex<mpsc::Sender<Job>>> = OnceLock::new();
    let sender = match THREAD.get() {
        Some(sender) => sender,
        None => {
            let (jobs, inbox) = mpsc::channel::<Job>();
            let made = std::thread::Builder::new().name("toolgate-child".into());
            made.spawn(move || inbox.into_iter().for_each(|job| job()))
                .map_err(|e| HostError::new(Kind::Internal, format!("no thread for child processes: {e}")))?;
            // Of two made at once one is forgotten, and ends.
            THREAD.get_or_init(|| Mutex::new(jobs))
        }
    };
    let sender = sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
    sender.send(job).map_err(|_| HostError::new(Kind::Internal, "the thread for child processes is gone"))
}

/// A child that runs.
pub(super) struct Begun {
    pub life: Life,
    pub stdin: Option<ChildStdin>,
    pub stdout: Option<ChildStdout>,
    pub stderr: Option<ChildStderr>,
    pub confinement: String,
    /// Of its proxy.
    pub secret: Secret,
    /// What bounds it where no control group does.
    pub usage: Option<Usage>,
}

/// Its directories.
struct Places {
    home: PathBuf,
    temp: PathBuf,
    cwd: PathBuf,
    read: Vec<PathBuf>,
    write: Vec<PathBuf>,
}

pub(super) fn begin(
    plan: Plan,
    machine: &Machine,
    runtime: tokio::runtime::Handle,
) -> Result<Begun, HostError> {
    let failed = |what: &str, e: &dyn std::fmt::Display| {
        let text = format!("the server `{}` was not started: {what}: {e}", plan.name);
        HostError::new(Kind::Unavailable, text)
    };
    let mut means = machine.enforceable(plan.profile).map_err(|missing| {
        let text = format!(
            "the server `{}` is not started, since its sandbox cannot be enforced on this machine; missing: {}",
            plan.name,
            missing.join("; ")
        );
        HostError::new(Kind::Unsupported, text)
    })?;
    check(&plan)?;
    let given_path = plan.env.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let found = program::find(&plan.program, plan.cwd.as_deref(), given_path).map_err(|e| {
        HostError::new(e.kind, format!("the server `{}` was not started: {}", plan.name, e.message))
    })?;

    let mark = mark();
    let mut remains = Remains { group: None, directories: Vec::new(), home: None, file: None };
    let places = places(&plan, &mark, &mut remains)?;
    if machine.group.is_ok() {
        remains.group = Group::make(&mark, plan.memory, MAX_IN_GROUP as u64).ok();
    }
    let confined = plan.profile != Profile::None;
    let apart = confined && machine.spaces.is_ok();
    let way = confined && (plan.profile == Profile::Standard || !plan.egress.allow.is_empty());

    let dial = Arc::new(Dial::new(&plan.egress.rules, &plan.egress.allow)?);
    let secret = Secret::random().map_err(|e| failed("no random numbers", &e))?;
    let mut listener = None;
    let mut port = spaces::PROXY_PORT;
    if way && !apart {
        let bound =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(|e| failed("no port for its proxy", &e))?;
        port = bound.local_addr().map_err(|e| failed("no port for its proxy", &e))?.port();
        listener = Some(bound);
    }

    let net = match (apart, way) {
        // Nothing is there but itself and the proxy.
        (true, _) => Net::Apart,
        (false, true) => Net::Port(port),
        (false, false) => Net::Shut,
    };
    let mut ruleset = None;
    if confined {
        let made = reach(&plan, &found, &places, net, machine.abi)?;
        means = format!("{means}; {}", made.words);
        ruleset = Some(made.ruleset);
    }
    let (ours, theirs) = channel::pair().map_err(|e| failed("no channel", &e))?;
    let bounded = remains.group.as_ref().is_some_and(|g| g.bounds_memory);
    let mut limits =
        vec![(Resource::Core, 0), (Resource::Nofile, MAX_OPEN), (Resource::Nproc, MAX_PROCESSES)];
    if !bounded {
        // What a process can write to of its own. Not the address space: V8 reserves far more than it uses.
        limits.push((Resource::Data, plan.memory));
    }
    let group = remains.group.as_ref().map(Group::door).transpose();
    let entry = Entry {
        limits: at_most_own(limits),
        channel: theirs,
        group: group.map_err(|e| failed("its control group", &e))?,
        spaces: apart.then(|| Spaces {
            maps: matches!(machine.spaces, Ok(true)).then(spaces::Maps::own),
            listen: way,
        }),
        ruleset,
        filter: confined.then(|| filter::program(plan.profile == Profile::Strict)),
        proc: plan.profile == Profile::Standard,
    };

    let mut command = std::process::Command::new(&found.path);
    let proxy_url = way.then(|| secret.url(port));
    command
        .args(&plan.args)
        .env_clear()
        .envs(variables(&plan, &found, &places, proxy_url, &mark))
        .current_dir(&places.cwd)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    enter::prepare(&mut command, entry);
    let spawned = command.spawn();
    // With it goes our copy of what was for the child.
    drop(command);

    let mut asks = None;
    let mut step = Step::Exec;
    // It may be over already.
    let mut status = None;
    while let Some(word) = channel::receive(&ours) {
        match word {
            Word::Listener(fd) => listener = Some(TcpListener::from(fd)),
            Word::Asks(fd) => asks = Some(fd),
            Word::Failed(at) => step = at,
            Word::Ended(raw) => status = Some(raw),
        }
    }
    let inner = spawned.map_err(|e| failed(&format!("`{}`: {}", found.path.display(), step.words()), &e))?;
    let pid = i32::try_from(inner.id()).unwrap_or_default();
    let mut parts = Unready(Some(Parts { inner, channel: ours, keeps: !apart, mark: mark.clone(), remains }));

    let _guard = runtime.enter();
    if let Some(parts) = &mut parts.0 {
        let group = parts.remains.group.as_ref().map(|g| g.path().to_owned());
        let file = RunFile::write(&plan.state, pid, &mark, group.as_deref());
        parts.remains.file = Some(file.map_err(|e| failed("no run-file", &e))?);
    }
    let pidfd = rustix::process::Pid::from_raw(pid)
        .and_then(|p| rustix::process::pidfd_open(p, rustix::process::PidfdFlags::empty()).ok())
        .and_then(watched)
        .ok_or_else(|| failed("it cannot be watched", &"pidfd_open (needs Linux 5.3)"))?;
    if confined {
        let asks = asks.ok_or_else(|| failed("its filter", &"the kernel does not ask"))?;
        let mut sockets = places.write.clone();
        sockets.push(places.home.clone());
        let proxy = way.then(|| (Ipv4Addr::LOCALHOST, port).into());
        let way = machine.filter.clone().unwrap_or(Way::Replace);
        connects::serve(asks, Allowed { alone: apart, proxy, sockets, way })
            .map_err(|e| failed("no thread for its connections", &e))?;
    }
    let mut proxy = None;
    if way {
        let listener = listener.ok_or_else(|| failed("its proxy", &"no socket came out of its network"))?;
        let listener =
            listener.set_nonblocking(true).and_then(|()| tokio::net::TcpListener::from_std(listener));
        let listener = listener.map_err(|e| failed("its proxy", &e))?;
        proxy = Some(Proxy::serve(listener, dial, secret.clone(), plan.name.as_str().into()));
    }
    let mut parts = parts.0.take().ok_or_else(|| failed("lost", &""))?;
    let usage = Usage::of(pid, parts.remains.group.as_ref(), plan.memory, MAX_IN_GROUP);
    let pipes = |e: std::io::Error| failed("its pipes", &e);
    Ok(Begun {
        stdin: parts.inner.stdin.take().map(ChildStdin::from_std).transpose().map_err(pipes)?,
        stdout: parts.inner.stdout.take().map(ChildStdout::from_std).transpose().map_err(pipes)?,
        stderr: parts.inner.stderr.take().map(ChildStderr::from_std).transpose().map_err(pipes)?,
        confinement: means,
        secret,
        usage,
        life: Life { parts: Some(parts), pidfd, status, proxy },
    })
}

/// A child whose start may still fail; then it is ended.
struct Unready(Option<Parts>);

impl Drop for Unready {
    fn drop(&mut self) {
        if let Some(parts) = self.0.take() {
            parts.end();
        }
    }
}

fn check(plan: &Plan) -> Result<(), HostError> {
    let invalid =
        |text: String| Err(HostError::new(Kind::Invalid, format!("the server `{}`: {text}", plan.name)));
    if plan.args.iter().any(|a| a.contains('\0')) {
        return invalid("an argument holds a NUL character".into());
    }
    for (name, value) in &plan.env {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return invalid(format!("the variable {name:?} cannot be set"));
        }
    }
    Ok(())
}

fn places(plan: &Plan, mark: &str, remains: &mut Remains) -> Result<Places, HostError> {
    let failed = |path: &Path, e: std::io::Error| {
        let text =
            format!("the server `{}` was not started: the directory {}: {e}", plan.name, path.display());
        HostError::new(Kind::Unavailable, text)
    };
    let make = |path: &Path| {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|e| failed(path, e))?;
        std::fs::canonicalize(path).map_err(|e| failed(path, e))
    };
    let named = |kind: &str, paths: &[PathBuf]| -> Result<Vec<PathBuf>, HostError> {
        let one = |path: &PathBuf| {
            std::fs::canonicalize(path).map_err(|e| {
                let text =
                    format!("the server `{}`: the path {} in `{kind}`: {e}", plan.name, path.display());
                HostError::new(Kind::Invalid, text)
            })
        };
        paths.iter().map(one).collect()
    };
    let (read, write) = (named("read", &plan.read)?, named("write", &plan.write)?);
    let cwd = plan.cwd.as_ref().map(|p| std::fs::canonicalize(p).map_err(|e| failed(p, e))).transpose()?;
    let own = make(&plan.state)?.join(mark);
    remains.directories.push(own.clone());
    let temp = make(&own.join("tmp"))?;
    let home = match &plan.home {
        Some(home) => {
            let hold = home::enter(home, &plan.state, plan.most_homes).map_err(|e| failed(home, e))?;
            remains.home = Some(hold);
            make(home)?
        }
        None => make(&own)?,
    };
    // Where it is kept, a temporary directory of its own lies in it, so that one grant covers both.
    let temp = if plan.home.is_some() {
        let temp = make(&home.join(format!("{}{mark}", home::TEMP)))?;
        remains.directories.push(temp.clone());
        temp
    } else {
        temp
    };
    Ok(Places { cwd: cwd.unwrap_or_else(|| home.clone()), home, temp, read, write })
}

/// The Landlock rules.
fn reach(
    plan: &Plan,
    found: &program::Found,
    places: &Places,
    net: Net,
    abi: u8,
) -> Result<crate::exec::confine::Confinement, HostError> {
    let home = program::home().map(|h| std::fs::canonicalize(&h).unwrap_or(h));
    let named = |path: &Path| places.read.iter().chain(&places.write).any(|p| path.starts_with(p));
    let mut programs = program::needs(&found.path, &plan.args, &found.search);
    programs.extend(program::of_local(&found.path));
    programs.extend(plan.cwd.iter().map(|_| places.cwd.clone()));
    let real = std::fs::canonicalize(&found.path).unwrap_or_else(|_| found.path.clone());
    if plan.profile == Profile::Strict
        && let Some(home) = &home
    {
        programs.retain(|p| !p.starts_with(home) && !home.starts_with(p));
        if real.starts_with(home) && !named(&real) {
            let text = format!(
                "the server `{}` is not started: its program {} lies in the home directory, of which the sandbox `strict` reads nothing; add where it is installed to `read`, or install it for the whole system",
                plan.name,
                real.display()
            );
            return Err(HostError::new(Kind::Forbidden, text));
        }
    }
    let mut denied = plan.denied.clone();
    denied.extend(home.iter().flat_map(|home| Denied::stores(home)));
    let reach = Reach {
        read: &places.read,
        write: &places.write,
        denied: &denied,
        programs: &programs,
        temp: &places.home,
        net,
        containers: false,
        // In the child: there may be one of its own.
        proc: false,
        strict: true,
    };
    confine(&reach, abi).map_err(|e| {
        let text = format!("the server `{}` was not started: it cannot be confined: {e}", plan.name);
        HostError::new(Kind::Unavailable, text)
    })
}

fn variables(
    plan: &Plan,
    found: &program::Found,
    places: &Places,
    proxy: Option<String>,
    mark: &str,
) -> Vec<(String, std::ffi::OsString)> {
    let mut out: Vec<(String, std::ffi::OsString)> = Vec::new();
    let mut set = |name: &str, value: std::ffi::OsString| out.push((name.to_owned(), value));
    let own = found.path.parent().map(Path::to_owned);
    let search = own.iter().chain(&found.search).filter(|d| d.is_dir());
    set("PATH", std::env::join_paths(search).unwrap_or_else(|_| "/usr/local/bin:/usr/bin:/bin".into()));
    let home = program::home().filter(|_| plan.profile == Profile::None);
    set("HOME", home.unwrap_or_else(|| places.home.clone()).into());
    set("LANG", std::env::var_os("LANG").unwrap_or_else(|| "C.UTF-8".into()));
    for name in ["TZ", "USER", "LOGNAME"] {
        if let Some(value) = std::env::var_os(name) {
            set(name, value);
        }
    }
    for name in ["TMPDIR", "TMP", "TEMP"] {
        set(name, places.temp.clone().into());
    }
    set("TERM", "dumb".into());
    for (name, value) in plan.env.iter().filter(|(name, _)| name != "PATH") {
        set(name, value.into());
    }
    if let Some(url) = proxy {
        for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
            set(name, url.clone().into());
            set(&name.to_ascii_lowercase(), url.clone().into());
        }
        for name in ["NO_PROXY", "no_proxy"] {
            set(name, "localhost,127.0.0.1,::1".into());
        }
        set("NODE_USE_ENV_PROXY", "1".into());
    }
    set(MARK, mark.into());
    out
}
