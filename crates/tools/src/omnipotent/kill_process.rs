//! Tool `kill_process`.

use super::Omnipotent;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};

/// End a process: SIGTERM, or SIGKILL with `force`. Init, systemd, the gateway itself and its parents are refused.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KillProcess {
    /// Process id, from `list_processes`.
    #[serde(deserialize_with = "param::integer")]
    pid: u32,
    /// Kill at once instead of asking the process to end.
    #[serde(default, deserialize_with = "param::boolean")]
    force: bool,
}

/// The process that was signalled.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Killed {
    success: bool,
    pid: u32,
    name: String,
    /// `terminate` or `kill`.
    method: String,
}

impl Tool for KillProcess {
    type Server = Omnipotent;
    type Output = Killed;
    const SPEC: Spec = Spec::destroy("kill_process").without_breaker();

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Killed, ToolError> {
        let name = server.host.system().kill(self.pid, self.force).await?;
        let method = if self.force { "kill" } else { "terminate" };
        Ok(Killed { success: true, pid: self.pid, name, method: method.to_owned() })
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
        let mut victim = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let done = call::<KillProcess>(&server, json!({"pid": victim.id().to_string()})).await.unwrap();
        assert_eq!((done["success"].clone(), done["method"].clone()), (json!(true), json!("terminate")));
        assert!(!victim.wait().unwrap().success());
    }

    #[tokio::test]
    async fn what_is_wrong_is_named_with_what_is_accepted() {
        let (server, _dir) = super::super::server();
        for (arguments, said) in [
            (
                json!({"pid": "x"}),
                "pid: invalid value: string \"x\", expected an integer from 0 to 4294967295",
            ),
            (
                json!({"pid": -1}),
                "pid: invalid value: integer `-1`, expected an integer from 0 to 4294967295",
            ),
            (json!({"pid": 1, "force": 7}), "force: invalid type: integer `7`, expected a boolean"),
            (json!({}), "missing field `pid`"),
            (json!({"pid": 1, "porce": true}), "unknown field `porce`, expected `pid` or `force`"),
        ] {
            let error = call::<KillProcess>(&server, arguments).await.unwrap_err();
            assert_eq!(error.message, said);
        }
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<KillProcess>(&server, json!({"pid": 1})).await, Kind::Forbidden);
        assert_eq!(
            refusal::<KillProcess>(&server, json!({"pid": std::process::id()})).await,
            Kind::Forbidden
        );
        assert_eq!(refusal::<KillProcess>(&server, json!({"pid": -1})).await, Kind::Invalid);
    }
}
