//! Tool `force_terminate`.

use super::DesktopCommander;
use super::start_process::session;
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::{Ctx, Spec, Tool, ToolError, param};
use toolgate_host::exec::SessionInfo;

/// End a process that you started with `start_process`, with all its children: SIGTERM, and SIGKILL after two seconds.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceTerminate {
    #[serde(deserialize_with = "param::integer")]
    session: u64,
    /// Kill at once.
    #[serde(default, deserialize_with = "param::boolean")]
    force: bool,
}

impl Tool for ForceTerminate {
    type Server = DesktopCommander;
    type Output = SessionInfo;
    const SPEC: Spec = Spec::write("force_terminate").idempotent().without_breaker();

    async fn call(self, server: &DesktopCommander, ctx: &Ctx) -> Result<SessionInfo, ToolError> {
        let session = session(server, ctx, self.session)?;
        Ok(session.terminate(self.force).await)
    }
}

#[cfg(test)]
mod tests {
    use super::super::start_process::StartProcess;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        let started =
            call::<StartProcess>(&server, json!({"command": "cat", "timeout_ms": 1})).await.unwrap();
        let ended = call::<ForceTerminate>(&server, json!({"session": started["session"]})).await.unwrap();
        assert_eq!(ended["running"], false, "{ended}");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ForceTerminate>(&server, json!({"session": 99})).await, Kind::NotFound);
    }
}
