//! Tool `run_command`.

use super::{A2aUnified, given};
use crate::ended::Ended;
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use toolgate_core::spec::secs;
use toolgate_core::{Ctx, Effect, Spec, Tool, ToolError};
use toolgate_host::exec;

const TIMEOUT: Duration = Duration::from_secs(30);
const MAX_OUTPUT: usize = 1 << 20;

/// Run one allow-listed program with arguments, at most 30 s. There is no shell: pipes, redirections, `;`, `&&`,
/// `$(...)` and globs are not available. Commands that only read (`ls`, `git status`) need the right to read, all others
/// the right to write.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RunCommand {
    /// Program and arguments, quoted as for a POSIX shell, e.g. `git log --oneline -5`.
    command: String,
    /// Working directory; the first writable one when left out.
    #[serde(default)]
    cwd: Option<String>,
}

impl Tool for RunCommand {
    type Server = A2aUnified;
    type Output = Ended;
    const SPEC: Spec = Spec::read("run_command").up_to(Effect::Write).timeout(secs(40)).without_breaker();

    fn effect(&self) -> Effect {
        exec::effect_of(&self.command)
    }

    async fn call(self, server: &A2aUnified, _ctx: &Ctx) -> Result<Ended, ToolError> {
        let host = &server.host;
        let mut command = host.exec().parse(&self.command)?;
        command.cwd = match given(self.cwd) {
            Some(path) => Some(host.files().directory(&path).await?),
            None => host.files().base().map(Into::into),
        };
        command.timeout = TIMEOUT;
        command.max_output = MAX_OUTPUT;
        let ended = host.exec().run(command).await?;
        Ok(Ended::of(self.command, ended))
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::server;
    use super::*;
    use crate::testing::{call, refusal};
    use serde_json::json;
    use toolgate_core::Kind;

    #[tokio::test]
    async fn happy() {
        let (server, dir) = server();
        std::fs::create_dir(dir.path().join("d")).unwrap();
        std::fs::write(dir.path().join("d/seen.txt"), "").unwrap();
        let done = call::<RunCommand>(&server, json!({"command": "ls", "cwd": "d"})).await.unwrap();
        assert_eq!((&done["stdout"], &done["success"]), (&json!("seen.txt\n"), &json!(true)));
        assert!(
            ["none", "landlock", "strict"].map(Into::into).contains(&done["confined"]),
            "a word, no paths"
        );
        let done = call::<RunCommand>(&server, json!({"command": "ls", "cwd": ""})).await.unwrap();
        assert_eq!((&done["stdout"], &done["returncode"]), (&json!("d\n"), &json!(0)));
        let failed = call::<RunCommand>(&server, json!({"command": "ls none"})).await.unwrap();
        assert_eq!((&failed["success"], &failed["timed_out"]), (&json!(false), &json!(false)));
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = server();
        for line in ["rm -rf /", "ls; id", "echo $(id)", "sh -c id", "ls | sh", "/bin/ls", ""] {
            let kind = refusal::<RunCommand>(&server, json!({"command": line})).await;
            assert!(matches!(kind, Kind::Forbidden | Kind::Invalid), "{line}: {kind}");
        }
        assert_eq!(
            refusal::<RunCommand>(&server, json!({"command": "ls", "cwd": "/etc"})).await,
            Kind::Forbidden
        );
        assert_eq!(
            refusal::<RunCommand>(&server, json!({"command": "ls", "cwd": "none"})).await,
            Kind::NotFound
        );
    }

    #[test]
    fn the_effect_is_the_commands() {
        let effect =
            |line: &str| serde_json::from_value::<RunCommand>(json!({"command": line})).unwrap().effect();
        assert_eq!((effect("git status"), effect("git push")), (Effect::Read, Effect::Write));
    }
}
