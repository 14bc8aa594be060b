//! What single programs may not be told, beyond options: the functions that rows of rules.rs name. Tables of
//! subcommands are in subcommands.rs and containers.rs and come out here under one name.

pub(super) use super::arguments::version_only;
use super::arguments::{Refused, options, urls};
pub(super) use super::containers::*;
use super::reads::known;
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

/// Setting the clock is the only thing `date` can change; an operand without `+` sets it too.
pub(super) fn date_reads(args: &[String]) -> bool {
    const OPTIONS: &str = "-d: -r: -u -R -I? --date= --reference= --utc --universal --iso-8601[=] --rfc-3339= --rfc-email \
                           --version --help";
    known(args, OPTIONS).is_some_and(|operands| operands.iter().all(|o| o.starts_with('+')))
}

pub(super) fn hostname_reads(args: &[String]) -> bool {
    const OPTIONS: &str = "-a -A -d -f -i -I -s -V --alias --all-fqdns --all-ip-addresses --domain --fqdn --long \
                           --ip-address --short --version --help";
    known(args, OPTIONS).is_some_and(|operands| operands.is_empty())
}

/// A later option could take the first one back (`-l --l`).
pub(super) fn unzip_reads(args: &[String]) -> bool {
    args.first().is_some_and(|a| matches!(a.as_str(), "-l" | "-lv" | "-t" | "-v" | "-Z"))
        && args[1..].iter().all(|a| !a.starts_with('-'))
}

pub(super) fn top_reads(args: &[String]) -> bool {
    known(args, "-b -n: -d: -H -i -c -S -s -1 -p: -u: -U: -o: -w? -e: -E:").is_some_and(|o| o.is_empty())
}

/// Only what shows no environment. A word without a dash is in BSD style, where the letter `e` shows it; and when `ps`
/// cannot make sense of its arguments (an unknown user, a conflict) it reads all of them again in BSD style, those with a
/// dash and the values of `-u` and its like too. So no short option but `-o`, `-p` and `-C` has a value here, and `-e`
/// is given on as `-A`, which means the same (environment.rs).
pub(super) fn ps(args: &[String]) -> Refused {
    const OPTIONS: &str = "-A -a -d -e -f -F -H -j -l -L -T -N -w -o: -p: -C: --forest --sort= --pid= --ppid= --user= --User= \
                           --group= --Group= --tty= --sid= --format= --no-headers --headers --width= --columns= --cols= \
                           --rows= --lines= --deselect --version --help[=]";
    const BSD: &str = "auxlfwjsvmTrcSHhnL";
    if args.iter().any(|a| a.contains("environ")) {
        return Err("showing the environment of processes is refused".into());
    }
    let Some(operands) = known(args, OPTIONS) else {
        return Err(format!(
            "only these options are allowed: {OPTIONS} (for users and groups the long ones: `--user=NAME`)"
        ));
    };
    let numbers = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == ',');
    if operands.iter().any(|o| !o.chars().all(|c| BSD.contains(c)) && !numbers(o)) {
        return Err(format!(
            "without a dash only numbers of processes and the letters {BSD} are allowed (`e` would show environments)"
        ));
    }
    let value = |letter: char| {
        args.iter().enumerate().find_map(|(at, arg)| {
            let cluster = arg.strip_prefix('-').filter(|c| !c.starts_with('-'))?;
            let (before, value) = cluster.split_once(letter)?;
            let attached = before.contains(['o', 'p', 'C']);
            let next = || args.get(at + 1).map(String::as_str).unwrap_or_default();
            (!attached).then(|| if value.is_empty() { next() } else { value })
        })
    };
    if value('p').is_some_and(|pids| !numbers(pids)) {
        return Err("`-p` takes numbers of processes".into());
    }
    if value('C').is_some() {
        let plain = matches!(args, [c, _] if c == "-C")
            || matches!(args, [c, _, o, _] | [o, _, c, _] if c == "-C" && o == "-o")
            || matches!(args, [c, _, f] | [f, c, _] if c == "-C" && f == "-f");
        if !plain {
            return Err("`-C` is allowed alone, with `-f` or with `-o`".into());
        }
    }
    Ok(())
}

/// It needs a terminal, and a key press shows environments.
pub(super) fn htop(args: &[String]) -> Refused {
    if version_only(args) { Ok(()) } else { Err("there is no terminal: use `top -b -n 1`".into()) }
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
    } else if has(args, &["auth"]) {
        options(args, "t", "h", &["--show-token"], &[])
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
        // `exec --privileged` gives a container the devices of the machine.
        return options(args, "H", "", &["--host", "--context", "--privileged"], &[]);
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
            "--filters",
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
