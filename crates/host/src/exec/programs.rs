//! What single programs may not be told, beyond options: the functions that rows of rules.rs name. Tables of
//! subcommands are in subcommands.rs and containers.rs and come out here under one name.

use super::arguments::{Refused, options, urls};
pub(super) use super::containers::*;
use super::rules::NEVER;
pub(super) use super::subcommands::*;

pub(super) fn anything(_: &[String]) -> Refused {
    Ok(())
}

pub(super) fn always(_: &[String]) -> bool {
    true
}

pub(super) fn never(_: &[String]) -> bool {
    false
}

fn has(args: &[String], words: &[&str]) -> bool {
    args.iter().any(|a| words.contains(&a.as_str()))
}

fn operands(args: &[String]) -> impl Iterator<Item = &String> {
    args.iter().filter(|a| !a.starts_with('-'))
}

pub(super) fn version_only(args: &[String]) -> bool {
    matches!(args, [one] if matches!(one.as_str(), "--version" | "-V" | "-v" | "--help" | "-h"))
}

/// Setting the clock is the only thing `date` can change; a bare operand without `+` sets it too.
pub(super) fn date_reads(args: &[String]) -> bool {
    options(args, "s", "dfr", &["--set"], &[]).is_ok()
        && args.iter().enumerate().all(|(at, a)| {
            a.starts_with(['-', '+'])
                || at > 0 && matches!(args[at - 1].as_str(), "-d" | "-r" | "-f" | "--date")
        })
}

pub(super) fn hostname_reads(args: &[String]) -> bool {
    operands(args).next().is_none() && options(args, "Fb", "", &["--file", "--boot"], &[]).is_ok()
}

pub(super) fn unzip_reads(args: &[String]) -> bool {
    args.first().is_some_and(|a| matches!(a.as_str(), "-l" | "-lv" | "-t" | "-v" | "-Z"))
}

/// In BSD style (no dash) the letter `e` shows the environment of processes.
pub(super) fn ps(args: &[String]) -> Refused {
    let shows =
        |a: &String| !a.starts_with('-') && a.contains('e') && a.chars().all(|c| c.is_ascii_alphabetic());
    // The value of `-o`, `-C`, `-u`, ... is no BSD option.
    let bare = args.iter().enumerate().any(|(at, a)| shows(a) && (at == 0 || !args[at - 1].starts_with('-')));
    let formatted = args.iter().any(|a| a.contains("environ"));
    if bare || formatted || args.iter().any(|a| a == "-E") {
        return Err("showing the environment of processes is refused".into());
    }
    Ok(())
}

pub(super) fn top(args: &[String]) -> Refused {
    let batch = args.iter().any(|a| a.starts_with('-') && !a.starts_with("--") && a.contains('b'));
    if batch { Ok(()) } else { Err("there is no terminal: use `top -b -n 1`".into()) }
}

pub(super) fn env(args: &[String]) -> Refused {
    if args.is_empty() {
        Ok(())
    } else {
        Err("only `env` alone is allowed, which prints the environment".into())
    }
}

/// The first word of tar may be a cluster without its dash; `host:file` runs a remote shell.
pub(super) fn tar(args: &[String]) -> Refused {
    if let Some(first) = args.first().filter(|a| !a.starts_with('-'))
        && let Some(letter) = first.chars().find(|c| "IFT".contains(*c))
    {
        return Err(format!("`{letter}` is refused"));
    }
    Ok(())
}

/// Modules that only do a known work. Others could run code from the command line (`timeit`, `pdb`, `code`).
const MODULES: &[&str] = &[
    "pytest",
    "unittest",
    "pip",
    "venv",
    "ensurepip",
    "mypy",
    "black",
    "flake8",
    "ruff",
    "isort",
    "pylint",
    "build",
    "json.tool",
    "compileall",
    "py_compile",
    "tabnanny",
    "zipfile",
    "tarfile",
    "coverage",
    "site",
    "platform",
    "sysconfig",
];

pub(super) fn python_module(module: &str, args: &[String]) -> Refused {
    if !MODULES.contains(&module) {
        return Err(format!("`-m {module}` is refused; allowed modules: {}", MODULES.join(", ")));
    }
    match module {
        "black" => options(args, "", "", &["--code"], &["-c"]),
        "mypy" => options(args, "", "", &["--python-executable", "--install-types"], &[]),
        "pip" => pip(args),
        _ => Ok(()),
    }
}

