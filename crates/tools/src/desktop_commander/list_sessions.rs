//! Tool `list_sessions`.

use super::DesktopCommander;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::exec::SessionInfo;

/// List the processes that you started with `start_process`, running and lately ended ones.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListSessions {}

/// Your processes, oldest first.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Sessions {
    sessions: Vec<SessionInfo>,
    count: usize,
}

impl Tool for ListSessions {
    type Server = DesktopCommander;
    type Output = Sessions;
    const SPEC: Spec = Spec::read("list_sessions").without_breaker();

    async fn call(self, server: &DesktopCommander, ctx: &Ctx) -> Result<Sessions, ToolError> {
        let sessions: Vec<SessionInfo> =
            server.host.exec().sessions(&ctx.caller.id).iter().map(|session| session.info()).collect();
        Ok(Sessions { count: sessions.len(), sessions })
    }
}

#[cfg(test)]
mod tests {
    use super::super::start_process::StartProcess;
    use super::*;
    use crate::testing::{call, call_as, ctx, refusal};
    use serde_json::json;
    use std::sync::Arc;
    use toolgate_core::{Caller, Kind};

    #[tokio::test]
    async fn happy() {
        let (server, _dir) = super::super::server();
        call::<StartProcess>(&server, json!({"command": "cat", "timeout_ms": 1})).await.unwrap();
        assert_eq!(call::<ListSessions>(&server, json!({})).await.unwrap()["count"], 1);
        // Another caller sees nothing of it.
        let mut other = ctx();
        other.caller = Arc::new(Caller::new("key:other", "other", ["admin"]));
        assert_eq!(call_as::<ListSessions>(&server, &other, json!({})).await.unwrap()["count"], 0);
        server.host.exec().shutdown().await;
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ListSessions>(&server, json!({"all": true})).await, Kind::Invalid);
    }
}
