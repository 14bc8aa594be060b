//! Tool `get_env_var`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Get one environment variable of the gateway. The values of variables that hold secrets are masked.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GetEnvVar {
    /// Name of the variable, e.g. `LANG`.
    name: String,
    /// Value to return when it is not set.
    #[serde(default)]
    default: Option<String>,
}

/// A variable and its value; null when it is not set and no default was given.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Variable {
    name: String,
    value: Option<String>,
}

impl Tool for GetEnvVar {
    type Server = Omnipotent;
    type Output = Variable;
    const SPEC: Spec = Spec::read("get_env_var");

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Variable, ToolError> {
        let value = server.env.get(&self.name).cloned().or(self.default);
        Ok(Variable { name: self.name, value })
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
        let get = async |arguments| call::<GetEnvVar>(&server, arguments).await.unwrap();
        assert_eq!(get(json!({"name": "LANG"})).await, json!({"name": "LANG", "value": "C.UTF-8"}));
        assert_eq!(get(json!({"name": "NOPE", "default": "d"})).await["value"], "d");
        assert_eq!(get(json!({"name": "NOPE"})).await["value"], json!(null));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<GetEnvVar>(&server, json!({})).await, Kind::Invalid);
        // A secret is named but never shown.
        let shown = call::<GetEnvVar>(&server, json!({"name": "API_KEY"})).await.unwrap();
        assert_eq!(shown["value"], toolgate_core::redact::MASK);
    }
}
