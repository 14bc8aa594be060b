//! Landlock: which files and networks a child reaches. The rule set is made here, before the fork; the child only
//! enters it (spawn.rs).
//!
//! Landlock grants directories with all beneath and cannot take a part away again. A directory with a denied path
//! beneath it is therefore granted entry by entry, down to the denied one; see `Grants::cover`. UDP and, before ABI 9,
//! Unix sockets with a path are beyond what Landlock holds.

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, PathBeneath, Ruleset,
    RulesetAttr, RulesetCreated, RulesetCreatedAttr, Scope,
};
use rustix::fs::{Dir, FileType, Mode, OFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

/// Rules in one set, at most.
const MAX_RULES: usize = 4096;

/// What programs need to start, besides the roots: read and execute.
const SYSTEM: &[&str] = &[
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/opt",
    "/nix/store",
    "/etc",
    "/sys/devices/system/cpu",
    "/sys/devices/system/node",
    "/sys/kernel/mm",
    "/proc/meminfo",
    "/proc/cpuinfo",
    "/proc/stat",
    "/proc/version",
    "/proc/loadavg",
    "/proc/uptime",
    "/proc/filesystems",
    "/proc/sys",
    "/run/systemd/resolve",
];
const DEVICES: &[&str] = &["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Credentials in system directories.
const DENIED: &[&str] = &[
    "/etc/shadow",
    "/etc/shadow-",
    "/etc/gshadow",
    "/etc/gshadow-",
    "/etc/security/opasswd",
    "/etc/sudoers",
    "/etc/sudoers.d",
    "/etc/ssh",
    "/etc/ssl/private",
    "/etc/pki/tls/private",
    "/etc/kubernetes",
    "/etc/rancher",
    "/etc/krb5.keytab",
    "/etc/wireguard",
    "/etc/letsencrypt",
    "/etc/docker",
    "/etc/toolgate",
];
/// Credential stores at the top of a root (a home directory).
const STORES: &[&str] = &[
    ".ssh",
    ".gnupg",
    ".aws",
    ".azure",
    ".kube",
    ".docker",
    ".netrc",
    ".git-credentials",
    ".pgpass",
    ".vault-token",
    ".config/gcloud",
    ".config/gh",
    ".password-store",
    ".local/share/keyrings",
];

/// What one child may reach.
pub(crate) struct Reach<'a> {
    pub read: &'a [PathBuf],
    pub write: &'a [PathBuf],
    pub denied: &'a [PathBuf],
    /// Directories of programs, beside the system's.
    pub programs: &'a [PathBuf],
    /// The child's own temporary directory.
    pub temp: &'a Path,
    pub net: Net,
    /// Whether sockets of a container service are granted.
    pub containers: bool,
    pub proc: bool,
    /// Refuse what cannot be expressed instead of noting it.
    pub strict: bool,
}

/// What the rule set says of TCP. UDP is beyond Landlock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Net {
    /// Nothing: it is open, or confined by other means.
    Unruled,
    /// Nothing: its network has nothing but itself.
    Apart,
    /// No connection out, no listening.
    Shut,
    /// Connections to one port, on any address.
    Port(u16),
}

/// A rule set that a child can enter, and how to call it.
pub(crate) struct Confinement {
    pub ruleset: OwnedFd,
    pub words: String,
}

/// The Landlock ABI of this kernel, as far as this code knows it; 0 without Landlock.
pub(crate) fn abi() -> u8 {
    let hard = || Ruleset::default().set_compatibility(CompatLevel::HardRequirement);
    let fs = |abi| hard().handle_access(AccessFs::from_all(abi)).is_ok();
    let steps: [&dyn Fn() -> bool; 7] = [
        &|| fs(ABI::V1),
        &|| fs(ABI::V2),
        &|| fs(ABI::V3),
        &|| hard().handle_access(AccessNet::from_all(ABI::V4)).is_ok(),
        &|| fs(ABI::V5),
        &|| hard().scope(Scope::from_all(ABI::V6)).is_ok(),
        &|| {
            let set = hard().handle_access(AccessFs::Execute).and_then(|r| r.create());
            set.and_then(|s| s.log_new_exec(true)).is_ok()
        },
    ];
    steps.iter().take_while(|step| step()).count() as u8
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// Every denied path that exists on this machine, canonical: the operator's, credentials of the system, credential stores at the
/// top of a root.
pub(crate) fn denied_here<'a>(denied: &[PathBuf], roots: impl Iterator<Item = &'a PathBuf>) -> Vec<PathBuf> {
    let stores = roots.flat_map(|root| STORES.iter().map(|s| root.join(s)));
    let system = DENIED.iter().map(PathBuf::from);
    let all = denied.iter().cloned().chain(system).chain(stores);
    all.filter_map(|p| std::fs::canonicalize(p).ok()).collect()
}

