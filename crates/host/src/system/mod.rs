//! Facts of this machine and its processes, and the ending of a process.
//!
//! Called by the system tools and by health checks. /proc is read directly where that is simple, else through `sysinfo`;
//! it blocks for some milliseconds, so it happens on blocking threads. Command lines and environments of processes are
//! not given: they hold secrets.

pub mod code;
mod connections;
mod cpu;
mod disk;
mod memory;
mod process;
mod strain;

#[cfg(test)]
mod tests;

pub use strain::{Part, Strain};

use crate::HostError;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use toolgate_core::Kind;

/// How long `load` gives the same answer.
const LOAD_AGE: Duration = Duration::from_secs(1);

type Load = (f32, f32, f32);

/// The machine. Holds nothing but the last answer of `load`, and since when the processor is busy.
#[derive(Default)]
pub struct System {
    load: Mutex<Option<(Instant, Load)>>,
    busy_since: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Platform {
    pub system: String,
    pub release: String,
    pub machine: String,
    pub processor: String,
    pub hostname: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Cpu {
    pub physical_cores: usize,
    pub logical_cores: usize,
    /// Percent of all cores over the sample of 0.1 s.
    pub cpu_percent: f32,
    pub per_cpu: Vec<f32>,
}

/// Bytes; `percent` is used of total. Container limits (cgroup v1 and v2) count where they are lower.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
    pub percent: f32,
    pub used: u64,
}

/// Bytes. `free` is what unprivileged users can still write; `percent` is used of used and free, as `df` shows it.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Disk {
    pub device: String,
    pub mountpoint: String,
    pub total: u64,
    pub used: u64,
    pub free: u64,
    pub percent: f32,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct SystemInfo {
    pub platform: Platform,
    pub cpu: Cpu,
    pub memory: Memory,
    pub disk: Vec<Disk>,
}

/// `memory_percent` is of the memory of `SystemInfo`; `cpu_percent` is of one core, so it can exceed 100.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub username: Option<String>,
    pub memory_percent: f32,
    pub cpu_percent: f32,
    pub status: String,
}

#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Connection {
    pub fd: Option<u32>,
    /// `AF_INET` or `AF_INET6`.
    pub family: String,
    /// `SOCK_STREAM` or `SOCK_DGRAM`.
    pub r#type: String,
    pub local_addr: String,
    /// Empty where there is none.
    pub remote_addr: String,
    pub status: String,
    pub pid: Option<u32>,
}

fn unavailable(what: &str, e: &dyn std::fmt::Display) -> HostError {
    HostError::new(Kind::Unavailable, format!("{what}: {e}"))
}

/// Run `work` on a blocking thread.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, HostError> + Send + 'static,
) -> Result<T, HostError> {
    tokio::task::spawn_blocking(work).await.map_err(|e| unavailable("reading the system failed", &e))?
}

impl System {
    pub fn new() -> Self {
        Self::default()
    }

    pub async fn info(&self) -> Result<SystemInfo, HostError> {
        blocking(|| {
            let kernel = |name: &str| {
                let text = std::fs::read_to_string(format!("/proc/sys/kernel/{name}")).unwrap_or_default();
                text.trim().to_owned()
            };
            let platform = Platform {
                system: kernel("ostype"),
                release: kernel("osrelease"),
                machine: std::env::consts::ARCH.to_owned(),
                processor: cpu::model(),
                hostname: kernel("hostname"),
            };
            Ok(SystemInfo { platform, cpu: cpu::cpu()?, memory: memory::memory()?, disk: disk::disks()? })
        })
        .await
    }

    /// Processes whose name contains `filter` (case-insensitive), by CPU then memory, with how many matched in all.
    pub async fn processes(&self, filter: &str, max: usize) -> Result<(Vec<Process>, usize), HostError> {
        let filter = filter.to_lowercase();
        blocking(move || process::list(&filter, max)).await
    }

    /// SIGTERM, or SIGKILL when `force`; refuses pid 0 and 1, the gateway itself, its parents and init or systemd by
    /// name. Returns the process's name.
    pub async fn kill(&self, pid: u32, force: bool) -> Result<String, HostError> {
        blocking(move || process::kill(pid, force)).await
    }

    /// Internet sockets of this network namespace, listening ones first, with how many there are in all. Owners are
    /// known as far as this user may see them.
    pub async fn connections(&self, max: usize) -> Result<(Vec<Connection>, usize), HostError> {
        blocking(move || connections::list(max)).await
    }

    /// Resident bytes of this process; 0 when the system does not say.
    pub fn own_memory(&self) -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmRSS:"));
        line.and_then(|l| l.split_ascii_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
    }

    /// Percentages of cpu, memory and of the fullest disk, for health checks; cheap (cached for a second).
    pub async fn load(&self) -> (f32, f32, f32) {
        let last = *self.load.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, load)) = last
            && at.elapsed() < LOAD_AGE
        {
            return load;
        }
        let read = blocking(|| {
            let cpu = cpu::cpu()?.cpu_percent;
            let memory = memory::memory()?.percent;
            let disk = disk::disks()?.iter().map(|d| d.percent).fold(0.0, f32::max);
            Ok((cpu, memory, disk))
        });
        // What cannot be read now is as it was.
        let load = read.await.unwrap_or(last.map_or((0.0, 0.0, 0.0), |(_, load)| load));
        *self.load.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), load));
        load
    }
}

/// `part` of `whole` in percent, one digit behind the point, between 0 and 100.
fn percent(part: u64, whole: u64) -> f32 {
    if whole == 0 {
        return 0.0;
    }
    ((part as f64 / whole as f64 * 1000.0).round() / 10.0).clamp(0.0, 100.0) as f32
}
