//! Tool `make_command`.

use super::DesktopCommander;
use super::process::{self, Ended};
use schemars::JsonSchema;
use serde::Deserialize;
use toolgate_core::spec::{Task, secs};
use toolgate_core::{Ctx, Spec, Tool, ToolError};

/// Run `make TARGET` in the workspace, at most 600 s.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MakeCommand {
    /// Target, of letters, digits, `_`, `-` and `.`.
    target: String,
    /// Further arguments, e.g. `-j2 VERBOSE=1`.
    #[serde(default)]
    args: Option<String>,
}

impl Tool for MakeCommand {
    type Server = DesktopCommander;
    type Output = Ended;
    const SPEC: Spec = Spec::write("make_command").timeout(secs(610)).without_breaker().task(Task::Optional);

    async fn call(self, server: &DesktopCommander, _ctx: &Ctx) -> Result<Ended, ToolError> {
        let fits = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.target.is_empty() || self.target.starts_with('-') || !self.target.chars().all(fits) {
            return Err(ToolError::invalid(format!(
                "{:?} is not a make target; use letters, digits, _, - and .",
                self.target
            )));
        }
        let line = format!("make {} {}", self.target, self.args.unwrap_or_default());
        let command = server.host.exec().parse(line.trim_end())?;
        let command = process::placed(server, command, None).await?;
        process::run(server, line.trim_end().to_owned(), command, secs(600)).await
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
        std::fs::write(dir.path().join("Makefile"), "hello:\n\t@echo made $(WHAT)\n").unwrap();
        let done = call::<MakeCommand>(&server, json!({"target": "hello", "args": "WHAT=it"})).await.unwrap();
        assert_eq!(done["stdout"], "made it\n", "{done}");
    }

    #[tokio::test]
    async fn refused() {
        let (server, _dir) = super::super::server();
        for target in ["", "-f/etc/passwd", "a b", "a;b", "../x"] {
            assert_eq!(
                refusal::<MakeCommand>(&server, json!({"target": target})).await,
                Kind::Invalid,
                "{target}"
            );
        }
        let escaped = refusal::<MakeCommand>(&server, json!({"target": "x", "args": "SHELL=/bin/id"})).await;
        assert!(matches!(escaped, Kind::Forbidden | Kind::Invalid));
    }
}
