//! From the program that an operator named to the file that runs, and to the directories without which it does not run.
//!
//! Looked for where a shell at login would find it: clients of MCP are configured with bare `npx` and `uvx`, and a
//! service has a shorter PATH than its operator. Files are read here, nothing is executed.

use crate::HostError;
use std::ffi::OsString;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use toolgate_core::Kind;

/// Beneath the home directory.
const HOMES: &[&str] = &[
    ".local/bin",
    ".volta/bin",
    ".asdf/shims",
    ".local/share/mise/shims",
    ".pyenv/shims",
    ".bun/bin",
    ".deno/bin",
    ".cargo/bin",
];
const SYSTEM: &[&str] =
    &["/usr/local/bin", "/usr/bin", "/bin", "/usr/local/sbin", "/usr/sbin", "/sbin", "/snap/bin"];
/// What a name under which many things lie is granted in place of.
const BENEATH_LOCAL: &[&str] = &["lib", "share/uv", "share/pipx", "pipx"];
/// Endings of files that are programs for an interpreter.
const SCRIPTS: &[&str] =
    &["js", "mjs", "cjs", "ts", "mts", "tsx", "py", "pyz", "rb", "php", "pl", "sh", "jar", "dll"];
/// What stands at the top of a project.
const TOPS: &[&str] =
    &["package.json", "node_modules", "pyproject.toml", "setup.py", ".venv", "venv", "Gemfile"];

/// A program found.
#[derive(Debug)]
pub(super) struct Found {
    /// Not canonical: programs look at the name that they were started by.
    pub path: PathBuf,
    /// The directories that were looked through, for the child's own PATH.
    pub search: Vec<PathBuf>,
}

/// The home directory of the gateway's user.
pub(super) fn home() -> Option<PathBuf> {
    std::env::var_os("HOME").map(PathBuf::from).filter(|h| h.is_absolute() && h != Path::new("/"))
}

/// Where programs are looked for: `path` (a PATH), the gateway's own, the usual places.
pub(super) fn search(path: Option<&str>) -> Vec<PathBuf> {
    let own = std::env::var_os("PATH");
    let given = path.map(OsString::from);
    let lists = given.iter().chain(&own).flat_map(std::env::split_paths);
    let mut places: Vec<PathBuf> = lists.filter(|p| p.is_absolute()).collect();
    if let Some(home) = home() {
        places.extend(HOMES.iter().map(|p| home.join(p)));
        places.extend(newest_node(&home));
    }
    places.extend(SYSTEM.iter().map(PathBuf::from));
    let mut seen = std::collections::HashSet::new();
    places.retain(|p| seen.insert(p.clone()));
    places
}

// The version that nvm would most likely choose.
fn newest_node(home: &Path) -> Option<PathBuf> {
    let versions = std::fs::read_dir(home.join(".nvm/versions/node")).ok()?;
    let number = |p: &PathBuf| -> Vec<u64> {
        let name = p.file_name().and_then(|n| n.to_str()).unwrap_or_default().trim_start_matches('v');
        name.split('.').map(|part| part.parse().unwrap_or(0)).collect()
    };
    versions.flatten().map(|e| e.path()).max_by_key(number).map(|p| p.join("bin"))
}

fn executable(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.mode() & 0o111 != 0)
}

/// Find a program. The error says what was looked for where, and how it is usually installed.
pub(super) fn find(program: &str, cwd: Option<&Path>, path: Option<&str>) -> Result<Found, HostError> {
    if program.is_empty() || program.contains('\0') {
        return Err(HostError::new(
            Kind::Invalid,
            "no program is named; write its name or path as `command`",
        ));
    }
    let search = search(path);
    if program.contains('/') {
        let file = match (program.strip_prefix("~/"), home(), cwd) {
            (Some(rest), Some(home), _) => home.join(rest),
            (_, _, Some(cwd)) => cwd.join(program),
            _ => PathBuf::from(program),
        };
        if !file.is_absolute() {
            let text = format!("the path `{program}` is not absolute; write all of it, or set `cwd`");
            return Err(HostError::new(Kind::Invalid, text));
        }
        if executable(&file) {
            return Ok(Found { path: file, search });
        }
        let what = if file.exists() { "is not an executable file" } else { "does not exist" };
        return Err(HostError::new(Kind::NotFound, format!("the program `{}` {what}", file.display())));
    }
    if let Some(path) = search.iter().map(|d| d.join(program)).find(|p| executable(p)) {
        return Ok(Found { path, search });
    }
    if program.split_whitespace().count() > 1 {
        let text = format!(
            "the program `{program}` is not found: no shell reads `command`; write the program there and the rest, word by word, in `args`"
        );
        return Err(HostError::new(Kind::NotFound, text));
    }
    let places: Vec<_> = search.iter().map(|d| d.display().to_string()).collect();
    let mut text = format!("the program `{program}` is not found (looked in {})", places.join(", "));
    if let Some(hint) = hint(program) {
        text.push_str("; ");
        text.push_str(hint);
    }
    Err(HostError::new(Kind::NotFound, text))
}

