//! The outside world, and the one door to it: egress HTTP, files beneath their roots, child processes, the system.
//!
//! Tool servers reach everything through `Host`. Whatever is not allowed here cannot be done by a tool, whoever asks.

pub mod child;
pub mod egress;
pub mod error;
pub mod exec;
pub mod files;
pub mod system;

pub use error::HostError;

use std::sync::Arc;

/// The door. Cheap to clone.
#[derive(Clone)]
pub struct Host {
    http: Arc<egress::Http>,
    exec: Arc<exec::Exec>,
    files: Arc<files::Files>,
    system: Arc<system::System>,
}

impl Host {
    pub fn new(http: egress::Http, exec: exec::Exec, files: files::Files, system: system::System) -> Self {
        Self { http: http.into(), exec: exec.into(), files: files.into(), system: system.into() }
    }

    pub fn http(&self) -> &egress::Http {
        &self.http
    }

    pub fn exec(&self) -> &exec::Exec {
        &self.exec
    }

    pub fn files(&self) -> &files::Files {
        &self.files
    }

    pub fn system(&self) -> &system::System {
        &self.system
    }
}
