//! `toolgate completions SHELL`: what the grammar says, and names of upstreams where one is wanted.
//!
//! Names are asked of `toolgate upstreams list --names` when they are completed; the scripts stay as they are.

use crate::cli;
use clap_complete::Shell;
use std::io::Write;

const BASH: &str = include_str!("completions/names.bash");
const ZSH: &str = include_str!("completions/names.zsh");
const FISH: &str = include_str!("completions/names.fish");
// What the generator writes for a name of an upstream: the only names without a description.
const ZSH_NAME: &str = "':name:_default'";

pub fn run(shell: Shell) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(script(shell)?.as_bytes())?;
    Ok(())
}

fn script(shell: Shell) -> anyhow::Result<String> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut cli::grammar(), "toolgate", &mut script);
    let script = String::from_utf8(script)?;
    Ok(match shell {
        Shell::Bash => script + BASH,
        Shell::Fish => script + FISH,
        Shell::Zsh => {
            let script = script.replace(ZSH_NAME, "':name:_toolgate_upstreams'");
            match script.split_once('\n') {
                Some((first, rest)) => format!("{first}\n{ZSH}{rest}"),
                None => script,
            }
        }
        _ => script,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    #[test]
    fn every_shell_asks_for_names_where_they_are_wanted() {
        let zsh = script(Shell::Zsh).unwrap();
        assert!(zsh.starts_with("#compdef toolgate\n"));
        assert_eq!(
            zsh.matches("':name:_toolgate_upstreams'").count(),
            6,
            "show, remove, enable, disable, test, doctor"
        );
        assert!(script(Shell::Fish).unwrap().contains("upstreams list --names"));
        assert!(!script(Shell::PowerShell).unwrap().is_empty());
    }

    #[test]
    fn bash_completes_names_and_all_else_as_before() {
        let dir = tempfile::tempdir().unwrap();
        let (file, program) = (dir.path().join("script"), dir.path().join("toolgate"));
        std::fs::write(&file, script(Shell::Bash).unwrap()).unwrap();
        // Says what it is asked with when that is not what it should be.
        let stub = "#!/bin/sh\n[ \"$*\" = \"--data /d upstreams list --names\" ] || [ \"$*\" = \"upstreams list --names\" ] && printf 'files\\nfetch\\ntime\\n' || echo \"$*\"\n";
        std::fs::write(&program, stub).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let complete = |line: &str| {
            let words = format!("{} {line}", program.display());
            let last = words.split(' ').count() - 1;
            let ask = format!(
                "source {}; COMP_WORDS=({words}{}); COMP_CWORD={last}; \
                 _toolgate_names \"${{COMP_WORDS[0]}}\" \"${{COMP_WORDS[{last}]}}\" \"${{COMP_WORDS[{}]}}\"; echo \"${{COMPREPLY[@]}}\"",
                file.display(),
                if line.ends_with(' ') { "''" } else { "" },
                last - 1
            );
            let out = Command::new("bash").arg("-c").arg(ask).output().unwrap();
            assert!(out.stderr.is_empty(), "{}", String::from_utf8_lossy(&out.stderr));
            String::from_utf8(out.stdout).unwrap().trim().to_owned()
        };
        for (line, expected) in [
            ("upstreams show ", "files fetch time"),
            ("upstreams remove f", "files fetch"),
            ("--data /d upstreams enable t", "time"),
            ("doctor upstream ti", "time"),
            ("upstreams te", "test"),
        ] {
            assert_eq!(complete(line), expected, "{line}");
        }
        assert!(complete("upstreams show --ke").contains("--key"));
        assert!(!complete("keys revoke ").contains("files"));
    }
}