fn hint(program: &str) -> Option<&'static str> {
    Some(match program {
        "npx" | "npm" | "node" => {
            "it comes with Node.js: install the package `nodejs` (and `npm`) of this system, or a release from nodejs.org"
        }
        "uvx" | "uv" => "it comes with uv: see docs.astral.sh/uv, or `pipx install uv`",
        "python" => "install Python 3; where it is there as `python3`, write that",
        "python3" | "pip" | "pipx" => "install the package of this name of this system",
        "docker" => "install Docker; inside a container there is none, unless it is mounted into it",
        "bun" | "bunx" => "it comes with Bun: see bun.sh",
        "deno" => "it comes with Deno: see deno.com",
        _ => return None,
    })
}

/// Directories (and files) that the program needs to be read: where it, what it links to and its interpreters are
/// installed, and the projects or directories that are named in the arguments.
pub(super) fn needs(program: &Path, args: &[String], search: &[PathBuf]) -> Vec<PathBuf> {
    let mut out = Vec::new();
    installed(program, search, 0, &mut out);
    for arg in args {
        let value =
            arg.split_once('=').filter(|(name, _)| name.starts_with('-')).map_or(arg.as_str(), |(_, v)| v);
        let path = Path::new(value);
        let Ok(real) = std::fs::canonicalize(path) else { continue };
        if !path.is_absolute() || broad(&real) {
            continue;
        }
        let script = real.extension().and_then(|e| e.to_str()).is_some_and(|e| SCRIPTS.contains(&e));
        match real.parent() {
            _ if real.is_dir() => {}
            Some(parent) if script => {
                out.extend(project(parent));
                // Where its modules are looked for.
                let around = parent.ancestors().map(|d| d.join("node_modules"));
                out.extend(around.filter(|d| d.is_dir()));
                out.extend(parent.ancestors().filter(|d| d.ends_with("node_modules")).map(Path::to_owned));
            }
            // A program named by path, as in `env /opt/x/bin/server`.
            _ if executable(&real) => installed(path, search, 1, &mut out),
            _ => {}
        }
        out.push(real);
    }
    out.sort();
    out.dedup();
    out
}

// The nearest directory around a script that looks like the top of a project; else its own.
fn project(directory: &Path) -> Option<PathBuf> {
    let tops = directory.ancestors().take(6).take_while(|d| !broad(d));
    let top = tops.into_iter().find(|d| TOPS.iter().any(|name| d.join(name).exists()));
    top.or((!broad(directory)).then_some(directory)).map(Path::to_owned)
}

/// Where a program is installed, by every link on the way to its file.
fn installed(program: &Path, search: &[PathBuf], depth: usize, out: &mut Vec<PathBuf>) {
    let mut at = program.to_owned();
    for _ in 0..8 {
        if let Some(directory) = at.parent() {
            out.extend(prefix(directory));
        }
        out.push(at.clone());
        let Ok(link) = std::fs::read_link(&at) else { break };
        at = at.parent().map(|d| d.join(&link)).unwrap_or(link);
    }
    let Ok(real) = std::fs::canonicalize(program) else { return };
    out.extend(real.parent().and_then(prefix));
    out.push(real.clone());
    if depth < 3 {
        for interpreter in interpreters(&real, search) {
            installed(&interpreter, search, depth + 1, out);
        }
    }
}

fn prefix(directory: &Path) -> Option<PathBuf> {
    let name = directory.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    let base =
        if matches!(name, "bin" | "sbin" | "shims" | ".bin") { directory.parent()? } else { directory };
    if !broad(base) {
        return Some(base.to_owned());
    }
    (!broad(directory)).then(|| directory.to_owned())
}

/// Beneath which too much lies to be granted for one program's sake.
fn broad(path: &Path) -> bool {
    const TOP: &[&str] =
        &["/tmp", "/var", "/var/tmp", "/srv", "/mnt", "/media", "/home", "/run", "/dev", "/proc", "/sys"];
    let home = home();
    let home = home.as_ref().map(|h| std::fs::canonicalize(h).unwrap_or_else(|_| h.clone()));
    path.parent().is_none()
        || TOP.iter().any(|t| Path::new(t) == path)
        || path.parent() == Some(Path::new("/home"))
        || home.is_some_and(|home| {
            home.starts_with(path)
                || [".local", ".local/share", ".config", ".cache"].iter().any(|p| home.join(p) == path)
        })
}

