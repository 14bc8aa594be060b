//! Tool `read_process_output`.

use super::DesktopCommander;
use super::start_process::{Page, session};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toolgate_core::param::{self, Within};
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Read output of a process that `start_process` started, by lines; waits up to `timeout_ms` for something new.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadProcessOutput {
    #[serde(deserialize_with = "param::integer")]
    session: u64,
    /// First line, from 0 (`next_offset` of the page before); negative: from the end.
    #[serde(default, deserialize_with = "param::integer")]
    offset: i64,
    /// Lines at most, 1 to 10,000.
    #[serde(default)]
    length: Within<1, 10_000, 1000>,
    /// Milliseconds to wait for new output, up to 60,000.
    #[serde(default)]
    timeout_ms: Within<0, 60_000, 1000>,
}

impl Tool for ReadProcessOutput {
    type Server = DesktopCommander;
    type Output = Page;
    const SPEC: Spec = Spec::read("read_process_output").timeout(secs(70)).without_breaker();

    async fn call(self, server: &DesktopCommander, ctx: &Ctx) -> Result<Page, ToolError> {
        let session = session(server, ctx, self.session)?;
        let wait = Duration::from_millis(self.timeout_ms.get().into());
        Ok(session.read(self.offset, self.length.count(), wait).await.into())
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
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("t"), "a\nb\nc\n").unwrap();
        let started =
            call::<StartProcess>(&server, json!({"command": "cat t", "timeout_ms": 5000})).await.unwrap();
        let read = json!({"session": started["session"], "offset": -1, "timeout_ms": 5000});
        assert_eq!(call::<ReadProcessOutput>(&server, read).await.unwrap()["output"], "c");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        assert_eq!(refusal::<ReadProcessOutput>(&server, json!({"session": 99})).await, Kind::NotFound);
    }
}
