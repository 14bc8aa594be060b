//! Tool `list_env_vars`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// List the environment variables of the gateway. The values of variables that hold secrets are masked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListEnvVars {
    /// Only variables whose name begins with this; empty for all.
    #[serde(default)]
    filter_prefix: String,
}

/// Variables by name.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Variables {
    variables: BTreeMap<String, String>,
    count: usize,
}

impl Tool for ListEnvVars {
    type Server = Omnipotent;
    type Output = Variables;
    const SPEC: Spec = Spec::read("list_env_vars");

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Variables, ToolError> {
        let chosen = server.env.iter().filter(|(name, _)| name.starts_with(&self.filter_prefix));
        let variables: BTreeMap<String, String> = chosen.map(|(n, v)| (n.clone(), v.clone())).collect();
        Ok(Variables { count: variables.len(), variables })
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
        let all = call::<ListEnvVars>(&server, json!({})).await.unwrap();
        assert_eq!(all["count"], 3);
        assert_eq!(all["variables"]["API_KEY"], toolgate_core::redact::MASK);
        let some = call::<ListEnvVars>(&server, json!({"filter_prefix": "LA"})).await.unwrap();
        assert_eq!(some, json!({"variables": {"LANG": "C.UTF-8"}, "count": 1}));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ListEnvVars>(&server, json!({"prefix": "x"})).await, Kind::Invalid);
    }
}
