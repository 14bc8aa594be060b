//! The directory of a child that is kept when it ends.
//!
//! Used by `spawn`. Held by a lock on it while a child lives in it, whichever process of the gateway started that; cleared of
//! what children that are gone left in it. Where each of many has a directory of its own, their number is bounded: one that
//! nobody lives in makes room, the one first that was entered longest ago, and what nobody entered for a month goes too.

use super::runfile;
use crate::exec::spawn::mark;
use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Timespec, Timestamps};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Of the directory for what a child writes for a while; its mark follows.
pub(super) const TEMP: &str = ".tmp-";
/// Of a directory that is being removed.
const GONE: &str = ".gone-";
const UNUSED: Duration = Duration::from_hours(30 * 24);
const TRIES: usize = 20;
const PAUSE: Duration = Duration::from_millis(5);

/// Keeps it from being removed.
pub(super) struct Hold(#[expect(dead_code, reason = "its lock ends with it")] OwnedFd);

/// Enter a directory, made when it is not there. `state`: where run-files are. `most`: how many may be beside each other, this
/// one included. Blocks for some milliseconds.
pub(super) fn enter(path: &Path, state: &Path, most: Option<usize>) -> io::Result<Hold> {
    let hold = hold(path)?;
    if let (Some(most), Some(all)) = (most, path.parent())
        && !make_room(all, path, most)
    {
        let _ = std::fs::remove_dir(path);
        return Err(io::Error::other(format!(
            "all {most} directories for callers are in use; try again later"
        )));
    }
    for (name, left) in entries(path) {
        if name.strip_prefix(TEMP).is_some_and(|mark| !runfile::is_there(state, mark)) {
            remove(left);
        }
    }
    Ok(hold)
}

fn hold(path: &Path) -> io::Result<Hold> {
    for _ in 0..TRIES {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        let Some(directory) = open(path)? else { continue };
        match rustix::fs::flock(&directory, FlockOperation::NonBlockingLockShared) {
            Ok(()) if is_still(path, &directory) => {
                let now = Timespec { tv_sec: 0, tv_nsec: rustix::fs::UTIME_NOW };
                let _ = rustix::fs::futimens(
                    &directory,
                    &Timestamps { last_access: now, last_modification: now },
                );
                return Ok(Hold(directory));
            }
            // It is being removed this moment.
            _ => std::thread::sleep(PAUSE),
        }
    }
    // A child that locks its own home keeps it from being removed as well.
    open(path)?.map(Hold).ok_or_else(|| io::ErrorKind::NotFound.into())
}

fn open(path: &Path) -> io::Result<Option<OwnedFd>> {
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(directory) => Ok(Some(directory)),
        Err(rustix::io::Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

fn is_still(path: &Path, directory: &OwnedFd) -> bool {
    let there = rustix::fs::statat(rustix::fs::CWD, path, AtFlags::SYMLINK_NOFOLLOW);
    let held = rustix::fs::fstat(directory.as_fd());
    matches!((there, held), (Ok(there), Ok(held)) if (there.st_dev, there.st_ino) == (held.st_dev, held.st_ino))
}

/// Whether there is room for this one among all.
fn make_room(all: &Path, own: &Path, most: usize) -> bool {
    let mut others = Vec::new();
    for (name, path) in entries(all) {
        match std::fs::symlink_metadata(&path) {
            Ok(_) if name.starts_with(GONE) => remove(path),
            Ok(meta) if meta.is_dir() && path != own => others.push((meta.mtime(), path)),
            _ => {}
        }
    }
    others.sort();
    let long_ago =
        SystemTime::now().checked_sub(UNUSED).and_then(|at| at.duration_since(SystemTime::UNIX_EPOCH).ok());
    let long_ago = long_ago.map_or(0, |at| at.as_secs().cast_signed());
    let mut over = (others.len() + 1).saturating_sub(most);
    for (entered, path) in others {
        if (over > 0 || entered < long_ago) && is_free(&path, all) {
            over = over.saturating_sub(1);
        }
    }
    over == 0
}

/// Take it away if nobody lives in it.
fn is_free(path: &Path, all: &Path) -> bool {
    let Ok(Some(directory)) = open(path) else { return false };
    if rustix::fs::flock(&directory, FlockOperation::NonBlockingLockExclusive).is_err() {
        return false;
    }
    let gone = all.join(format!("{GONE}{}", mark()));
    let taken = std::fs::rename(path, &gone).is_ok();
    if taken {
        remove(gone);
    }
    taken
}

fn entries(path: &Path) -> Vec<(String, PathBuf)> {
    let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
    entries.filter_map(|entry| Some((entry.file_name().into_string().ok()?, entry.path()))).collect()
}

/// There may be much in it: nothing waits for that.
fn remove(path: PathBuf) {
    let work = move || {
        if let Err(e) = std::fs::remove_dir_all(&path) {
            tracing::debug!(path = %path.display(), error = %e, "what a child left cannot be removed");
        }
    };
    let _ = std::thread::Builder::new().name("toolgate-clear".into()).spawn(work);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gone(path: &Path) -> bool {
        (0..500).any(|_| {
            std::thread::sleep(PAUSE);
            !path.exists()
        })
    }

    #[test]
    fn what_dead_children_left_goes_and_what_living_ones_have_stays() {
        let dir = tempfile::tempdir().unwrap();
        let (state, home) = (dir.path().join("run"), dir.path().join("home"));
        for path in [".tmp-dead", ".tmp-lives", ".tmp-begins", "kept"] {
            std::fs::create_dir_all(home.join(path).join("x")).unwrap();
        }
        std::fs::create_dir_all(state.join("begins")).unwrap();
        std::fs::write(state.join("lives.child"), "").unwrap();
        let _hold = enter(&home, &state, None).unwrap();
        assert!(gone(&home.join(".tmp-dead")));
        for path in [".tmp-lives", ".tmp-begins", "kept"] {
            assert!(home.join(path).join("x").exists(), "{path}");
        }
    }

    #[test]
    fn the_number_of_homes_is_bounded_and_none_that_is_lived_in_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (state, homes) = (dir.path().join("run"), dir.path().join("homes"));
        let enter = |name: &str| enter(&homes.join(name), &state, Some(2));
        drop(enter("a").unwrap());
        std::fs::write(homes.join("a/file"), "x").unwrap();
        let a = enter("a").unwrap();
        let b = enter("b").unwrap();
        let refused = enter("c").err().unwrap();
        assert!(refused.to_string().contains("all 2 directories"), "{refused}");
        assert!(!homes.join("c").exists() && homes.join("a/file").exists());
        drop(a);
        let _c = enter("c").unwrap();
        assert!(!homes.join("a").exists() && homes.join("b").exists());
        drop(b);
        // Its own is not in its own way.
        drop(enter("b").unwrap());
        let month = SystemTime::now() - UNUSED - Duration::from_mins(1);
        std::fs::File::open(homes.join("b")).unwrap().set_modified(month).unwrap();
        drop(enter("c").unwrap());
        assert!(!homes.join("b").exists(), "unused for a month");
    }
}
