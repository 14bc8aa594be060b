//! File roots: those of the configuration, or the ones a start without any has; and what stays closed in them.
//!
//! Called by `config::load`. Invariant: what nobody configured never makes a start fail, and never opens a home or a
//! system directory to writing. Such a working directory is no sign of a project: services start in `/`, desktop clients
//! and terminals in the home directory. Then tools write in `DATA/workspace`.

use super::document::Document;
use super::semantic::Report;
use std::path::{Path, PathBuf};
use toolgate_host::files::{Root, is_closed};

/// Readable without configuration.
const READABLE: [&str; 3] = ["/usr", "/opt", "/etc"];
/// The system's, with everything beneath.
const SYSTEM: &[&str] = &[
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys",
    "/usr",
];
/// Beneath these are people's projects after all: container images like to put them there.
const PROJECTS: &[&str] = &["/usr/src", "/usr/local/src"];
/// Directories of everybody; what is beneath may be a project.
const SHARED: &[&str] = &[
    "/",
    "/home",
    "/media",
    "/mnt",
    "/opt",
    "/root",
    "/srv",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
    "/var/spool",
];
/// What lives in a data directory, whether it is there already or not. The databases have files beside them.
const DATA: &[&str] = &["admin.key", "journal", "run", "toolgate.yaml"];
const DATABASES: &[&str] = &[toolgate_store::STATE_FILE, toolgate_store::SHELF_FILE];

/// The roots. `home`: the user's home directory.
pub fn roots(
    document: &Document,
    data: &Path,
    cwd: &Path,
    home: Option<&Path>,
    from_file: &dyn Fn(&Path) -> PathBuf,
    report: Report<'_>,
) -> Vec<Root> {
    let Some(said) = &document.files.roots else { return without_any(data, cwd, home) };
    let mut roots = Vec::new();
    for (i, root) in said.iter().enumerate() {
        let path = from_file(&root.path);
        if !path.is_dir() {
            report(
                &format!("files.roots[{i}].path"),
                format!(
                    "{:?} is not an existing directory; create it or leave it out",
                    path.display().to_string()
                ),
            );
        }
        roots.push(Root { path, write: root.write });
    }
    roots
}

fn without_any(data: &Path, cwd: &Path, home: Option<&Path>) -> Vec<Root> {
    let work = if is_project(cwd, data, home) { cwd.to_path_buf() } else { workspace(data) };
    let mut seen = vec![real(&work)];
    let mut roots = vec![Root { path: work, write: true }];
    for path in READABLE.map(PathBuf::from).into_iter().filter(|path| path.is_dir()) {
        let place = real(&path);
        if !seen.contains(&place) && !is_closed(&place) && !place.starts_with(real(data)) {
            seen.push(place);
            roots.push(Root { path, write: false });
        }
    }
    roots
}

fn is_project(cwd: &Path, data: &Path, home: Option<&Path>) -> bool {
    let place = real(cwd);
    let beneath = |top: &str| place != Path::new(top) && place.starts_with(top);
    let system = SYSTEM.iter().any(|top| place.starts_with(top)) && !PROJECTS.iter().any(|top| beneath(top));
    let shared = SHARED.iter().any(|top| place == Path::new(top));
    let homes = home.is_some_and(|home| home.starts_with(&place) || real(home).starts_with(&place));
    place.is_absolute()
        && !system
        && !shared
        && !homes
        && !is_closed(&place)
        && !place.starts_with(real(data))
}

fn workspace(data: &Path) -> PathBuf {
    data.join("workspace")
}

/// What stays closed of the data directory: all of it, or, when its workspace is a root, everything else in it.
pub fn closed_data(data: &Path, roots: &[Root]) -> Vec<PathBuf> {
    let workspace = workspace(data);
    if !roots.iter().any(|root| root.path == workspace) {
        return vec![data.to_path_buf()];
    }
    let mut closed: Vec<PathBuf> = DATA.iter().map(|name| data.join(name)).collect();
    for database in DATABASES {
        closed.extend(["", "-wal", "-shm", "-journal"].map(|end| data.join(format!("{database}{end}"))));
    }
    let found = std::fs::read_dir(data).into_iter().flatten().flatten().map(|entry| entry.path());
    closed.extend(found.filter(|path| *path != workspace));
    closed.sort();
    closed.dedup();
    closed
}

fn real(path: &Path) -> PathBuf {
    std::fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;
    use toolgate_host::files::Files;

    #[test]
    fn homes_and_system_directories_are_not_opened_to_writing() {
        let top = tempfile::tempdir().unwrap();
        let (home, data) = (top.path().join("u/ann"), top.path().join("u/ann/.local/share/toolgate"));
        let project = home.join("p");
        for dir in [&project, &data.join("journal"), &data.join("workspace"), &home.join(".ssh")] {
            std::fs::create_dir_all(dir).unwrap();
        }
        std::os::unix::fs::symlink(&home, top.path().join("link")).unwrap();
        let link = top.path().join("link");
        let write = |cwd: &Path| {
            let roots = without_any(&data, cwd, Some(&home));
            assert!(roots[0].write && roots[1..].iter().all(|root| !root.write));
            // The doors accept every such start.
            Files::new(roots.clone(), closed_data(&data, &roots)).unwrap();
            roots[0].path.clone()
        };
        let odd = [&home, &link, &data, &data.join("journal"), &home.join(".ssh")].map(|path| path.clone());
        let system =
            ["/", "/usr", "/etc", "/opt", "/usr/bin", "/home", "/proc", "/var", "/tmp/.."].map(PathBuf::from);
        for cwd in odd.iter().chain(&system).chain([&top.path().join("u"), &top.path().to_path_buf()]) {
            assert_eq!(write(cwd), data.join("workspace"), "{}", cwd.display());
        }
        assert_eq!(write(&project), project);
    }

    #[tokio::test]
    async fn the_workspace_is_open_and_the_data_around_it_closed() {
        let top = tempfile::tempdir().unwrap();
        let data = top.path().join("data");
        std::fs::create_dir_all(data.join("workspace")).unwrap();
        std::fs::write(data.join("other"), "x").unwrap();
        // The worst case: a root that holds the data directory, too.
        let roots = vec![
            Root { path: data.join("workspace"), write: true },
            Root { path: top.path().to_path_buf(), write: true },
        ];
        let files = Files::new(roots.clone(), closed_data(&data, &roots)).unwrap();
        let write = async |path: &str| {
            let path = data.join(path).display().to_string();
            files.write(&path, b"x".to_vec(), toolgate_host::files::WriteMode::Replace, true).await
        };
        write("workspace/a").await.unwrap();
        for path in ["admin.key", "toolgate.db-wal", "journal/x", "toolgate.yaml", "other"] {
            assert!(write(path).await.is_err(), "{path}");
        }
        assert_eq!(closed_data(&data, &[]), [data]);
    }
}
