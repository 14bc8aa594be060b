//! Tool `interact_with_process`.

use super::DesktopCommander;
use super::start_process::{Page, session};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toolgate_core::param::{self, Within};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

const MAX_INPUT: usize = 64 << 10;

/// Type a line into a running process and return what it writes in answer.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InteractWithProcess {
    #[serde(deserialize_with = "param::integer")]
    session: u64,
    /// Text to type, at most 64 KiB; a line end is added when there is none.
    input: String,
    /// Milliseconds to wait for an answer, up to 60,000.
    #[serde(default)]
    timeout_ms: Within<0, 60_000, 8000>,
}

impl Tool for InteractWithProcess {
    type Server = DesktopCommander;
    type Output = Page;
    const SPEC: Spec = Spec::write("interact_with_process").timeout(secs(70)).without_breaker();

    async fn call(self, server: &DesktopCommander, ctx: &Ctx) -> Result<Page, ToolError> {
        if self.input.len() > MAX_INPUT {
            return Err(ToolError::too_large(format!(
                "input has {} bytes; at most {MAX_INPUT}",
                self.input.len()
            )));
        }
        let session = session(server, ctx, self.session)?;
        let before = i64::try_from(session.info().lines).unwrap_or(i64::MAX);
        let line_end = if self.input.ends_with('\n') { "" } else { "\n" };
        session.send(&format!("{}{line_end}", self.input)).await?;
        let wait = Duration::from_millis(self.timeout_ms.get().into());
        Ok(session.read(before, 1000, wait).await.into())
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
        let typed = json!({"session": started["session"], "input": "hello"});
        assert_eq!(call::<InteractWithProcess>(&server, typed).await.unwrap()["output"], "hello");
        server.host.exec().shutdown().await;
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<InteractWithProcess>(&server, arguments).await;
        assert_eq!(kind(json!({"session": 99, "input": "x"})).await, Kind::NotFound);
        assert_eq!(kind(json!({"session": 1, "input": "x".repeat(70_000)})).await, Kind::TooLarge);
    }
}
