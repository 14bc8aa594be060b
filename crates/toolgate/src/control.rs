//! The control socket: how a command tells every running process of its data directory that keys or policy changed.
//!
//! One Unix socket for each serving process, `DATA/run/<pid>.sock`, in a directory only its owner can enter. One line in,
//! one line out: `reload` -> `ok` once the process uses what the store says, or `error: ...`. Beside it `<pid>.json` says
//! where the process listens and with which settings. A socket nobody answers on is left over from a crash and removed by who finds it.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::future::Future;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};

/// How long a process has to answer.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// Longest line read from either side, in bytes.
const LINE: u64 = 1024;

/// What a process says of itself in `<pid>.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Running {
    pub pid: u32,
    /// Base address of its HTTP endpoint; none for `toolgate stdio`.
    pub url: Option<String>,
    /// RFC 3339, UTC.
    pub started: String,
    /// The settings in effect, by dotted path.
    #[serde(default)]
    pub settings: InEffect,
}

/// Values of settings by dotted path, as `config show` writes them.
pub type InEffect = BTreeMap<String, Value>;

/// A bound socket and its announcement; both are removed when it is dropped.
pub struct Control {
    listener: UnixListener,
    files: [PathBuf; 2],
}

impl Control {
    /// Bind in `run` and say where this process listens.
    pub fn bind(run: &Path, url: Option<String>, settings: InEffect) -> Result<Self> {
        let pid = std::process::id();
        let socket = run.join(format!("{pid}.sock"));
        let about = run.join(format!("{pid}.json"));
        // The number of a dead process can come again.
        let _ = std::fs::remove_file(&socket);
        let listener = within(&socket, |path| UnixListener::bind(path))
            .with_context(|| format!("control socket {}", socket.display()))?;
        std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;
        announce(run, &Running { pid, url, started: crate::logging::timestamp(), settings })?;
        Ok(Self { listener, files: [socket, about] })
    }

