//! Resource `system_processes`.

use super::super::Omnipotent;
use super::super::list_processes::processes;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::content::{Contents, Reading};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Resource, Spec, Tool, ToolError};

/// The running processes as JSON, the busiest first, at most 200. Without command lines, which may hold secrets.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemProcesses {}

impl Tool for SystemProcesses {
    type Server = Omnipotent;
    type Output = Reading;
    const SPEC: Spec = Spec::read("system_processes").cache(secs(10));

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Reading, ToolError> {
        let contents = Contents::json(Self::URI, &processes(server, "").await?)
            .map_err(|_| ToolError::unavailable("the list could not be written as JSON"))?;
        Ok(Reading::of(contents))
    }
}

impl Resource for SystemProcesses {
    const URI: &'static str = "system://processes";
    const TITLE: &'static str = "Running processes";
    const MIME: Option<&'static str> = Some("application/json");
}

#[cfg(test)]
mod tests {
    use super::super::super::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::{Value, json};
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = server();
        let read = call::<SystemProcesses>(&server, json!({})).await.unwrap();
        assert_eq!(read["contents"][0]["uri"], "system://processes");
        let list: Value = serde_json::from_str(read["contents"][0]["text"].as_str().unwrap()).unwrap();
        assert!(list["count"].as_u64().unwrap() >= 1 && list["processes"][0]["pid"].is_u64(), "{list}");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        assert_eq!(refusal::<SystemProcesses>(&server, json!({"all": true})).await, Kind::Invalid);
    }
}
