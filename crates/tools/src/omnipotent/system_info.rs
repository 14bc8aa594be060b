//! Tool `system_info`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Facts of the machine the gateway runs on: platform, CPU (sampled over 0.1 s), memory, disks. Cached for 30 s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SystemInfo {}

impl Tool for SystemInfo {
    type Server = Omnipotent;
    type Output = toolgate_host::system::SystemInfo;
    const SPEC: Spec = Spec::read("system_info").cache(secs(30));

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Self::Output, ToolError> {
        Ok(server.host.system().info().await?)
    }
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
        let info = call::<SystemInfo>(&server, json!({})).await.unwrap();
        assert_eq!(info["platform"]["system"], "Linux");
        assert!(info["cpu"]["logical_cores"].as_u64().unwrap() >= 1);
        assert!(info["memory"]["total"].as_u64().unwrap() > info["memory"]["used"].as_u64().unwrap());
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<SystemInfo>(&server, json!({"verbose": true})).await, Kind::Invalid);
    }
}
