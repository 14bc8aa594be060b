//! Facts of this machine and its processes. (signatures)

use crate::HostError;
use serde::Serialize;

/// Reads /proc through `sysinfo`; every call may block for some milliseconds, so it runs on a blocking thread.
pub struct System {}

#[derive(Debug, Clone, Serialize)]
pub struct Platform {
    pub system: String,
    pub release: String,
    pub machine: String,
    pub processor: String,
    pub hostname: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Cpu {
    pub physical_cores: usize,
    pub logical_cores: usize,
    /// Percent of all cores over the sample of 0.1 s.
    pub cpu_percent: f32,
    pub per_cpu: Vec<f32>,
}

/// Bytes; `percent` is used of total. Container limits (cgroup v1 and v2) count where they are lower.
#[derive(Debug, Clone, Serialize)]
pub struct Memory {
    pub total: u64,
    pub available: u64,
    pub percent: f32,
    pub used: u64,
}

#[derive(Debug, Clone, Serialize)]
pub struct Disk {
    pub device: String,
    pub mountpoint: String,
    pub total: u64,
    pub used: u64,
    pub free: u64,
    pub percent: f32,
}

#[derive(Debug, Clone, Serialize)]
pub struct SystemInfo {
    pub platform: Platform,
    pub cpu: Cpu,
    pub memory: Memory,
    pub disk: Vec<Disk>,
}

#[derive(Debug, Clone, Serialize)]
pub struct Process {
    pub pid: u32,
    pub name: String,
    pub username: Option<String>,
    pub memory_percent: f32,
    pub cpu_percent: f32,
    pub status: String,
}

#[derive(Debug, Clone, Serialize)]
pub struct Connection {
    pub fd: Option<u32>,
    /// `AF_INET` or `AF_INET6`.
    pub family: String,
    /// `SOCK_STREAM` or `SOCK_DGRAM`.
    pub r#type: String,
    pub local_addr: String,
    pub remote_addr: String,
    pub status: String,
    pub pid: Option<u32>,
}

impl System {
    pub fn new() -> Self {
        Self {}
    }

    pub async fn info(&self) -> Result<SystemInfo, HostError> {
        todo!()
    }

    /// Processes whose name contains `filter` (case-insensitive), by CPU then memory, with how many matched in all.
    pub async fn processes(&self, filter: &str, max: usize) -> Result<(Vec<Process>, usize), HostError> {
        let _ = (filter, max);
        todo!()
    }

    /// SIGTERM, or SIGKILL when `force`; refuses pid 0 and 1, the gateway itself, its parents and init or systemd by
    /// name. Returns the process's name.
    pub async fn kill(&self, pid: u32, force: bool) -> Result<String, HostError> {
        let _ = (pid, force);
        todo!()
    }

    pub async fn connections(&self, max: usize) -> Result<(Vec<Connection>, usize), HostError> {
        let _ = max;
        todo!()
    }

    /// Resident bytes of this process.
    pub fn own_memory(&self) -> u64 {
        todo!()
    }

    /// Percentages of cpu, memory and of the fullest disk, for health checks; cheap (cached for a second).
    pub async fn load(&self) -> (f32, f32, f32) {
        todo!()
    }
}

impl Default for System {
    fn default() -> Self {
        Self::new()
    }
}
