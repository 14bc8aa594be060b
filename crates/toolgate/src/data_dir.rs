//! The data directory: where everything of one installation lives, readable by its owner only.
//!
//! ```text
//! DATA/            0700
//!   admin.key      0600  the first administrator's key
//!   state.key      0600  what seals the state that clients carry
//!   toolgate.db          the store
//!   a2a-unified.db       the agent-to-agent server's database
//!   journal/             the audit journal, one chain for each node
//!   run/                 what running processes leave: <pid>.sock, <pid>.json
//!   workspace/           writable file root when started from a home or system directory
//! ```

use crate::exit;
use crate::key::KeyText;
use anyhow::{Context, Result};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use rustix::fs::Mode;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An existing data directory.
#[derive(Debug, Clone)]
pub struct DataDir(PathBuf);

impl DataDir {
    /// Open, creating what is missing. Refuses a directory of somebody else (unless this is root), or one that is open
    /// to others.
    pub fn create(path: &Path) -> Result<Self> {
        let dir = Self(path.to_path_buf());
        for part in [dir.0.clone(), dir.journal(), dir.run(), dir.workspace()] {
            make_private(&part)?;
        }
        dir.check()?;
        Ok(dir)
    }

    /// Open an existing one, without creating anything.
    pub fn open(path: &Path) -> Result<Self> {
        if !path.is_dir() {
            return Err(exit::unavailable(format!(
                "there is no data directory at {}; start `toolgate serve` once, or name another with --data",
                path.display()
            )));
        }
        let dir = Self(path.to_path_buf());
        dir.check()?;
        Ok(dir)
    }

    fn check(&self) -> Result<()> {
        let shown = self.0.display();
        let meta = fs::metadata(&self.0).with_context(|| format!("{shown} cannot be read"))?;
        let me = rustix::process::geteuid().as_raw();
        anyhow::ensure!(
            may_use(meta.uid(), me),
            "{shown} belongs to user {}, and this is user {me}; run as its owner or name another with --data",
            meta.uid()
        );
        anyhow::ensure!(
            meta.mode() & 0o077 == 0,
            "{shown} is open to other users (mode {:o}); close it: chmod 700 {shown}",
            meta.mode() & 0o777
        );
        Ok(())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
    pub fn database(&self) -> PathBuf {
        self.0.join(toolgate_store::STATE_FILE)
    }
    pub fn journal(&self) -> PathBuf {
        self.0.join("journal")
    }
    pub fn run(&self) -> PathBuf {
        self.0.join("run")
    }
    pub fn workspace(&self) -> PathBuf {
        self.0.join("workspace")
    }
    pub fn admin_key_file(&self) -> PathBuf {
        self.0.join("admin.key")
    }

    /// The administrator's key, if there is one.
    pub fn admin_key(&self) -> Result<Option<KeyText>> {
        KeyText::read(&self.admin_key_file())
    }

    /// Keep the key of a client in a file of its own, which only `toolgate stdio` reads.
    pub fn keep_client_key(&self, key: &KeyText) -> Result<PathBuf> {
        let file = self.0.join(format!("client-{}.key", key.id()));
        self.keep(&file, format!("{}\n", key.reveal()).as_bytes())?;
        Ok(file)
    }

    /// Keep the administrator's key; never over an existing one (then false). The file appears with its whole text.
    pub fn keep_admin_key(&self, key: &KeyText) -> Result<bool> {
        self.keep(&self.admin_key_file(), format!("{}\n", key.reveal()).as_bytes())
    }

    pub fn state_key_file(&self) -> PathBuf {
        self.0.join("state.key")
    }

    /// The key that seals what clients carry from one request to the next; made when there is none.
    pub fn state_key(&self) -> Result<[u8; 32]> {
        let file = self.state_key_file();
        if !file.exists() {
            let mut fresh = [0; 32];
            SystemRandom::new().fill(&mut fresh).ok().context("the system gives no random numbers")?;
            // Of two first starts at once, one makes the file and both use it.
            self.keep(&file, &fresh)?;
        }
        let found = fs::read(&file).with_context(|| file.display().to_string())?;
        <[u8; 32]>::try_from(found).ok().with_context(|| {
            format!(
                "{0} does not hold 32 bytes; put the right one back, or delete it to make another",
                file.display()
            )
        })
    }

    // Write a new file; false when there is one already.
    fn keep(&self, file: &Path, bytes: &[u8]) -> Result<bool> {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        let temporary = self.0.join(format!(".{name}.{}", std::process::id()));
        let written = (|| {
            let mut open =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
            open.write_all(bytes)?;
            open.sync_all()?;
            fs::hard_link(&temporary, file)
        })();
        let _ = fs::remove_file(&temporary);
        match written {
            Ok(()) => Ok(true),
            Err(problem) if problem.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
            Err(problem) => Err(problem).with_context(|| file.display().to_string()),
        }
    }
}

// Root may: it can read and write it anyway, and a container's root often owns nothing that is mounted.
fn may_use(owner: u32, me: u32) -> bool {
    owner == me || me == 0
}

fn make_private(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
        format!("{} cannot be created; name a directory you may write to with --data", path.display())
    })?;
    // The process's umask may have taken bits away; the mode is exact.
    fs::set_permissions(path, fs::Permissions::from_mode(Mode::RWXU.bits()))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_of_another_user_is_for_its_owner_and_root() {
        assert!(may_use(1000, 1000) && may_use(1000, 0));
        assert!(!may_use(1000, 1001) && !may_use(0, 1000));
    }

    #[test]
    fn private_and_refused_when_open_to_others() {
        let base = tempfile::tempdir().unwrap();
        let path = base.path().join("a/b");
        assert!(DataDir::open(&path).unwrap_err().to_string().contains("start `toolgate serve` once"));
        let dir = DataDir::create(&path).unwrap();
        for part in [dir.path().to_path_buf(), dir.run(), dir.journal()] {
            assert_eq!(fs::metadata(part).unwrap().mode() & 0o777, 0o700);
        }
        let key = KeyText::generate().unwrap();
        assert!(dir.admin_key().unwrap().is_none());
        assert!(dir.keep_admin_key(&key).unwrap());
        assert_eq!(dir.admin_key().unwrap(), Some(key.clone()));
        assert!(!dir.keep_admin_key(&KeyText::generate().unwrap()).unwrap(), "never over an existing key");
        assert_eq!(dir.admin_key().unwrap(), Some(key));
        assert_eq!(fs::metadata(dir.admin_key_file()).unwrap().mode() & 0o777, 0o600);
        let sealing = dir.state_key().unwrap();
        assert_eq!(dir.state_key().unwrap(), sealing, "made once");
        assert_eq!(fs::metadata(dir.state_key_file()).unwrap().mode() & 0o777, 0o600);
        fs::write(dir.state_key_file(), b"short").unwrap();
        assert!(dir.state_key().unwrap_err().to_string().contains("32 bytes"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(DataDir::open(&path).unwrap_err().to_string().contains("chmod 700"));
    }
}
