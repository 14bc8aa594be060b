//! A file for each living child, so that a gateway that was killed leaves nothing: the next one reads them and ends what is left.
//!
//! One line: process, when it started (ticks since boot), mark, gateway, when that started, and the control group. A
//! number counts only with its time, since numbers are given again. Written by `spawn`, read by `sweep`.

use super::group;
use crate::exec::child as shared;
use rustix::process::Signal;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

const ENDING: &str = "child";

/// The file of one child; removed with it.
pub(super) struct RunFile(PathBuf);

impl RunFile {
    pub fn write(directory: &Path, pid: i32, mark: &str, group: Option<&Path>) -> std::io::Result<Self> {
        let path = directory.join(format!("{mark}.{ENDING}"));
        let gateway = std::process::id();
        let group = group.map_or_else(|| "-".into(), |g| g.display().to_string());
        let line = format!(
            "{pid} {} {mark} {gateway} {} {group}\n",
            started(pid).unwrap_or_default(),
            started(gateway.cast_signed()).unwrap_or_default(),
        );
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?;
        let this = Self(path);
        file.write_all(line.as_bytes())?;
        Ok(this)
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Whether a child of this mark is there, or being started, or still to be swept.
pub(super) fn is_there(directory: &Path, mark: &str) -> bool {
    directory.join(mark).exists() || directory.join(format!("{mark}.{ENDING}")).exists()
}

/// End what gateways that are gone left behind; how many children that were still alive. Blocks.
pub fn sweep(directory: &Path) -> usize {
    let Ok(entries) = std::fs::read_dir(directory) else { return 0 };
    let files = entries.flatten().map(|e| e.path());
    let files = files.filter(|p| p.extension().is_some_and(|e| e == ENDING));
    files.filter(|path| sweep_one(path).unwrap_or(false)).count()
}

fn sweep_one(path: &Path) -> Option<bool> {
    let text = std::fs::read_to_string(path).ok()?;
    let mut fields = text.trim_end().splitn(6, ' ');
    let (Some(pid), Some(start), Some(mark), Some(gateway), Some(gateway_start), Some(group)) =
        (fields.next(), fields.next(), fields.next(), fields.next(), fields.next(), fields.next())
    else {
        // Cut off in the middle: the child had not been let go yet, and ended with its gateway.
        let _ = std::fs::remove_file(path);
        return None;
    };
    let lives = |pid: &str, start: &str| {
        let pid = pid.parse::<i32>().ok().filter(|pid| *pid > 1)?;
        (started(pid)? == start.parse::<u64>().ok()?).then_some(pid)
    };
    if lives(gateway, gateway_start).is_some() {
        return None;
    }
    let alive = lives(pid, start);
    if let Some(pid) = alive {
        shared::group(pid, Signal::KILL);
    }
    // What left its group has its mark; and its session, unless the number is another's by now.
    let left = shared::sweep(alive.unwrap_or(-1), mark);
    if group != "-" {
        group::end(Path::new(group));
    }
    if let Some(own) = path.parent() {
        let _ = std::fs::remove_dir_all(own.join(mark));
    }
    let _ = std::fs::remove_file(path);
    Some(alive.is_some() || left)
}

/// When a process started, in clock ticks since boot; `None` when there is none, or only its remains.
pub(super) fn started(pid: i32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, so look behind its last parenthesis: there follows field 3.
    let mut fields = stat.rsplit(')').next()?.split_ascii_whitespace();
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    fields.nth(18)?.parse().ok()
}
