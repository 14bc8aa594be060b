//! The environment of a child, and what is added to the arguments of some programs to keep them from running others.

use super::Command;
use super::spawn::Ground;
use std::ffi::OsString;
use std::path::Path;
use toolgate_core::Effect;

/// Variable by which what left a child's process group is found again.
pub(super) const MARK: &str = "TOOLGATE_CHILD";

/// Whether the operator may pass this variable on: nothing that loads code into every program, nothing of ours.
pub(super) fn may_pass(name: &str) -> bool {
    let shape = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    let ours = ["LD_", "DYLD_", "TOOLGATE_", "GIT_CONFIG"].iter().any(|p| name.starts_with(p));
    let fixed = ["PATH", "HOME", "TMPDIR", "BASH_ENV", "ENV", "IFS", "GCONV_PATH", "GIT_ALLOW_PROTOCOL"];
    shape && !ours && !fixed.contains(&name)
}

/// Configuration that wins over a repository's own: nothing in a repository decides what a reading command runs.
const GIT_READ: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("gpg.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
];

pub(super) fn variables(
    ground: &Ground,
    command: &Command,
    cwd: &Path,
    temp: &Path,
    mark: &str,
) -> Vec<(OsString, OsString)> {
    let mut out: Vec<(OsString, OsString)> = Vec::new();
    let mut set = |name: &str, value: OsString| out.push((name.into(), value));
    if command.rule.variables {
        for name in &ground.rules.env {
            if let Some(value) = std::env::var_os(name) {
                set(name, value);
            }
        }
    }
    set("PATH", std::env::join_paths(&ground.directories).unwrap_or_else(|_| "/usr/bin:/bin".into()));
    set("HOME", cwd.into());
    set("TMPDIR", temp.into());
    set("LANG", "C.UTF-8".into());
    set("TERM", "dumb".into());
    set(MARK, mark.into());
    match command.name.as_str() {
        "git" => {
            for (name, value) in [
                ("GIT_TERMINAL_PROMPT", "0"),
                ("GIT_PAGER", "cat"),
                ("GIT_EDITOR", ":"),
                ("GIT_ALLOW_PROTOCOL", "file:git:http:https:ssh"),
            ] {
                set(name, value.into());
            }
            if command.effect() == Effect::Read {
                set("GIT_OPTIONAL_LOCKS", "0".into());
                set("GIT_CONFIG_COUNT", GIT_READ.len().to_string().into());
                for (at, (key, value)) in GIT_READ.iter().enumerate() {
                    set(&format!("GIT_CONFIG_KEY_{at}"), key.into());
                    set(&format!("GIT_CONFIG_VALUE_{at}"), value.into());
                }
            }
        }
        // `host:file` would start a remote shell.
        "tar" => set("TAR_OPTIONS", "--force-local".into()),
        _ => {}
    }
    out
}

/// The arguments as they are given to the program.
pub(super) fn arguments(command: &Command) -> Vec<String> {
    let mut args = command.args.clone();
    if command.name == "git"
        && command.effect() == Effect::Read
        && let Ok(Some(("diff" | "log" | "show" | "whatchanged", rest))) =
            super::subcommands::GIT.find(&command.args)
    {
        let at = args.len() - rest.len();
        args.splice(at..at, ["--no-ext-diff".to_owned(), "--no-textconv".to_owned()]);
    }
    args
}
