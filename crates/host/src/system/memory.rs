//! Memory of the machine, or of the container where its limit (cgroup v1 or v2) is lower.

use super::{Memory, percent, unavailable};
use crate::HostError;
use std::path::{Path, PathBuf};

pub(super) fn memory() -> Result<Memory, HostError> {
    let info = std::fs::read_to_string("/proc/meminfo").map_err(|e| unavailable("/proc/meminfo", &e))?;
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    Ok(within(machine(&info), &limits(&groups, Path::new("/sys/fs/cgroup"))))
}

/// Total and available bytes.
fn machine(info: &str) -> (u64, u64) {
    let field = |name: &str| {
        let line = info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    };
    (field("MemTotal"), field("MemAvailable"))
}

/// Limit and use of one control group.
#[derive(Debug, PartialEq)]
struct Limit {
    limit: u64,
    used: u64,
}

/// Limits of the control groups that this process is in, from /proc/self/cgroup: its own and those above it. In a
/// container the path may be that of the host, with the mount showing the own group at its top, so the top counts too.
fn limits(groups: &str, mount: &Path) -> Vec<Limit> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let v2 = controllers.is_empty();
        let tops: Vec<PathBuf> = if v2 {
            vec![mount.to_owned(), mount.join("unified")]
        } else if controllers.split(',').any(|c| c == "memory") {
            vec![mount.join(controllers)]
        } else {
            continue;
        };
        for top in tops {
            let own = top.join(path.trim_start_matches('/'));
            found.extend(own.ancestors().take_while(|d| d.starts_with(&top)).filter_map(|d| limit(d, v2)));
        }
    }
    found
}

fn limit(dir: &Path, v2: bool) -> Option<Limit> {
    let number = |file: &str| std::fs::read_to_string(dir.join(file)).ok()?.trim().parse::<u64>().ok();
    let (limit, used, inactive) = if v2 {
        ("memory.max", "memory.current", "inactive_file ")
    } else {
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
    };
    let stat = std::fs::read_to_string(dir.join("memory.stat")).unwrap_or_default();
    // File cache that the kernel gives back when it is needed.
    let cache = stat.lines().find_map(|l| l.strip_prefix(inactive)?.trim().parse::<u64>().ok()).unwrap_or(0);
    // `max` (no limit) is no number.
    Some(Limit { limit: number(limit)?, used: number(used)?.saturating_sub(cache) })
}

fn within((mut total, mut available): (u64, u64), limits: &[Limit]) -> Memory {
    for Limit { limit, used } in limits {
        if *limit < total {
            total = *limit;
        }
        available = available.min(limit.saturating_sub(*used));
    }
    let used = total.saturating_sub(available);
    Memory { total, available, percent: percent(used, total), used }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: PathBuf, text: &str) {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    #[test]
    fn lowest_limit_counts() {
        let dir = tempfile::tempdir().unwrap();
        let mount = dir.path();
        // v2: the limit is above the own group.
        write(mount.join("a/memory.max"), "1000\n");
        write(mount.join("a/memory.current"), "700\n");
        write(mount.join("a/memory.stat"), "anon 5\ninactive_file 100\n");
        write(mount.join("a/b/memory.max"), "max\n");
        write(mount.join("a/b/memory.current"), "10\n");
        assert_eq!(limits("0::/a/b\n", mount), [Limit { limit: 1000, used: 600 }]);
        // v1, and a path of the host that the mount does not show.
        write(mount.join("memory/memory.limit_in_bytes"), "2000\n");
        write(mount.join("memory/memory.usage_in_bytes"), "500\n");
        assert_eq!(limits("9:pids:/x\n4:memory:/docker/x\n", mount), [Limit { limit: 2000, used: 500 }]);

        let memory = within((5000, 4000), &[Limit { limit: 1000, used: 600 }]);
        assert_eq!((memory.total, memory.available, memory.used, memory.percent), (1000, 400, 600, 60.0));
        let unlimited = within((5000, 4000), &[Limit { limit: u64::MAX, used: 600 }]);
        assert_eq!((unlimited.total, unlimited.available), (5000, 4000));
    }

    #[test]
    fn meminfo() {
        assert_eq!(machine("MemTotal:  10 kB\nMemFree: 1 kB\nMemAvailable:   4 kB\n"), (10240, 4096));
    }
}
