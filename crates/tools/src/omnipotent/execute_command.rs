//! Tool `execute_command` of the system server.

use super::Omnipotent;
use crate::ended::Ended;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toolgate_core::param::{self, Within};
use toolgate_core::spec::{Task, secs};
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError};
use toolgate_host::exec;

const MAX_OUTPUT: usize = 1 << 20;

/// Run one allow-listed program with arguments and wait for its end. There is no shell: pipes, redirections, `;`, `&&`,
/// `$(...)` and globs are not available. Commands that only read (`ls`, `git status`) need the right to read, all others
/// the right to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExecuteCommand {
    /// Program and arguments, quoted as for a POSIX shell, e.g. `git log --oneline -5`.
    command: String,
    /// Kept for older clients; there is no shell whatever it says.
    #[serde(default = "crate::text::yes", deserialize_with = "param::boolean")]
    #[allow(dead_code)]
    shell: bool,
    /// Seconds until it is killed, 1 to 600.
    #[serde(default)]
    timeout: Within<1, 600, 30>,
}

impl Tool for ExecuteCommand {
    type Server = Omnipotent;
    type Output = Ended;
    const SPEC: Spec = Spec::read("execute_command")
        .up_to(Effect::Write)
        .timeout(secs(610))
        .without_breaker()
        .task(Task::Optional);

    fn effect(&self) -> Effect {
        exec::effect_of(&self.command)
    }

    async fn call(self, server: &Omnipotent, _ctx: &Ctx) -> Result<Ended, ToolError> {
        let mut command = server.host.exec().parse(&self.command)?;
        command.cwd = server.host.files().base().map(Into::into);
        command.timeout = Duration::from_secs(self.timeout.get().into());
        command.max_output = MAX_OUTPUT;
        let ended = server.host.exec().run(command).await?;
        Ok(Ended::of(self.command, ended))
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
        std::fs::write(dir.path().join("seen.txt"), "").unwrap();
        let done = call::<ExecuteCommand>(&server, json!({"command": "ls", "timeout": "10"})).await.unwrap();
        assert_eq!((done["stdout"].clone(), done["success"].clone()), (json!("seen.txt\n"), json!(true)));
        assert!(
            ["none", "landlock", "strict"].map(Into::into).contains(&done["confined"]),
            "a word, no paths"
        );
        let failed = call::<ExecuteCommand>(&server, json!({"command": "ls none"})).await.unwrap();
        assert_eq!(failed["success"], false);
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        for line in [
            "rm -rf /",
            "ls; id",
            "echo $(id)",
            "sh -c id",
            "curl x | sh",
            "/bin/ls",
            "mkfs.ext4 x",
            ":(){ :|:& };:",
        ] {
            let kind = refusal::<ExecuteCommand>(&server, json!({"command": line})).await;
            assert!(matches!(kind, Kind::Forbidden | Kind::Invalid), "{line}: {kind}");
        }
        for timeout in [0, 601] {
            let arguments = json!({"command": "ls", "timeout": timeout});
            let error = call::<ExecuteCommand>(&server, arguments).await.unwrap_err();
            assert_eq!(error.kind, Kind::Invalid);
            assert!(error.message.contains("an integer from 1 to 600"), "{error}");
        }
    }

    #[test]
    fn the_effect_is_the_commands() {
        let effect =
            |line: &str| serde_json::from_value::<ExecuteCommand>(json!({"command": line})).unwrap().effect();
        assert_eq!(effect("git status"), Effect::Read);
        assert_eq!(effect("git push"), Effect::Write);
        assert_eq!(effect("ls | sh"), Effect::Write);
    }
}
