//! From a program's name to the file that runs: looked up in trusted directories only, and the file must be one that
//! neither other users nor confined children can have written. Called by `Exec` when a command is parsed.

use crate::HostError;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use toolgate_core::Kind;

const SYSTEM: [&str; 3] = ["/usr/local/bin", "/usr/bin", "/bin"];

/// The directories where programs are looked up, in order.
pub(super) fn directories(operators: &[PathBuf]) -> Vec<PathBuf> {
    SYSTEM.iter().map(PathBuf::from).chain(operators.iter().cloned()).collect()
}

/// A name that can stand in the list.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= 64
        && !name.starts_with(['-', '.'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c))
}

/// The file of program `name`. The path is not canonical, since programs look at the name they were started by.
pub(super) fn program(
    name: &str,
    directories: &[PathBuf],
    writable: &[PathBuf],
) -> Result<PathBuf, HostError> {
    for directory in directories {
        let path = directory.join(name);
        if path.is_file() {
            trusted(name, &path, writable)?;
            return Ok(path);
        }
    }
    let places: Vec<_> = directories.iter().map(|d| d.display().to_string()).collect();
    Err(HostError::new(
        Kind::NotFound,
        format!("the program `{name}` is not installed on this machine (looked in {})", places.join(", ")),
    ))
}

fn trusted(name: &str, path: &Path, writable: &[PathBuf]) -> Result<(), HostError> {
    let unreadable = |e: std::io::Error| {
        HostError::new(Kind::Unavailable, format!("the program `{name}` cannot be examined: {e}"))
    };
    let real = std::fs::canonicalize(path).map_err(unreadable)?;
    let meta = std::fs::metadata(&real).map_err(unreadable)?;
    let inside = |p: &Path| writable.iter().any(|w| p.starts_with(w));
    let why = if meta.mode() & 0o022 != 0 {
        "its file can be written by other users"
    } else if meta.mode() & 0o111 == 0 {
        "its file is not executable"
    } else if inside(&real) || path.parent().is_some_and(inside) {
        "its file is in a directory that children may write"
    } else {
        return Ok(());
    };
    Err(HostError::forbidden(format!("the program `{name}` is not run: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_files_nobody_else_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tool");
        std::fs::write(&file, "x").unwrap();
        let at = |mode, writable: &[PathBuf]| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            program("tool", &[dir.path().to_owned()], writable)
        };
        assert_eq!(at(0o755, &[]).unwrap(), file);
        for mode in [0o775, 0o757, 0o777, 0o644] {
            assert_eq!(at(mode, &[]).unwrap_err().kind, Kind::Forbidden, "{mode:o}");
        }
        assert_eq!(at(0o755, &[dir.path().canonicalize().unwrap()]).unwrap_err().kind, Kind::Forbidden);
        assert_eq!(program("absent", &[dir.path().to_owned()], &[]).unwrap_err().kind, Kind::NotFound);
    }

    #[test]
    fn names() {
        assert!(is_name("python3.11") && is_name("g++"));
        for bad in ["", "/bin/ls", "../ls", "-x", "a b", ".hidden", "a=b", "l\\s", "ls*"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
