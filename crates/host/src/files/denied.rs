//! Places that stay closed inside every root: credential stores by name, and what the operator adds.
//!
//! Asked by `roots`, `walk` and `write` with paths as the kernel reports them. Invariant: a closed place always answers
//! with the same text, whether it exists or not. A file whose content is secret but whose name says nothing is not
//! known here.

use crate::HostError;
use rustix::fs::Stat;
use std::ffi::OsStr;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Consecutive names, anywhere in a path (ASCII case does not matter); what is beneath is closed too.
const NAMES: &[&[&str]] = &[
    &[".ssh"],
    &[".gnupg"],
    &[".aws"],
    &[".azure"],
    &[".kube"],
    &[".password-store"],
    &[".netrc"],
    &["_netrc"],
    &[".git-credentials"],
    &[".npmrc"],
    &[".yarnrc.yml"],
    &[".pypirc"],
    &[".pgpass"],
    &[".my.cnf"],
    &[".vault-token"],
    &[".s3cfg"],
    &[".boto"],
    &[".mozilla"],
    &[".docker", "config.json"],
    &[".config", "gcloud"],
    &[".config", "gh"],
    &[".config", "hub"],
    &[".config", "rclone"],
    &[".config", "doctl"],
    &[".config", "git", "credentials"],
    &[".config", "containers", "auth.json"],
    &[".config", "google-chrome"],
    &[".config", "chromium"],
    &[".cargo", "credentials"],
    &[".cargo", "credentials.toml"],
    &[".gem", "credentials"],
    &[".m2", "settings.xml"],
    &[".terraform.d", "credentials.tfrc.json"],
    &[".local", "share", "keyrings"],
];

/// From the top of the file system.
const PLACES: &[&str] = &[
    "/proc",
    "/sys",
    "/etc/passwd",
    "/etc/passwd-",
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/krb5.keytab",
    "/etc/kubernetes",
    "/etc/rancher",
    "/run/secrets",
    "/var/run/secrets",
    "/var/lib/kubelet",
];

/// What programs run by themselves, or take commands from, at the next login or start: read like any other file, never
/// written. All of `.git`: hooks and configuration name programs, and a `.git` file leads to others.
const STARTED: &[&[&str]] = &[
    &[".git"],
    &[".gitconfig"],
    &[".config", "git"],
    &[".bashrc"],
    &[".bash_profile"],
    &[".bash_login"],
    &[".bash_logout"],
    &[".bash_aliases"],
    &[".profile"],
    &[".zshrc"],
    &[".zshenv"],
    &[".zprofile"],
    &[".zlogin"],
    &[".zlogout"],
    &[".kshrc"],
    &[".cshrc"],
    &[".tcshrc"],
    &[".login"],
    &[".xprofile"],
    &[".xinitrc"],
    &[".xsession"],
    &[".xsessionrc"],
    &[".pam_environment"],
    &[".config", "fish"],
    &[".config", "autostart"],
    &[".config", "autostart-scripts"],
    &[".config", "environment.d"],
    &[".config", "plasma-workspace"],
    &[".config", "systemd"],
    &[".local", "share", "systemd"],
    &[".mcp.json"],
    &[".claude.json"],
    &[".claude", "settings.json"],
    &[".claude", "settings.local.json"],
    &[".cursor", "mcp.json"],
    &[".vscode", "mcp.json"],
    &[".vscode", "tasks.json"],
    &["Code", "User", "mcp.json"],
    &["claude_desktop_config.json"],
];

/// The same, from the top of the file system.
const STARTED_PLACES: &[&str] = &[
    "/etc/bash.bashrc",
    "/etc/cron.d",
    "/etc/cron.daily",
    "/etc/cron.hourly",
    "/etc/cron.monthly",
    "/etc/cron.weekly",
    "/etc/crontab",
    "/etc/environment",
    "/etc/init.d",
    "/etc/ld.so.conf.d",
    "/etc/ld.so.preload",
    "/etc/profile",
    "/etc/profile.d",
    "/etc/rc.local",
    "/etc/systemd",
    "/etc/zsh",
    "/usr/lib/systemd",
    "/var/spool/cron",
];

/// Private keys by the names their tools give them; the `.pub` beside them is open.
const KEYS: &[&str] =
    &["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", "id_ecdsa_sk", "id_ed25519_sk", "id_xmss"];
const KEY_ENDINGS: &[&str] = &[".ppk", ".kdbx", ".p12", ".pfx", ".keytab"];

