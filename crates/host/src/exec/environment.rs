//! The environment of a child, and what is added to the arguments of some programs to keep them from running others.

use super::Command;
use super::spawn::Ground;
use std::ffi::OsString;
use std::path::Path;
use toolgate_core::Effect;

/// Variable by which what left a child's process group is found again.
pub(crate) const MARK: &str = "TOOLGATE_CHILD";

/// Whether the operator may pass this variable on: nothing that loads code into every program, nothing of ours.
pub(super) fn may_pass(name: &str) -> bool {
    let shape = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') && !name.is_empty();
    let ours = ["LD_", "DYLD_", "TOOLGATE_", "GIT_CONFIG"].iter().any(|p| name.starts_with(p));
    let fixed = ["PATH", "HOME", "TMPDIR", "BASH_ENV", "ENV", "IFS", "GCONV_PATH", "GIT_ALLOW_PROTOCOL"];
    shape && !ours && !fixed.contains(&name)
}

/// Configuration that wins over a repository's own: nothing in a repository decides what a reading command runs.
/// Submodules have a configuration of their own and are not entered.
const GIT_READ: &[(&str, &str)] = &[
    ("core.fsmonitor", "false"),
    ("core.hooksPath", "/dev/null"),
    ("gpg.program", "false"),
    ("gpg.openpgp.program", "false"),
    ("gpg.ssh.program", "false"),
    ("gpg.x509.program", "false"),
    ("diff.submodule", "short"),
    ("status.submoduleSummary", "false"),
    ("submodule.recurse", "false"),
];

/// What `GIT_READ` says, and no content filter: an empty command is none.
fn git_read(filters: &[String]) -> Vec<(String, String)> {
    let fixed = GIT_READ.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    let off = filters.iter().flat_map(|name| {
        [("clean", ""), ("smudge", ""), ("process", ""), ("required", "false")]
            .map(|(member, value)| (format!("filter.{name}.{member}"), value.to_owned()))
    });
    fixed.chain(off).collect()
}

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
    // What a program keeps at home must not end up in a root when the call only reads, nor come from there.
    set("HOME", if command.effect() == Effect::Read { temp.into() } else { cwd.into() });
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
                // A missing object would be fetched from where, and by the program that, the repository names. The second
                // is for versions before 2.45.
                set("GIT_NO_LAZY_FETCH", "1".into());
                set("GIT_ALLOW_PROTOCOL", "none".into());
                let config = git_read(&command.filters);
                set("GIT_CONFIG_COUNT", config.len().to_string().into());
                for (at, (key, value)) in config.iter().enumerate() {
                    set(&format!("GIT_CONFIG_KEY_{at}"), key.into());
                    set(&format!("GIT_CONFIG_VALUE_{at}"), value.into());
                }
            }
        }
        // `host:file` would start a remote shell.
        // As root it would give files to the owners that the archive names, which a child may not.
        "tar" => set("TAR_OPTIONS", "--force-local --no-same-owner".into()),
        // Set here they win over a project's own `.npmrc`.
        "npm" if command.effect() == Effect::Read => {
            set("npm_config_cache", temp.join("npm").into());
            for (name, value) in
                [("git", "/bin/false"), ("browser", "false"), ("logs_max", "0"), ("update_notifier", "false")]
            {
                set(&format!("npm_config_{name}"), value.into());
            }
        }
        _ => {}
    }
    out
}

/// Reading commands of git that would ask the repository's drivers for a text or a difference.
const DRIVEN: &[&str] = &[
    "annotate",
    "blame",
    "diff",
    "diff-tree",
    "log",
    "reflog",
    "reflog show",
    "show",
    "stash list",
    "stash show",
];

/// The arguments as they are given to the program.
pub(super) fn arguments(command: &Command) -> Vec<String> {
    let mut args = command.args.clone();
    if command.name == "git"
        && let Some((form, at)) = super::subcommands::GIT.reading(&command.args)
    {
        let mut more = Vec::new();
        if DRIVEN.contains(&form.words) {
            more.extend(["--no-ext-diff".to_owned(), "--no-textconv".to_owned()]);
        }
        if ["diff", "status"].contains(&form.words) {
            more.push("--ignore-submodules=dirty".to_owned());
        }
        args.splice(at..at, more);
    }
    if command.name == "ps" {
        args.iter_mut().for_each(without_e);
    }
    args
}

/// `-A` for `-e`: see the rule of `ps`.
fn without_e(arg: &mut String) {
    if let Some(cluster) = arg.strip_prefix('-').filter(|c| !c.starts_with('-')) {
        let (flags, value) = cluster.split_at(cluster.find(['o', 'p', 'C']).unwrap_or(cluster.len()));
        *arg = format!("-{}{value}", flags.replace('e', "A"));
    }
}
