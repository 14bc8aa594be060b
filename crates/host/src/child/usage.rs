//! What a child and all that it started take, looked at once a second where no control group bounds it: limits of single
//! processes bound neither their number as root, nor what all take together, nor memory that lies in files without a name.
//!
//! Made by `spawn`, asked by `live`. Whose processes they are is the control group's to say where there is one, else they are
//! those beneath the process that keeps the child (its keeper is a subreaper, its namespace has an init: none falls to
//! another). What is taken and given back between two looks is not seen.

use super::group::Group;
use std::collections::{HashMap, HashSet};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// The waiter, its init or keeper: not the child's own.
const OURS: usize = 2;

pub(super) struct Usage {
    /// The process that keeps the child.
    keeper: i32,
    /// Where the control group lists its processes.
    listed: Option<PathBuf>,
    /// Bytes of all, where nothing else bounds them.
    memory: Option<u64>,
    /// Processes and threads of all, where nothing else bounds them.
    processes: Option<usize>,
}

#[derive(Default)]
struct Memory {
    /// Of the processes' own.
    own: u64,
    /// Shared between them, or in files without a name.
    shared: u64,
}

impl Usage {
    /// `None` where the control group bounds it all.
    pub fn of(keeper: i32, group: Option<&Group>, memory: u64, processes: usize) -> Option<Self> {
        let memory = (!group.is_some_and(|group| group.bounds_memory)).then_some(memory);
        let processes = (!group.is_some_and(|group| group.bounds_processes)).then_some(processes);
        let listed = group.map(|group| group.path().join("cgroup.procs"));
        (memory.is_some() || processes.is_some()).then_some(Self { keeper, listed, memory, processes })
    }

    /// Why it must be ended, if it must. Blocks for some milliseconds.
    pub fn look(&self) -> Option<String> {
        let most = self.processes.map_or(usize::MAX, |most| most + OURS);
        let processes = match &self.listed {
            Some(listed) => numbers(&std::fs::read_to_string(listed).unwrap_or_default()),
            None => beneath(self.keeper, most),
        };
        let of = |pid: &i32| Some((*pid, std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?));
        let threads = |status: &str| usize::try_from(number(status, "Threads")).unwrap_or(1).max(1);
        let mut all = processes.len();
        let mut taken = Memory::default();
        if all <= most {
            let statuses: Vec<(i32, String)> = processes.iter().filter_map(of).collect();
            all = statuses.iter().map(|(_, status)| threads(status)).sum();
            for (_, status) in &statuses {
                taken.own += kibibytes(status, &["RssAnon", "VmSwap"]);
                taken.shared += kibibytes(status, &["RssShmem"]);
            }
        }
        if all > most {
            let most = most - OURS;
            return Some(format!(
                "it has more than {most} processes and threads, which are the most that one server may have"
            ));
        }
        let most = self.memory?;
        let unnamed = files_without_names(&processes);
        if taken.own + taken.shared.max(unnamed) <= most {
            return None;
        }
        // What several of them have in common was counted for each.
        let exact = exact(&processes).unwrap_or(taken);
        let taken = exact.own + exact.shared.max(unnamed);
        (taken > most).then(|| {
            format!(
                "it took {} MiB of memory in {} processes, more than the {} MiB that it may (memory)",
                taken >> 20,
                processes.len().saturating_sub(OURS).max(1),
                most >> 20
            )
        })
    }
}

fn numbers(text: &str) -> Vec<i32> {
    text.split_ascii_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

/// This process and all beneath it; a few more than `most` at the most.
fn beneath(root: i32, most: usize) -> Vec<i32> {
    let (mut found, mut at) = (vec![root], 0);
    let mut seen = HashSet::from([root]);
    while let Some(pid) = found.get(at).copied().filter(|_| found.len() <= most) {
        at += 1;
        for task in std::fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let children = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
            found.extend(numbers(&children).into_iter().filter(|child| seen.insert(*child)));
        }
    }
    found
}

fn number(text: &str, key: &str) -> u64 {
    let value = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    value.and_then(|value| value.split_ascii_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn kibibytes(text: &str, keys: &[&str]) -> u64 {
    keys.iter().map(|key| number(text, key) << 10).sum()
}

/// Each page once, whoever has it; `None` where that cannot be read.
fn exact(processes: &[i32]) -> Option<Memory> {
    let mut all = Memory::default();
    let mut any = false;
    for pid in processes {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            // Ended meanwhile, or a process that nobody may look into: ours, which are small.
            continue;
        };
        any = true;
        all.own += kibibytes(&text, &["Pss_Anon", "SwapPss"]);
        all.shared += kibibytes(&text, &["Pss_Shmem"]);
    }
    any.then_some(all)
}

/// Bytes of files that are in memory only (`memfd_create`) and that these have open.
fn files_without_names(processes: &[i32]) -> u64 {
    let mut files = HashMap::new();
    for pid in processes {
        for open in std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let path = open.path();
            let unnamed = std::fs::read_link(&path)
                .is_ok_and(|to| to.as_os_str().as_encoded_bytes().starts_with(b"/memfd:"));
            if let Some(file) = unnamed.then(|| std::fs::metadata(&path).ok()).flatten() {
                files.insert((file.dev(), file.ino()), file.blocks() * 512);
            }
        }
    }
    files.values().sum()
}