/// Make the rule set of one child. The text of an error says what this machine cannot do.
pub(crate) fn confine(reach: &Reach<'_>, abi: u8) -> Result<Confinement, String> {
    let mut ruleset = Ruleset::default()
        .handle_access(AccessFs::from_all(ABI::V9))
        .and_then(|r| match reach.net {
            Net::Unruled | Net::Apart => Ok(r),
            Net::Shut | Net::Port(_) => r.handle_access(AccessNet::from_all(ABI::V4)),
        })
        .and_then(|r| r.scope(Scope::from_all(ABI::V6)))
        .and_then(|r| r.create())
        .map_err(|e| format!("the Landlock rule set cannot be made: {e}"))?;

    if let Net::Port(port) = reach.net {
        ruleset = ruleset
            .add_rule(NetPort::new(port, AccessNet::ConnectTcp))
            .map_err(|e| format!("Landlock cannot grant port {port}: {e}"))?;
    }

    let denied = denied_here(reach.denied, reach.read.iter().chain(reach.write));
    let read = AccessFs::from_read(ABI::V9);
    let write =
        AccessFs::from_all(ABI::V9) & !(AccessFs::MakeChar | AccessFs::MakeBlock | AccessFs::IoctlDev);
    let mut grants = Grants {
        ruleset: &mut ruleset,
        denied: &denied,
        left: MAX_RULES,
        strict: reach.strict,
        notes: Vec::new(),
    };
    for path in SYSTEM.iter().map(Path::new).chain(reach.programs.iter().map(PathBuf::as_path)) {
        grants.root(&real(path), read)?;
    }
    if reach.proc {
        grants.root(Path::new("/proc"), read)?;
    }
    for path in DEVICES {
        grants.root(Path::new(path), AccessFs::ReadFile | AccessFs::WriteFile)?;
    }
    for path in reach.read {
        grants.root(path, read)?;
    }
    for path in reach.write {
        grants.root(path, write)?;
    }
    // Its own, wherever that is.
    let own: Vec<PathBuf> = denied.iter().filter(|d| !reach.temp.starts_with(d)).cloned().collect();
    grants.denied = &own;
    grants.root(reach.temp, write)?;
    grants.denied = &denied;
    if reach.containers {
        for path in ["/run/docker.sock", "/var/run/docker.sock"] {
            grants.root(&real(Path::new(path)), AccessFs::ResolveUnix | AccessFs::WriteFile)?;
        }
    }
    let notes = std::mem::take(&mut grants.notes);
    let ruleset = Option::<OwnedFd>::from(ruleset).ok_or("this kernel has no Landlock")?;
    let mut words = format!("landlock abi {abi}");
    match (reach.net, abi >= 4) {
        (Net::Unruled, _) => words.push_str(", tcp allowed"),
        (Net::Apart, _) => words.push_str(", tcp within a network of its own"),
        (Net::Shut, true) => words.push_str(", no tcp"),
        (Net::Port(port), true) => words.push_str(&format!(", tcp to port {port}")),
        (_, false) => words.push_str(", tcp not confined (needs Linux 6.7)"),
    }
    for note in notes {
        words.push_str("; ");
        words.push_str(&note);
    }
    Ok(Confinement { ruleset, words })
}

struct Grants<'a> {
    ruleset: &'a mut RulesetCreated,
    denied: &'a [PathBuf],
    left: usize,
    strict: bool,
    notes: Vec<String>,
}

enum Failed {
    TooMany,
    Os(String),
}

impl Grants<'_> {
    /// Grant one root with everything beneath it but what is denied. What is not there is skipped.
    fn root(&mut self, path: &Path, access: BitFlags<AccessFs>) -> Result<(), String> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let Ok(fd) = rustix::fs::open(path, flags, Mode::empty()) else { return Ok(()) };
        match self.cover(fd, path, access) {
            Ok(()) => Ok(()),
            Err(Failed::Os(e)) => Err(format!("Landlock cannot grant {}: {e}", path.display())),
            Err(Failed::TooMany) => {
                let text = format!(
                    "{} needs more than {MAX_RULES} Landlock rules and is granted in part",
                    path.display()
                );
                if self.strict {
                    return Err(text);
                }
                self.notes.push(text);
                Ok(())
            }
        }
    }

    /// `fd` was opened without following a link, so that nothing swapped in meanwhile is granted.
    fn cover(&mut self, fd: OwnedFd, path: &Path, access: BitFlags<AccessFs>) -> Result<(), Failed> {
        if self.denied.iter().any(|d| path.starts_with(d)) {
            return Ok(());
        }
        let kind = rustix::fs::fstat(&fd).map(|s| FileType::from_raw_mode(s.st_mode));
        let directory = match kind {
            Ok(FileType::Directory) => true,
            // Where a link leads is granted, or not, by its own path.
            Ok(FileType::Symlink) | Err(_) => return Ok(()),
            Ok(_) => false,
        };
        if !directory {
            return self.add(&fd, access & AccessFs::from_file(ABI::V9));
        }
        if !self.denied.iter().any(|d| d.starts_with(path)) {
            return self.add(&fd, access);
        }
        // Rights on this directory itself would reach the denied path, so it gets none, except that under `standard`
        // its names can be listed (and with them those of the denied directories).
        if !self.strict {
            self.add(&fd, AccessFs::ReadDir.into())?;
        }
        if access.contains(AccessFs::WriteFile) {
            self.notes
                .push(format!("no new entries directly in {} (a path beneath it is denied)", path.display()));
        }
        let os = |e: rustix::io::Errno| Failed::Os(e.to_string());
        let readable =
            rustix::fs::openat(&fd, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
        let Ok(readable) = readable else { return Ok(()) };
        for entry in Dir::read_from(&readable).map_err(os)? {
            let entry = entry.map_err(os)?;
            let name =
                std::ffi::OsStr::new(std::str::from_utf8(entry.file_name().to_bytes()).unwrap_or_default());
            if name.is_empty() || name == "." || name == ".." {
                continue;
            }
            let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            if let Ok(child) = rustix::fs::openat(&readable, name, flags, Mode::empty()) {
                self.cover(child, &path.join(name), access)?;
            }
        }
        Ok(())
    }

    fn add(&mut self, fd: &impl AsFd, access: BitFlags<AccessFs>) -> Result<(), Failed> {
        self.left = self.left.checked_sub(1).ok_or(Failed::TooMany)?;
        if access.is_empty() {
            return Ok(());
        }
        let rule = PathBeneath::new(fd.as_fd(), access);
        (&mut *self.ruleset).add_rule(rule).map(|_| ()).map_err(|e| Failed::Os(e.to_string()))
    }
}