/// Entries of closed directories looked at for one file with several names.
const MAX_LOOKED_AT: usize = 20_000;

pub(crate) struct Denied {
    /// Absolute, links resolved.
    paths: Vec<PathBuf>,
}

impl Denied {
    /// A path that does not exist yet is closed under the name that it will have.
    pub fn new(paths: Vec<PathBuf>) -> Result<Self, String> {
        let mut real = Vec::with_capacity(paths.len());
        for path in paths {
            if !path.is_absolute() {
                return Err(format!("the closed path `{}` is not absolute", path.display()));
            }
            let path = lexical(&path);
            real.push(resolved(&path));
            real.push(path);
        }
        real.dedup();
        Ok(Self { paths: real })
    }

    /// The credential stores of a home directory, whether they exist or not.
    pub fn stores(home: &Path) -> impl Iterator<Item = PathBuf> {
        let keys = KEYS.iter().map(|key| home.join(key));
        NAMES
            .iter()
            .map(move |names| names.iter().fold(home.to_owned(), |path, name| path.join(name)))
            .chain(keys)
    }

    /// Nothing beside the built-in list.
    pub fn none() -> Self {
        Self { paths: Vec::new() }
    }

    /// Whether a place is closed.
    pub fn covers(&self, path: &Path) -> bool {
        self.paths.iter().any(|p| path.starts_with(p))
            || PLACES.iter().any(|p| path.starts_with(p))
            || by_name(path)
    }

    /// Whether an entry must not be made, changed, moved or replaced, though it may be read.
    pub fn is_started(path: &Path) -> bool {
        STARTED_PLACES.iter().any(|p| path.starts_with(p)) || holds_rule(STARTED, &names(path))
    }

    /// Whether a place is closed by the names in its path alone. Commands ask this of their arguments.
    pub fn by_name(path: &Path) -> bool {
        by_name(path)
    }

    /// Whether moving or replacing this entry would give a closed place another name.
    pub fn is_above(&self, path: &Path) -> bool {
        let names = names(path);
        self.paths.iter().any(|p| p.starts_with(path))
            || PLACES.iter().chain(STARTED_PLACES).any(|p| Path::new(p).starts_with(path))
            || NAMES.iter().chain(STARTED).any(|rule| (1..rule.len()).any(|n| ends_with(&names, &rule[..n])))
    }

    /// Whether a file with several names is one that the operator closed under another name, itself or with the
    /// directory around it. A closed directory too large to look through counts as holding it.
    pub fn is_linked(&self, stat: &Stat) -> bool {
        let mut left = MAX_LOOKED_AT;
        stat.st_nlink > 1 && self.paths.iter().any(|path| holds(path, stat, &mut left))
    }

    pub fn started_error() -> HostError {
        HostError::forbidden(
            "this path is closed to writing: programs run what is in it by themselves (shell start-up files, git \
             hooks and configuration, autostart entries, clients' server lists); a person may change it",
        )
    }

    pub fn error() -> HostError {
        HostError::forbidden(
            "this path is closed: it is among the places that hold credentials, or the operator closed it; \
             file tools do not open it",
        )
    }
}

// Whether this file is there: as the path itself, or beneath it.
fn holds(path: &Path, stat: &Stat, left: &mut usize) -> bool {
    let Some(rest) = left.checked_sub(1) else { return true };
    *left = rest;
    let Ok(meta) = std::fs::symlink_metadata(path) else { return false };
    if meta.ino() == stat.st_ino && meta.dev() == stat.st_dev {
        return true;
    }
    // A hard link never crosses file systems.
    meta.is_dir()
        && meta.dev() == stat.st_dev
        && std::fs::read_dir(path)
            .is_ok_and(|entries| entries.flatten().any(|e| holds(&e.path(), stat, left)))
}

fn names(path: &Path) -> Vec<&OsStr> {
    path.components()
        .filter_map(|c| match c {
            Component::Normal(name) => Some(name),
            _ => None,
        })
        .collect()
}

fn by_name(path: &Path) -> bool {
    let names = names(path);
    holds_rule(NAMES, &names) || names.iter().any(|name| is_key(&name.to_string_lossy()))
}

fn holds_rule(rules: &[&[&str]], names: &[&OsStr]) -> bool {
    rules.iter().any(|rule| names.windows(rule.len()).any(|part| ends_with(part, rule)))
}