    /// Answer until dropped. `reload` runs for each request, one at a time.
    pub async fn serve<F, R>(self, reload: F)
    where
        F: Fn() -> R,
        R: Future<Output = Result<()>>,
    {
        loop {
            match self.listener.accept().await {
                Ok((stream, _)) => {
                    // One slow or silent peer holds the others up at most this long.
                    let _ = tokio::time::timeout(PATIENCE, answer(stream, &reload)).await;
                }
                Err(problem) => {
                    tracing::warn!(target: "error", error_type = "control_socket", error_message = %problem, context = "accept");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

fn announce(run: &Path, running: &Running) -> Result<()> {
    let temporary = run.join(format!(".{}.json", running.pid));
    std::fs::write(&temporary, serde_json::to_vec(running)?)?;
    Ok(std::fs::rename(&temporary, run.join(format!("{}.json", running.pid)))?)
}

/// Say that this process runs with other settings now.
pub fn changed(run: &Path, settings: InEffect) -> Result<()> {
    let about = std::fs::read(run.join(format!("{}.json", std::process::id())))?;
    announce(run, &Running { settings, ..serde_json::from_slice(&about)? })
}

impl Drop for Control {
    fn drop(&mut self) {
        for file in &self.files {
            let _ = std::fs::remove_file(file);
        }
    }
}

async fn answer<F, R>(mut stream: UnixStream, reload: &F) -> Result<()>
where
    F: Fn() -> R,
    R: Future<Output = Result<()>>,
{
    let (read, mut write) = stream.split();
    let mut line = String::new();
    BufReader::new(read.take(LINE)).read_line(&mut line).await?;
    let reply = match line.trim_end() {
        "reload" => match reload().await {
            Ok(()) => "ok".to_owned(),
            Err(problem) => format!("error: {problem:#}").replace('\n', " "),
        },
        "ping" => "ok".to_owned(),
        _ => "error: unknown request".to_owned(),
    };
    write.write_all(format!("{reply}\n").as_bytes()).await?;
    Ok(())
}

/// What became of telling one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Told {
    pub pid: u32,
    /// `None`: it has taken the change over.
    pub problem: Option<String>,
}

/// Tell every process of this data directory, wait for each, remove what dead ones left.
pub async fn tell_all(run: &Path, request: &str) -> Vec<Told> {
    let asked = processes(run).into_iter().map(|pid| async move {
        match tokio::time::timeout(PATIENCE, ask(&run.join(format!("{pid}.sock")), request)).await {
            Ok(Ok(reply)) if reply == "ok" => Some(Told { pid, problem: None }),
            Ok(Ok(reply)) => Some(Told { pid, problem: Some(reply) }),
            Ok(Err(problem)) if is_stale(&problem) => {
                let _ = std::fs::remove_file(run.join(format!("{pid}.sock")));
                let _ = std::fs::remove_file(run.join(format!("{pid}.json")));
                None
            }
            Ok(Err(problem)) => Some(Told { pid, problem: Some(problem.to_string()) }),
            Err(_) => Some(Told { pid, problem: Some(format!("no answer within {} s", PATIENCE.as_secs())) }),
        }
    });
    futures_util::future::join_all(asked).await.into_iter().flatten().collect()
}

/// Processes that serve this data directory and answer, by process id.
pub async fn running(run: &Path) -> Vec<Running> {
    tell_all(run, "ping")
        .await
        .into_iter()
        .filter(|told| told.problem.is_none())
        .filter_map(|told| std::fs::read(run.join(format!("{}.json", told.pid))).ok())
        .filter_map(|bytes| serde_json::from_slice(&bytes).ok())
        .collect()
}

fn is_stale(problem: &std::io::Error) -> bool {
    matches!(problem.kind(), std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::NotFound)
}

fn processes(run: &Path) -> Vec<u32> {
    let Ok(entries) = std::fs::read_dir(run) else { return Vec::new() };
    let mut pids: Vec<u32> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().to_str()?.strip_suffix(".sock")?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

async fn ask(socket: &Path, request: &str) -> std::io::Result<String> {
    let stream = within(socket, |path| std::os::unix::net::UnixStream::connect(path))?;
    stream.set_nonblocking(true)?;
    let mut stream = UnixStream::from_std(stream)?;
    stream.write_all(format!("{request}\n").as_bytes()).await?;
    let mut line = String::new();
    BufReader::new(stream.take(LINE)).read_line(&mut line).await?;
    Ok(line.trim_end().to_owned())
}

// A socket's path may have 107 bytes, less than many directories have. Beneath /proc/self/fd every path is short.
fn within<T>(socket: &Path, run: impl FnOnce(&Path) -> std::io::Result<T>) -> std::io::Result<T> {
    const LONGEST: usize = 100;
    let (Some(parent), Some(name)) = (socket.parent(), socket.file_name()) else { return run(socket) };
    if socket.as_os_str().len() <= LONGEST {
        return run(socket);
    }
    let dir = std::fs::File::open(parent)?;
    run(&Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    #[tokio::test]
    async fn reload_answers_after_the_work_and_stale_sockets_go() {
        let base = tempfile::tempdir().unwrap();
        for run in [base.path().join("run"), base.path().join("x".repeat(120))] {
            std::fs::create_dir(&run).unwrap();
            // What a crash leaves: a socket file nobody listens on.
            drop(
                within(&run.join("999999.sock"), |path| std::os::unix::net::UnixListener::bind(path))
                    .unwrap(),
            );
            let control = Control::bind(&run, Some("http://127.0.0.1:1".into()), InEffect::new()).unwrap();
            let reloads = Arc::new(AtomicU32::new(0));
            let count = reloads.clone();
            let task = tokio::spawn(control.serve(move || {
                let count = count.clone();
                async move {
                    anyhow::ensure!(count.fetch_add(1, Ordering::SeqCst) == 0, "second time");
                    Ok(())
                }
            }));
            let pid = std::process::id();
            assert_eq!(tell_all(&run, "reload").await, [Told { pid, problem: None }]);
            assert_eq!(reloads.load(Ordering::SeqCst), 1, "the answer comes after the work");
            assert!(!run.join("999999.sock").exists());
            let again = tell_all(&run, "reload").await;
            assert_eq!(again[0].problem.as_deref(), Some("error: second time"));
            assert_eq!(tell_all(&run, "x").await[0].problem.as_deref(), Some("error: unknown request"));
            changed(&run, InEffect::from([("log.level".into(), "debug".into())])).unwrap();
            let said = running(&run).await;
            assert_eq!(said[0].url.as_deref(), Some("http://127.0.0.1:1"));
            assert_eq!(said[0].settings["log.level"], "debug");
            let mode = std::fs::metadata(run.join(format!("{pid}.sock"))).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            task.abort();
            let _ = task.await;
            assert_eq!(running(&run).await, []);
            assert_eq!(std::fs::read_dir(&run).unwrap().count(), 0, "nothing is left behind");
        }
    }

    #[tokio::test]
    async fn a_process_that_does_not_answer_is_named() {
        let run = tempfile::tempdir().unwrap();
        let _silent = std::os::unix::net::UnixListener::bind(run.path().join("4242.sock")).unwrap();
        let told = tell_all(run.path(), "reload").await;
        assert_eq!(told, [Told { pid: 4242, problem: Some("no answer within 2 s".into()) }]);
        assert!(run.path().join("4242.sock").exists());
    }
}
