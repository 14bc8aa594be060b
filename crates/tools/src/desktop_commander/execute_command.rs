//! Tool `execute_command` of the workspace server.

use super::DesktopCommander;
use super::process::{self, Ended};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toolgate_core::param::Within;
use toolgate_core::spec::{Task, secs};
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError};
use toolgate_host::exec;

/// Run one allow-listed program with arguments and wait for its end, at most 600 s; for longer work use
/// `start_process`. There is no shell: pipes, redirections, `;`, `&&`, `$(...)` and globs are not available. Commands
/// that only read (`ls`, `git diff`) need the right to read, all others the right to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteCommand {
    /// Program and arguments, quoted as for a POSIX shell, e.g. `cargo test -p core -- --nocapture`.
    command: String,
    /// Directory to run in; the workspace when absent.
    #[serde(default)]
    working_directory: Option<String>,
    /// Seconds until it is killed, 1 to 600.
    #[serde(default)]
    timeout: Within<1, 600, 300>,
}

impl Tool for ExecuteCommand {
    type Server = DesktopCommander;
    type Output = Ended;
    const SPEC: Spec = Spec::read("execute_command")
        .up_to(Effect::Write)
        .timeout(secs(610))
        .without_breaker()
        .task(Task::Optional);

    fn effect(&self) -> Effect {
        exec::effect_of(&self.command)
    }

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Ended, ToolError> {
        let command = server.host.exec().parse(&self.command)?;
        let command = process::placed(server, command, self.working_directory.as_deref()).await?;
        let timeout = Duration::from_secs(self.timeout.get().into());
        process::run(server, self.command, command, timeout).await
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
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        std::fs::write(dir.path().join("sub/x.txt"), "hello\n").unwrap();
        let arguments = json!({"command": "cat x.txt", "working_directory": "sub"});
        let done = call::<ExecuteCommand>(&server, arguments).await.unwrap();
        assert_eq!((done["stdout"].clone(), done["exit_code"].clone()), (json!("hello\n"), json!(0)));
        assert!(
            ["none", "landlock", "strict"].map(Into::into).contains(&done["confined"]),
            "a word, no paths"
        );
        assert!(done["working_directory"].as_str().unwrap().ends_with("/sub"));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        let kind = async |arguments| refusal::<ExecuteCommand>(&server, arguments).await;
        for line in [
            "rm x",
            "ls && id",
            "cat `id`",
            "git -c core.pager=id log",
            "find . -exec id +",
            "env id",
            "xargs id",
        ] {
            let refused = kind(json!({"command": line})).await;
            assert!(matches!(refused, Kind::Forbidden | Kind::Invalid), "{line}: {refused}");
        }
        assert_eq!(kind(json!({"command": "ls", "working_directory": "/"})).await, Kind::Forbidden);
        assert_eq!(kind(json!({"command": "ls", "timeout": 0})).await, Kind::Invalid);
        assert_eq!(kind(json!({"command": "ls", "timeout": 601})).await, Kind::Invalid);
    }
}
