//! Tool `list_processes`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::system::Process;

/// Most processes listed.
const MOST: usize = 200;

/// List running processes, the busiest first, at most 200. Command lines are not shown: they may hold secrets. Cached
/// for 10 s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListProcesses {
    /// Only processes whose name contains this; letter case does not matter.
    #[serde(default)]
    filter_name: String,
}

/// Processes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Processes {
    pub(super) processes: Vec<Process>,
    /// Processes that match, listed or not.
    count: usize,
    /// Whether some that match are not listed.
    limited: bool,
}

impl Tool for ListProcesses {
    type Server = Omnipotent;
    type Output = Processes;
    const SPEC: Spec = Spec::read("list_processes").cache(secs(10));

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Processes, ToolError> {
        processes(server, &self.filter_name).await
    }
}

pub(super) async fn processes(server: &Omnipotent, filter: &str) -> Result<Processes, ToolError> {
    let (processes, count) = server.host.system().processes(filter, MOST).await?;
    Ok(Processes { limited: count > processes.len(), processes, count })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let all = call::<ListProcesses>(&server, json!({})).await.unwrap();
        let own = u64::from(std::process::id());
        assert!(
            all["processes"].as_array().unwrap().iter().any(|p| p["pid"] == own) || all["limited"] == true
        );
        let none = call::<ListProcesses>(&server, json!({"filter_name": "no-such-process"})).await.unwrap();
        assert_eq!(none, json!({"processes": [], "count": 0, "limited": false}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ListProcesses>(&server, json!({"filter_name": 7})).await, Kind::Invalid);
    }
}
