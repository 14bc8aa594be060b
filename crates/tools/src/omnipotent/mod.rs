//! Server `omnipotent`: this machine and the web (CATALOGUE 1.16: its 15 tools, and `batch_read_files` of
//! the earlier code).
//!
//! Files, commands and requests go through `Host`, whose rules bind every tool here alike. Limits of the catalogue that
//! the engine keeps (rate, cache, output size) are in each tool's `Spec`, not in its body.

mod batch_read_files;
mod clear_cache;
mod execute_command;
mod get_env_var;
mod get_performance_stats;
mod health_check;
mod http_request;
mod kill_process;
mod list_env_vars;
mod list_processes;
mod network_connections;
mod prompts;
mod read_file_advanced;
mod resources;
mod scrape_webpage;
mod search_files;
mod system_info;
mod write_file_advanced;

use crate::insight::Insight;
use std::collections::BTreeMap;
use std::sync::Arc;
use toolgate_core::redact;
use toolgate_core::server::Health;
use toolgate_core::{PromptDef, ResourceDef, Server, ToolDef};
use toolgate_host::Host;
use toolgate_host::system::Strain;

/// The server's state.
pub struct Omnipotent {
    host: Host,
    insight: Arc<dyn Insight>,
    /// The gateway's environment as tools may see it, taken once; secrets already masked.
    env: BTreeMap<String, String>,
}

impl Omnipotent {
    /// `env`: the variables that tools may see; the values of those that hold secrets are masked here.
    pub fn new(
        host: Host,
        insight: Arc<dyn Insight>,
        env: impl IntoIterator<Item = (String, String)>,
    ) -> Self {
        let env = env.into_iter().map(|(name, value)| {
            let shown =
                if hides(&name) { redact::MASK.to_owned() } else { redact::text(&value).into_owned() };
            (name, shown)
        });
        Self { host, insight, env: env.collect() }
    }
}

// A variable whose name says that it holds a secret. Beyond what arguments are masked for: `*_KEY`, `*_PAT`, `DATABASE_URL`.
fn hides(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    redact::is_secret_name(name)
        || ["KEY", "PAT", "PWD", "CREDENTIALS", "DSN", "AUTH"]
            .iter()
            .any(|end| upper.ends_with(&format!("_{end}")))
        || upper.ends_with("DATABASE_URL")
        || upper.ends_with("REDIS_URL")
}

impl Server for Omnipotent {
    const NAME: &'static str = "omnipotent";
    const ABOUT: &'static str = "This machine and the web: system facts, processes, files, commands, HTTP.";

    fn tools() -> Vec<ToolDef<Self>> {
        vec![
            ToolDef::of::<system_info::SystemInfo>(),
            ToolDef::of::<list_processes::ListProcesses>(),
            ToolDef::of::<kill_process::KillProcess>(),
            ToolDef::of::<execute_command::ExecuteCommand>(),
            ToolDef::of::<network_connections::NetworkConnections>(),
            ToolDef::of::<read_file_advanced::ReadFileAdvanced>(),
            ToolDef::of::<write_file_advanced::WriteFileAdvanced>(),
            ToolDef::of::<search_files::SearchFiles>(),
            ToolDef::of::<http_request::HttpRequest>(),
            ToolDef::of::<scrape_webpage::ScrapeWebpage>(),
            ToolDef::of::<get_performance_stats::GetPerformanceStats>(),
            ToolDef::of::<health_check::HealthCheck>(),
            ToolDef::of::<clear_cache::ClearCache>(),
            ToolDef::of::<get_env_var::GetEnvVar>(),
            ToolDef::of::<list_env_vars::ListEnvVars>(),
            ToolDef::of::<batch_read_files::BatchReadFiles>(),
        ]
    }

    fn resources() -> Vec<ResourceDef<Self>> {
        vec![
            ResourceDef::of::<resources::system_report::SystemReport>(),
            ResourceDef::of::<resources::system_processes::SystemProcesses>(),
        ]
    }

    fn prompts() -> Vec<PromptDef<Self>> {
        vec![PromptDef::of::<prompts::diagnose::Diagnose>()]
    }

    async fn health(&self) -> Vec<Health> {
        let strain = self.host.system().strain().await;
        let check = |part: &Strain| {
            Health::of(part.part.name(), part.status(), format!("{:.0} % used", part.percent))
        };
        strain.iter().map(check).collect()
    }
}

#[cfg(test)]
fn server() -> (Arc<Omnipotent>, tempfile::TempDir) {
    let (host, directory) = crate::testing::host();
    let env = [("LANG", "C.UTF-8"), ("API_KEY", "hunter2"), ("HOME", "/home/x")];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (Arc::new(Omnipotent::new(host, Arc::new(crate::testing::Quiet), env)), directory)
}