/// What follows `--` is passed on to git.
pub(super) fn gh(args: &[String]) -> Refused {
    if has(args, &["--", "--web", "-w"]) {
        Err("`--` (arguments for git) and `--web` are refused".into())
    } else {
        Ok(())
    }
}

pub(super) fn pip(args: &[String]) -> Refused {
    options(args, "", "", &["--python", "--proxy", "--trusted-host"], &[])?;
    urls(args)
}

pub(super) fn npm(args: &[String]) -> Refused {
    options(
        args,
        "",
        "",
        &[
            "--script-shell",
            "--node-options",
            "--call",
            "--git",
            "--editor",
            "--shell",
            "--browser",
            "--viewer",
        ],
        &[],
    )?;
    urls(args)
}

/// Only a program that the project has installed: nothing is fetched, nothing but a plain name.
pub(super) fn npx(args: &[String]) -> Refused {
    let (flags, rest) = args.split_at(args.iter().take_while(|a| a.starts_with('-')).count());
    if flags.iter().any(|f| f != "--no-install" && f != "--no") || flags.is_empty() {
        return Err("only `npx --no-install <program of the project>` is allowed: nothing is fetched".into());
    }
    match rest.first() {
        Some(name) if name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c)) => {
            if NEVER.contains(&name.as_str()) || name == "node" || name == "env" {
                return Err(format!("running `{name}` is refused"));
            }
            Ok(())
        }
        _ => Err("name one program of the project".into()),
    }
}

fn plain(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_alphanumeric() || "-_./+:,=@% ".contains(c))
}

/// Make expands and runs what stands in variables given on the command line.
pub(super) fn make(args: &[String]) -> Refused {
    options(args, "E", "fICjloOW", &["--eval"], &[])?;
    for arg in args {
        if !plain(arg) {
            return Err(format!("`{arg}` holds characters that make would expand or a shell would act on"));
        }
        let Some((name, value)) = arg.split_once('=').filter(|(n, _)| !n.starts_with('-')) else { continue };
        let name = name.trim_end_matches([':', '+', '?', '!']).trim();
        const SPECIAL: &[&str] = &["SHELL", ".SHELLFLAGS", "MAKE", "MAKEFLAGS", "GNUMAKEFLAGS", "MAKEFILES"];
        if SPECIAL.contains(&name) || name.contains("SHELLFLAGS") {
            return Err(format!("setting {name} is refused"));
        }
        if value.split(['/', ' ']).any(|part| NEVER.contains(&part)) {
            return Err(format!("setting {name} to run another program is refused"));
        }
    }
    Ok(())
}

pub(super) fn cmake(args: &[String]) -> Refused {
    if has(args, &["-E", "--open"]) {
        return Err("`-E` and `--open` run other programs".into());
    }
    for arg in args {
        let upper = arg.to_ascii_uppercase();
        if arg.contains([';', '$', '`'])
            || ["LAUNCHER", "MAKE_PROGRAM", "EMULATOR"].iter().any(|w| upper.contains(w))
        {
            return Err(format!("`{arg}` names a program to run"));
        }
    }
    match args.iter().position(|a| a == "--") {
        Some(at) => make(&args[at + 1..]),
        None => Ok(()),
    }
}

pub(super) fn cargo(args: &[String]) -> Refused {
    options(args, "Z", "", &["--config", "--open"], &[])?;
    urls(args)
}