fn ends_with(names: &[&OsStr], rule: &[&str]) -> bool {
    names.len() >= rule.len()
        && names[names.len() - rule.len()..]
            .iter()
            .zip(rule)
            .all(|(name, own)| name.eq_ignore_ascii_case(own))
}

fn is_key(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    KEYS.contains(&name.as_str())
        || KEY_ENDINGS.iter().any(|end| name.ends_with(end))
        || (name.starts_with("ssh_host_") && name.ends_with("_key"))
}

/// `.` and `..` taken out by the letters alone; a `..` at the top stays at the top.
pub(super) fn lexical(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                out.pop();
            }
            Component::CurDir => {}
            other => out.push(other),
        }
    }
    out
}

/// Links resolved as far as the path exists.
fn resolved(path: &Path) -> PathBuf {
    for known in path.ancestors() {
        if let Ok(real) = std::fs::canonicalize(known) {
            // `join("")` would add a slash.
            return match path.strip_prefix(known) {
                Ok(rest) if !rest.as_os_str().is_empty() => real.join(rest),
                _ => real,
            };
        }
    }
    path.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_places_are_closed() {
        for path in [
            "/h/a/.ssh",
            "/h/a/.ssh/known_hosts",
            "/h/a/.SSH/x",
            "/h/a/.aws/credentials",
            "/w/.netrc",
            "/w/.git-credentials",
            "/w/.docker/config.json",
            "/h/a/.config/gcloud/x.json",
            "/etc/shadow",
            "/etc/passwd",
            "/etc/sudoers.d/x",
            "/etc/ssl/private/a.key",
            "/proc/kcore",
            "/proc/self/environ",
            "/w/keys/id_ed25519",
            "/w/id_rsa",
            "/etc/ssh/ssh_host_rsa_key",
            "/w/a.kdbx",
            "/run/secrets/token",
            "/w/.npmrc",
            "/w/.pypirc",
        ] {
            assert!(Denied::none().covers(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn ordinary_places_are_open() {
        for path in [
            "/w/src/main.rs",
            "/w/.docker/Dockerfile",
            "/w/.config/app.toml",
            "/w/id_rsa.pub",
            "/etc/hosts",
            "/w/ssh",
            "/w/.sshd",
            "/process/x",
            "/etc/shadowed",
            "/etc/passwd.md",
            "/w/.env.example",
            "/w/config.json",
            "/etc/ssh/ssh_config",
        ] {
            assert!(!Denied::none().covers(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_starts_by_itself_is_read_and_not_written() {
        for path in [
            "/h/a/.bashrc",
            "/h/a/.ZSHRC",
            "/h/a/.config/autostart/x.desktop",
            "/h/a/.config/systemd/user/x.service",
            "/h/a/.config/fish/config.fish",
            "/w/p/.git/hooks/pre-commit",
            "/w/p/.git/config",
            "/w/p/.git",
            "/w/p/.mcp.json",
            "/h/a/.claude.json",
            "/h/a/.cursor/mcp.json",
            "/w/.vscode/mcp.json",
            "/h/a/Library/Application Support/Claude/claude_desktop_config.json",
            "/etc/cron.d/x",
            "/var/spool/cron/crontabs/a",
        ] {
            let path = Path::new(path);
            assert!(Denied::is_started(path) && !Denied::none().covers(path), "{}", path.display());
        }
        for path in
            ["/w/.gitignore", "/w/.github/x.yml", "/w/.vscode/settings.json", "/w/mcp.json", "/w/bashrc"]
        {
            assert!(!Denied::is_started(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn what_stands_above_a_closed_place_is_known() {
        let denied = Denied::new(vec!["/srv/nowhere/data".into()]).unwrap();
        for path in
            ["/srv", "/srv/nowhere", "/etc", "/w/.docker", "/w/.config", "/w/.config/git", "/w/.local/share"]
        {
            assert!(denied.is_above(Path::new(path)), "{path}");
        }
        for path in ["/srv/other", "/w/docker", "/w/.local/bin", "/w/share"] {
            assert!(!denied.is_above(Path::new(path)), "{path}");
        }
        assert!(denied.covers(Path::new("/srv/nowhere/data/keys")));
        assert!(!denied.covers(Path::new("/srv/nowhere/database")));
    }

    #[test]
    fn a_relative_closed_path_is_a_mistake() {
        assert!(Denied::new(vec!["data".into()]).is_err());
    }
}
