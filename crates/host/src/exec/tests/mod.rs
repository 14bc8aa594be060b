//! Tests of `Exec` with real processes.

mod confined;
mod refused;
mod runs;
mod sessions;
mod viewer;

use super::*;
use std::path::Path;

/// Programs that the tests run, beside the built-in list.
const MORE: &[&str] = &["sleep"];

struct Place {
    /// Removed at the end.
    _dir: tempfile::TempDir,
    base: PathBuf,
}

impl Place {
    /// `base/read`, `base/write`, `base/outside`, each with a file `f` that says which.
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let base = dir.path().canonicalize().unwrap();
        for name in ["read", "write", "outside"] {
            std::fs::create_dir(base.join(name)).unwrap();
            std::fs::write(base.join(name).join("f"), name).unwrap();
        }
        Self { _dir: dir, base }
    }

    fn dir(&self, name: &str) -> PathBuf {
        self.base.join(name)
    }

    fn file(&self, name: &str) -> String {
        self.base.join(name).display().to_string()
    }

    fn exec(&self, profile: Profile) -> Exec {
        self.exec_with(ExecRules { profile, allow: allow(), ..ExecRules::default() }, vec![])
    }

    fn exec_with(&self, rules: ExecRules, denied: Vec<PathBuf>) -> Exec {
        Exec::new(rules, vec![self.dir("read")], vec![self.dir("write")], denied).unwrap()
    }

    /// Write a Python program into the write root.
    fn script(&self, name: &str, text: &str) {
        std::fs::write(self.dir("write").join(name), text).unwrap();
    }
}

/// The built-in list and what tests need.
fn allow() -> Vec<String> {
    let built_in = RULES.iter().filter(|r| r.built_in).map(|r| r.name);
    built_in.chain(MORE.iter().copied()).map(str::to_owned).collect()
}

async fn run(exec: &Exec, argv: &[&str]) -> Finished {
    let argv = argv.iter().map(|a| (*a).to_owned()).collect();
    let mut command = exec.command(argv).unwrap();
    command.timeout = Duration::from_secs(60);
    exec.run(command).await.unwrap()
}

/// Whether a process is there and not a zombie.
fn alive(pid: i32) -> bool {
    let stat =
        std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")).unwrap_or_default();
    let state =
        stat.rsplit(')').next().and_then(|s| s.split_ascii_whitespace().next()).unwrap_or("X").to_owned();
    !matches!(state.as_str(), "Z" | "X")
}

/// Wait until `done`, for ten seconds at most.
async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(std::time::Instant::now() < end, "not within ten seconds: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The numbers that a program wrote into a file, one on each line, once there are `count`.
async fn numbers(path: &Path, count: usize) -> Vec<i32> {
    let read = || -> Vec<i32> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.split_inclusive('\n')
            .filter(|l| l.ends_with('\n'))
            .filter_map(|l| l.trim().parse().ok())
            .collect()
    };
    until("the program has written its numbers", || read().len() >= count).await;
    read()
}