/// Whatever gives a container the machine: host paths, host namespaces, devices, privileges, another daemon.
pub(super) fn docker(args: &[String]) -> Refused {
    let starts =
        matches!(DOCKER.find(args), Ok(Some(("run" | "create" | "container" | "build" | "volume", _))));
    if !starts {
        return options(args, "H", "", &["--host", "--context"], &[]);
    }
    options(
        args,
        "",
        "",
        &[
            "--privileged",
            "--device",
            "--cap-add",
            "--pid",
            "--ipc",
            "--uts",
            "--userns",
            "--security-opt",
            "--cgroup-parent",
            "--cgroupns",
            "--volumes-from",
            "--runtime",
            "--gpus",
            "--env-file",
            "--allow",
            "--secret",
            "--ssh",
            "--opt",
            "--device-cgroup-rule",
            "--link",
            "--group-add",
        ],
        &[],
    )?;
    for (at, arg) in args.iter().enumerate() {
        let next = args.get(at + 1).map(String::as_str).unwrap_or_default();
        let (name, value) = arg.split_once('=').unwrap_or((arg, next));
        let volume = match arg.strip_prefix('-').filter(|a| !a.starts_with('-')) {
            Some(cluster) => cluster.split_once('v').map(|(_, v)| if v.is_empty() { next } else { v }),
            None if name == "--volume" => Some(value),
            None => None,
        };
        if volume.is_some_and(|v| v.trim_start_matches('=').starts_with(['/', '.', '~', '$'])) {
            return Err("mounting a directory of the host is refused; use a named volume".into());
        }
        if name == "--mount" && value.to_ascii_lowercase().replace('"', "").contains("type=bind") {
            return Err("mounting a directory of the host is refused; use a named volume".into());
        }
        if name == "--mount" && value.contains("volume-opt") {
            return Err("volume options are refused: they can mount the host".into());
        }
        if ["--net", "--network"].contains(&name) && (value == "host" || value.starts_with("container:")) {
            return Err("the network of the host is refused".into());
        }
    }
    if matches!(DOCKER.find(args), Ok(Some(("volume", _)))) && has(args, &["-o"]) {
        return Err("volume options are refused: they can mount the host".into());
    }
    Ok(())
}

pub(super) fn kubectl(args: &[String]) -> Refused {
    options(
        args,
        "s",
        "nfloLckpvt",
        &["--kubeconfig", "--server", "--token", "--as", "--as-group", "--raw", "--username", "--password"],
        &[],
    )?;
    if let Ok(Some(("get" | "describe", rest))) = KUBECTL.find(args)
        && operands(rest).any(|o| {
            o.to_ascii_lowercase().split([',', '/', '.']).any(|part| part == "secret" || part == "secrets")
        })
    {
        return Err("Secrets are not shown".into());
    }
    if let Ok(Some(("create", rest))) = KUBECTL.find(args)
        && has(rest, &["token"])
    {
        return Err("tokens are not shown".into());
    }
    Ok(())
}

pub(super) fn helm(args: &[String]) -> Refused {
    options(args, "", "", &["--post-renderer", "--kubeconfig", "--kube-token", "--kube-apiserver"], &[])?;
    urls(args)
}

/// `curl` and `wget`: the operator who names them lets them reach the network; other schemes stay closed.
pub(super) fn fetch(args: &[String]) -> Refused {
    for arg in args {
        let lower = arg.to_ascii_lowercase();
        let scheme = lower.split_once(':').map(|(s, _)| s).unwrap_or_default();
        if ["file", "gopher", "dict", "scp", "sftp", "smb", "ldap", "tftp", "telnet"].contains(&scheme)
            || lower.contains("file:/")
        {
            return Err(format!("the scheme `{scheme}` is refused; only http and https"));
        }
        if lower.contains("169.254.") || lower.contains("metadata.google") || lower.contains("fd00:ec2") {
            return Err("the address of the machine's metadata service is refused".into());
        }
    }
    Ok(())
}

/// Subcommands of git that talk to another repository, where a URL can name a program.
const REMOTE: &[&str] = &["clone", "fetch", "pull", "push", "ls-remote", "remote", "submodule", "archive"];

pub(super) fn git(args: &[String]) -> Refused {
    let Ok(Some((name, rest))) = GIT.find(args) else { return Ok(()) };
    options(
        rest,
        "",
        "",
        &[
            "--exec",
            "--upload-pack",
            "--receive-pack",
            "--ext-diff",
            "--textconv",
            "--extcmd",
            "--template",
            "--open-files-in-pager",
            "--config",
            "--no-index",
            "--edit-description",
            "--remote-helper",
        ],
        &[],
    )?;
    let refused = match name {
        "clone" => "uc",
        "grep" => "O",
        "rebase" => "xi",
        _ => "",
    };
    options(rest, refused, "m", &[], &[])?;
    if REMOTE.contains(&name) {
        for arg in rest {
            let word = arg.rsplit('=').next().unwrap_or(arg);
            if let Some((scheme, _)) = word.split_once("::")
                && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
            {
                return Err(format!("the transport `{scheme}::` runs a program"));
            }
        }
        urls(rest)?;
    }
    Ok(())
}

/// `--output` makes a reading command write a file.
pub(super) fn git_reads(args: &[String]) -> bool {
    options(args, "", "", &["--output"], &["-o"]).is_ok()
}