/// What `~/.local/bin` needs beside itself: the places of the tools that put programs there.
pub(super) fn of_local(program: &Path) -> Vec<PathBuf> {
    let Some(local) = home().map(|h| h.join(".local")) else { return Vec::new() };
    if !program.starts_with(local.join("bin")) {
        return Vec::new();
    }
    BENEATH_LOCAL.iter().map(|p| local.join(p)).filter(|p| p.exists()).collect()
}

/// What the first line of a script names.
fn interpreters(script: &Path, search: &[PathBuf]) -> Vec<PathBuf> {
    use std::io::Read;
    let mut head = Vec::new();
    let read = std::fs::File::open(script).and_then(|f| f.take(512).read_to_end(&mut head));
    let head = String::from_utf8_lossy(&head);
    let (Ok(_), Some(line)) = (read, head.lines().next().and_then(|l| l.strip_prefix("#!"))) else {
        return Vec::new();
    };
    let mut words = line.split_whitespace();
    let Some(first) = words.next() else { return Vec::new() };
    let mut out = vec![PathBuf::from(first)];
    if first.ends_with("/env")
        && let Some(name) = words.find(|w| !w.starts_with('-') && !w.contains('='))
    {
        out.extend(search.iter().map(|d| d.join(name)).find(|p| executable(p)));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_said_with_where_and_how() {
        let error = find("npx", None, None).err();
        if let Some(error) = error {
            assert!(error.message.contains("Node.js"), "{error}");
        }
        let error = find("no-such-program-here", None, Some("/opt/x:/opt/y")).unwrap_err();
        assert_eq!(error.kind, Kind::NotFound);
        for part in ["`no-such-program-here`", "/opt/x, /opt/y", "/usr/local/bin", ".local/bin"] {
            assert!(error.message.contains(part), "{part}: {error}");
        }
        assert!(find("npx -y server", None, None).unwrap_err().message.contains("args"));
        assert!(find("./x", None, None).unwrap_err().message.contains("cwd"));
        assert!(find("/nowhere/x", None, None).unwrap_err().message.contains("does not exist"));
        assert!(hint("npx").is_some_and(|h| h.contains("Node.js")));
    }

    #[test]
    fn a_program_brings_its_prefix_its_links_and_its_interpreter() {
        use std::os::unix::fs::{PermissionsExt, symlink};
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().canonicalize().unwrap();
        let venv = root.join("venv");
        std::fs::create_dir_all(venv.join("bin")).unwrap();
        std::fs::create_dir_all(root.join("python/bin")).unwrap();
        let real = root.join("python/bin/python3");
        let script = venv.join("bin/server");
        std::fs::write(&real, "x").unwrap();
        symlink(&real, venv.join("bin/python")).unwrap();
        std::fs::write(&script, format!("#!{}\n", venv.join("bin/python").display())).unwrap();
        for file in [&real, &script] {
            std::fs::set_permissions(file, PermissionsExt::from_mode(0o755)).unwrap();
        }
        let app = root.join("app");
        std::fs::create_dir_all(app.join("dist")).unwrap();
        std::fs::write(app.join("package.json"), "{}").unwrap();
        std::fs::write(app.join("dist/index.js"), "").unwrap();
        let module = root.join("node_modules/a/dist");
        std::fs::create_dir_all(&module).unwrap();
        std::fs::write(module.join("../package.json"), "{}").unwrap();
        std::fs::write(module.join("index.js"), "").unwrap();
        let arguments = [app.join("dist/index.js").display().to_string(), format!("--db={}", real.display())];
        let needs = needs(&script, &arguments, &[]);
        let installed = super::needs(&module.join("index.js"), &[], &[]);
        assert!(!installed.contains(&root));
        let installed =
            super::needs(Path::new("/bin/sh"), &[module.join("index.js").display().to_string()], &[]);
        assert!(installed.contains(&root.join("node_modules")), "{installed:?}");
        for part in [&venv, &root.join("python"), &app] {
            assert!(needs.contains(part), "{}: {needs:?}", part.display());
        }
        assert!(!needs.contains(&root) && !needs.contains(&PathBuf::from("/")));
    }

    #[test]
    fn what_is_too_broad() {
        let home = home().unwrap();
        for path in ["/", "/tmp", "/home", "/home/x", "/var"] {
            assert!(broad(Path::new(path)), "{path}");
        }
        assert!(broad(&home) && broad(&home.join(".local")) && broad(home.parent().unwrap()));
        assert!(!broad(&home.join("project")) && !broad(Path::new("/opt/x")) && !broad(Path::new("/usr")));
    }
}
