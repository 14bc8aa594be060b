//! Tool `start_process`.

use super::DesktopCommander;
use super::process::placed;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;
use toolgate_core::param::Within;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Spec, Tool, ToolError};
use toolgate_host::exec::{OutputPage, Session, SessionInfo};

/// Start a program that may run longer than one call: a server, a watcher, an interpreter. Returns its first output;
/// read on with `read_process_output`, type with `interact_with_process`, end it with `force_terminate`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartProcess {
    /// Program and arguments, quoted as for a POSIX shell; no shell runs.
    command: String,
    /// Directory to run in; the workspace when absent.
    #[serde(default)]
    working_directory: Option<String>,
    /// Milliseconds to wait for first output, up to 60,000.
    #[serde(default)]
    timeout_ms: Within<0, 60_000, 1000>,
    /// Seconds after which it is killed, 1 to 86,400.
    #[serde(default)]
    max_runtime: Within<1, 86_400, 3600>,
}

/// State of a long process and a page of its output.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Page {
    /// Names the process in the other tools.
    session: u64,
    pid: u32,
    command: String,
    running: bool,
    exit_code: Option<i32>,
    signal: Option<i32>,
    runtime_ms: u64,
    output: String,
    /// Number of the first line given, from 0.
    first_line: u64,
    /// Offset to continue from.
    next_offset: u64,
    /// Lines that were dropped before the first one given, because the process wrote too much.
    dropped: u64,
}

impl From<OutputPage> for Page {
    fn from(page: OutputPage) -> Self {
        let SessionInfo { id, pid, command, running, exit_code, signal, runtime_ms, .. } = page.info;
        Self {
            session: id,
            pid,
            command,
            running,
            exit_code,
            signal,
            runtime_ms,
            output: page.lines.join("\n"),
            first_line: page.from,
            next_offset: page.next,
            dropped: page.dropped,
        }
    }
}

/// A session of this caller.
pub(super) fn session(server: &DesktopCommander, ctx: &Ctx, id: u64) -> Result<Session, ToolError> {
    let no_session = || ToolError::not_found(format!("you have no session {id}; list_sessions names yours"));
    server.host.exec().session(id, &ctx.caller.id).ok_or_else(no_session)
}

impl Tool for StartProcess {
    type Server = DesktopCommander;
    type Output = Page;
    const SPEC: Spec = Spec::write("start_process").timeout(secs(70)).without_breaker();

    async fn call(self, server: &DesktopCommander, ctx: &Ctx) -> Result<Page, ToolError> {
        let command = server.host.exec().parse(&self.command)?;
        let mut command = placed(server, command, self.working_directory.as_deref()).await?;
        command.timeout = Duration::from_secs(self.max_runtime.get().into());
        let session = server.host.exec().start(command, &ctx.caller.id).await?;
        let wait = Duration::from_millis(self.timeout_ms.get().into());
        Ok(session.read(0, 1000, wait).await.into())
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
        let (server, dir) = super::super::server();
        std::fs::write(dir.path().join("t"), "first\n").unwrap();
        let page =
            call::<StartProcess>(&server, json!({"command": "tail -f t", "timeout_ms": 5000})).await.unwrap();
        assert_eq!((page["output"].clone(), page["running"].clone()), (json!("first"), json!(true)));
        server.host.exec().shutdown().await;
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |line: &str| refusal::<StartProcess>(&server, json!({"command": line})).await;
        for line in ["sh", "tail -f x | cat", "python3 -c 1"] {
            let refused = kind(line).await;
            assert!(matches!(refused, Kind::Forbidden | Kind::Invalid), "{line}");
        }
    }
}
