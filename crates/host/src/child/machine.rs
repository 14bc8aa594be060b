//! What this machine can confine a child by, tried out once.

use super::{Profile, connects, enter, filter, group::Group, spaces};
use crate::exec::confine;
use std::os::fd::AsFd;
use std::sync::{Arc, OnceLock};

/// Landlock from this ABI on also holds `truncate`; what is older would let a child empty any file.
const FILES: u8 = 3;
/// TCP.
const PORTS: u8 = 4;
/// Where the kernel bounds a child as a whole nobody has to.
const LOOKED: &str = "memory and number of processes are looked at once a second";
/// Signals, and sockets without a path.
const SCOPES: u8 = 6;

#[derive(Debug, Clone)]
pub(super) struct Machine {
    /// Landlock ABI, 0 for none.
    pub abi: u8,
    /// Whether namespaces can be made, and whether within a user namespace.
    pub spaces: Result<bool, String>,
    /// Whether the kernel asks about connections, and how they are made.
    pub filter: Result<connects::Way, String>,
    /// Whether it bounds memory and processes by itself.
    pub group: Result<bool, String>,
}

impl Machine {
    /// This one. Blocks for some milliseconds, once.
    pub fn here() -> Arc<Self> {
        static HERE: OnceLock<Arc<Machine>> = OnceLock::new();
        HERE.get_or_init(|| Arc::new(Self::tried())).clone()
    }

    fn tried() -> Self {
        let try_spaces = |user: bool| {
            let maps = user.then(spaces::Maps::own);
            enter::trial(move || {
                spaces::unshare(maps.as_ref())?;
                spaces::mounts()?;
                spaces::loopback()
            })
        };
        let spaces = match try_spaces(false) {
            Ok(()) => Ok(false),
            Err(_) => try_spaces(true).map(|()| true).map_err(|e| e.to_string()),
        };
        let filter = connects::usable(filter::KNOWN);
        let spaces = match filter {
            Ok(connects::Way::Replace) => Err("pidfd_getfd is not permitted".into()),
            _ => spaces,
        };
        let group = Group::make(&crate::exec::spawn::mark(), 64 << 20, 16).and_then(|group| {
            let door = group.door().map_err(|e| e.to_string())?;
            let entered = enter::trial(move || enter::join(door.as_fd()));
            let bounds = group.bounds_memory && group.bounds_processes;
            entered.map(|()| bounds).map_err(|e| format!("{}: {e}", group.path().display()))
        });
        Self { abi: confine::abi(), spaces, filter, group }
    }

    /// By what a profile is enforced here, or everything that is missing.
    pub fn enforceable(&self, profile: Profile) -> Result<String, Vec<String>> {
        let mut missing = Vec::new();
        let mut means = vec!["own process group and limits".to_owned()];
        if profile != Profile::None {
            let spaces = self.spaces.as_ref();
            let needs = match (profile, spaces.is_ok()) {
                (_, true) => FILES,
                (Profile::Strict, false) => SCOPES,
                (_, false) => PORTS,
            };
            if self.abi < needs {
                let has = if self.abi == 0 { "has none".into() } else { format!("has ABI {}", self.abi) };
                let without = spaces
                    .err()
                    .map_or_else(String::new, |e| format!(" where namespaces cannot be made ({e})"));
                missing.push(format!(
                    "Landlock ABI {needs} or later{without}: Linux {}, with `landlock` among the active security modules; this kernel {has}",
                    match needs { FILES => "6.2", PORTS => "6.7", _ => "6.12" }
                ));
            }
            if let Err(why) = &self.filter {
                missing.push(format!("a seccomp filter that asks the gateway about connections: {why}"));
            }
            means.push(format!("Landlock ABI {} for files", self.abi));
            means.push("seccomp filter, connections made by the gateway".into());
            means.push(match spaces {
                Ok(user) => {
                    let user = if *user { "user, " } else { "" };
                    format!("{user}network, mount, pid and ipc namespaces")
                }
                Err(_) => "no namespaces".into(),
            });
        }
        means.push(match &self.group {
            Ok(true) => "control group".into(),
            Ok(false) => format!("control group without bounds of its own, so {LOOKED}"),
            Err(why) => format!("no control group ({why}), so {LOOKED}"),
        });
        if missing.is_empty() { Ok(means.join("; ")) } else { Err(missing) }
    }
}
