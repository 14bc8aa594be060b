//! A control group (cgroup v2) of one child: everything that it starts is in it, however often it forks, and ends with it. It
//! bounds memory and processes where those controllers were delegated to the gateway.
//!
//! Made by `spawn` beneath the gateway's own group, or beside it where that is what was delegated (a service whose
//! processes live in a subgroup). Where neither can be written there is none.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

const PREFIX: &str = "toolgate-";

pub(super) struct Group {
    path: PathBuf,
    /// Whether memory is bounded by it.
    pub bounds_memory: bool,
    /// Whether the number of processes is.
    pub bounds_processes: bool,
}

impl Group {
    /// Errors are the system's: it is not there, or not ours to write.
    pub fn make(mark: &str, memory: u64, processes: u64) -> Result<Self, String> {
        let mut why = "no cgroup v2 hierarchy is mounted".to_owned();
        for parent in parents() {
            // Fails where the gateway's own process is in it; then nothing can be bounded, but all can be ended.
            let _ = std::fs::write(parent.join("cgroup.subtree_control"), "+memory +pids");
            let path = parent.join(format!("{PREFIX}{mark}"));
            match std::fs::create_dir(&path) {
                Err(e) => why = format!("{}: {e}", parent.display()),
                Ok(()) if !path.join("cgroup.kill").exists() => {
                    why = "cgroup.kill is missing (needs Linux 5.14)".into();
                    let _ = std::fs::remove_dir(&path);
                }
                Ok(()) => {
                    let mut group = Self { path, bounds_memory: false, bounds_processes: false };
                    group.bounds_memory = group.set("memory.max", memory);
                    group.set("memory.swap.max", 0);
                    group.set("memory.oom.group", 1);
                    group.bounds_processes = group.set("pids.max", processes);
                    return Ok(group);
                }
            }
        }
        Err(why)
    }

    fn set(&self, name: &str, value: u64) -> bool {
        std::fs::write(self.path.join(name), value.to_string()).is_ok()
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What a process writes itself into.
    pub fn door(&self) -> std::io::Result<OwnedFd> {
        Ok(std::fs::OpenOptions::new().write(true).open(self.path.join("cgroup.procs"))?.into())
    }

    /// Whether the kernel ended something in it for want of memory.
    pub fn ran_out(&self) -> bool {
        let events = std::fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().any(|l| l.strip_prefix("oom_kill ").is_some_and(|n| n.trim() != "0"))
    }

    pub fn kill(&self) {
        let _ = std::fs::write(self.path.join("cgroup.kill"), "1");
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        end(&self.path);
    }
}

/// End what is in a group, and the group. Blocks until the dead have left it, a second at most.
pub(super) fn end(path: &Path) {
    let ours = path.file_name().and_then(|n| n.to_str()).is_some_and(|n| n.starts_with(PREFIX));
    if !ours {
        return;
    }
    let _ = std::fs::write(path.join("cgroup.kill"), "1");
    for _ in 0..200 {
        match std::fs::remove_dir(path) {
            Err(e) if e.raw_os_error() == Some(libc::EBUSY) => std::thread::sleep(Duration::from_millis(5)),
            _ => return,
        }
    }
    tracing::warn!(group = %path.display(), "a control group could not be removed");
}

/// Where a group may be made: our own group, then the one around it.
fn parents() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let Some(own) = own.lines().find_map(|l| l.strip_prefix("0::/")) else { return Vec::new() };
    let Some((root, at)) = mounts.lines().find_map(mounted) else { return Vec::new() };
    // In a container the mount shows a part only, or our own name is told from the namespace's root.
    let own = Path::new("/").join(own);
    let Ok(inside) = own.strip_prefix(root) else { return vec![at.into()] };
    let here = Path::new(at).join(inside);
    let around = here.parent().filter(|p| p.starts_with(at) && *p != here).map(Path::to_owned);
    std::iter::once(here).chain(around).collect()
}

fn mounted(line: &str) -> Option<(&str, &str)> {
    let (before, after) = line.split_once(" - ")?;
    let mut fields = before.split(' ').skip(3);
    after.starts_with("cgroup2 ").then_some((fields.next()?, fields.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_read() {
        let line = "42 35 0:26 / /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted(line), Some(("/", "/sys/fs/cgroup")));
        assert_eq!(mounted("1 2 0:3 / /sys rw - sysfs sysfs rw"), None);
    }

    #[test]
    fn only_our_own_groups_are_ended() {
        let dir = tempfile::tempdir().unwrap();
        end(dir.path());
        assert!(dir.path().exists());
    }
}
