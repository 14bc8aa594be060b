//! CPU time and memory of other processes, from `/proc`.
//!
//! CPU times come in ticks of 10 ms, which the kernel scales to what the scheduler counted; over a second the error is at
//! most 1 %.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::time::Duration;

/// Which processes stand between the generator and the upstream.
#[derive(Clone, Debug)]
pub enum Through {
    Nobody,
    /// This one and what it started.
    Process(u32),
    /// Whoever listens on this port of this machine, and what it started.
    Port(u16),
}

impl Through {
    fn processes(&self) -> Vec<u32> {
        match self {
            Through::Nobody => Vec::new(),
            Through::Process(pid) => tree(&[*pid]),
            Through::Port(port) => tree(&listeners(*port)),
        }
    }
}

/// CPU time and resident bytes of a group of processes.
#[derive(Clone, Copy, Default, Debug)]
pub struct Usage {
    pub cpu: Duration,
    pub memory: u64,
}

/// What each of the three groups used between `start` and `stop`.
#[derive(Clone, Copy, Default, Debug)]
pub struct Used {
    pub generator: Usage,
    pub through: Usage,
    pub upstream: Usage,
}

pub struct Meter {
    through: Through,
    upstream: Vec<u32>,
    before: BTreeMap<u32, Duration>,
}

impl Meter {
    /// `upstream`: processes that are counted as the upstream wherever they stand. So are children named as one.
    pub fn start(through: &Through, upstream: &[u32]) -> Self {
        let mut meter =
            Self { through: through.clone(), upstream: upstream.to_vec(), before: BTreeMap::new() };
        let (through, upstream) = meter.groups();
        for pid in through.into_iter().chain(upstream).chain([std::process::id()]) {
            meter.before.insert(pid, cpu(pid));
        }
        meter
    }

    pub fn stop(&self) -> Used {
        // Own time first: looking for the others costs some.
        let generator = self.usage(&[std::process::id()]);
        let (through, upstream) = self.groups();
        Used { generator, through: self.usage(&through), upstream: self.usage(&upstream) }
    }

    fn usage(&self, processes: &[u32]) -> Usage {
        let spent =
            |pid: &u32| cpu(*pid).saturating_sub(self.before.get(pid).copied().unwrap_or(Duration::ZERO));
        Usage {
            cpu: processes.iter().map(spent).sum(),
            memory: processes.iter().map(|pid| resident(*pid)).sum(),
        }
    }

    fn groups(&self) -> (Vec<u32>, Vec<u32>) {
        let mut upstream = self.upstream.clone();
        let (echoes, through): (Vec<u32>, Vec<u32>) =
            self.through.processes().into_iter().partition(|pid| is_echo(*pid));
        upstream.extend(echoes.into_iter().filter(|pid| !self.upstream.contains(pid)));
        (through.into_iter().filter(|pid| !self.upstream.contains(pid)).collect(), upstream)
    }
}

// Our own upstream, started over stdio by what is measured.
fn is_echo(pid: u32) -> bool {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let mut words = line.split(|b| *b == 0);
    words.next().is_some_and(|program| program.ends_with(b"toolgate-bench"))
        && words.next() == Some(b"upstream")
}

/// User and system time of a process so far; zero when it is gone.
pub fn cpu(pid: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(')') else { return Duration::ZERO };
    let ticks = rest.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok());
    Duration::from_millis(ticks.sum::<u64>() * 10)
}

/// Resident bytes of a process; zero when it is gone.
pub fn resident(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find(|l| l.starts_with("VmRSS")).unwrap_or("");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

// These processes and their descendants.
fn tree(roots: &[u32]) -> Vec<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let parent =
            stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().nth(1)?.parse::<u32>().ok());
        parents.push((pid, parent.unwrap_or(0)));
    }
    let mut found: Vec<u32> = roots.to_vec();
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(
            parents.iter().filter(|(pid, p)| *p == parent && !roots.contains(pid)).map(|(pid, _)| *pid),
        );
        at += 1;
    }
    found
}

// Processes that hold a listening TCP socket of this port.
fn listeners(port: u16) -> Vec<u32> {
    let mut sockets = HashSet::new();
    for table in ["/proc/net/tcp", "/proc/net/tcp6"] {
        for line in fs::read_to_string(table).unwrap_or_default().lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let local = fields.get(1).and_then(|a| u16::from_str_radix(a.rsplit_once(':')?.1, 16).ok());
            if local == Some(port) && fields.get(3) == Some(&"0A") {
                sockets.extend(fields.get(9).map(|inode| format!("socket:[{inode}]")));
            }
        }
    }
    let mut holders = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(pid) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let mut files = fs::read_dir(entry.path().join("fd")).into_iter().flatten().flatten();
        if files
            .any(|f| fs::read_link(f.path()).is_ok_and(|to| to.to_str().is_some_and(|t| sockets.contains(t))))
        {
            holders.push(pid);
        }
    }
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_that_listens_is_found_and_its_usage_is_read() {
        let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let through = Through::Port(socket.local_addr().unwrap().port());
        assert!(through.processes().contains(&std::process::id()));
        let meter = Meter::start(&through, &[]);
        let begin = std::time::Instant::now();
        while begin.elapsed() < Duration::from_millis(60) {
            std::hint::black_box(tree(&[1]));
        }
        let used = meter.stop();
        assert!(used.through.cpu >= Duration::from_millis(20), "{used:?}");
        assert!(used.through.memory > 1 << 20, "{used:?}");
    }
}
