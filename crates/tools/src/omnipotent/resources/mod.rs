//! What can be read under a URI: the state of this machine. One file a resource, named after it.

pub mod system_processes;
pub mod system_report;
