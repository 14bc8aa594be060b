//! Puts Toolgate into the configuration file of an MCP client, and takes it out again.
//!
//! Called by `toolgate connect`. Everything else in the file stays byte for byte; the file is replaced at once and keeps
//! its mode; the file as it was is kept beside it, named `<file>.before-<name of the entry>`.

pub mod edit;
pub mod entry;
#[cfg(test)]
mod tests;

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Largest client file that is edited, in bytes.
const MAX_FILE: u64 = 64 << 20;

/// What an installation or its undoing does, or did.
#[derive(Debug)]
pub struct Change {
    /// The file itself, symbolic links followed.
    pub file: PathBuf,
    pub removed: String,
    pub added: String,
    /// The file as it was before the entry of this name came.
    backup: PathBuf,
    /// The new text; `None` removes the file.
    text: Option<String>,
    old: Option<String>,
}

impl Change {
    pub fn is_empty(&self) -> bool {
        self.text == self.old
    }

    /// Lines of our entry, with `-` and `+`. Never a line of anything else in the file, which may hold secrets.
    pub fn preview(&self) -> String {
        let mut shown = format!("{}\n", self.file.display());
        for (sign, text) in [('-', &self.removed), ('+', &self.added)] {
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                shown.push_str(&format!("{sign} {line}\n"));
            }
        }
        shown
    }
}

/// What it takes to have `entry` in `file`.
pub fn install(file: &Path, section: &str, name: &str, entry: &Value) -> Result<Change> {
    let (file, backup) = places(file, name)?;
    let old = read(&file)?;
    let shown = file.display();
    let edit = edit::set(old.as_deref().unwrap_or(""), section, name, entry)
        .with_context(|| format!("{shown} was left as it is; add the entry by hand"))?;
    let text = if old.as_deref().is_some_and(|old| has(old, section, name, entry)) {
        old.clone()
    } else {
        Some(edit.text)
    };
    Ok(Change { removed: edit.removed, added: edit.added, backup, text, old, file })
}

/// What it takes to have the file as it was: the backup when nothing else changed since, otherwise without our entry.
pub fn undo(file: &Path, section: &str, name: &str) -> Result<Change> {
    let (file, backup) = places(file, name)?;
    let shown = file.display().to_string();
    let Some(old) = read(&file)? else { bail!("there is no {shown}") };
    let before = fs::read_to_string(&backup).ok();
    let Some(edit) =
        edit::remove(&old, section, name).with_context(|| format!("{shown} was left as it is"))?
    else {
        bail!("{shown} has no entry {name:?}");
    };
    let ours = &edit::parse(&old)?[section][name];
    let mut text = Some(edit.text.clone());
    let mut added = String::new();
    match &before {
        Some(before) if edit::set(before, section, name, ours).is_ok_and(|again| again.text == old) => {
            text = Some(before.clone());
        }
        // The entry replaced an older one of the same name: that one comes back.
        Some(before) => {
            if let Some(previous) =
                edit::parse(before).ok().and_then(|all| all.get(section)?.get(name).cloned())
            {
                let again = edit::set(&old, section, name, &previous)?;
                added = again.added;
                text = Some(again.text);
            }
        }
        None if edit::parse(&edit.text)?.is_empty() => text = None,
        None => {}
    }
    Ok(Change { file, removed: edit.removed, added, backup, text, old: Some(old) })
}

/// Write it. Returns the backup that was made.
pub fn apply(change: &Change, installing: bool) -> Result<Option<PathBuf>> {
    let file = &change.file;
    if read(file)? != change.old {
        bail!("{} changed in the meantime; nothing was done, try again", file.display());
    }
    let backup = &change.backup;
    let mut made = None;
    if let (true, Some(old)) = (installing, &change.old) {
        // A second installation keeps the backup of the first: it is the file without Toolgate.
        let again = !change.removed.is_empty() && backup.exists();
        if !again {
            replace(backup, old, mode_of(file))?;
            made = Some(backup.clone());
        }
    }
    match &change.text {
        Some(text) => {
            if let Some(parent) = file.parent() {
                fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
            }
            replace(file, text, mode_of(file))?;
        }
        None => fs::remove_file(file).with_context(|| file.display().to_string())?,
    }
    if !installing {
        let _ = fs::remove_file(backup);
    }
    Ok(made)
}

fn has(text: &str, section: &str, name: &str, entry: &Value) -> bool {
    edit::parse(text).ok().and_then(|all| all.get(section)?.get(name).cloned()).as_ref() == Some(entry)
}

// The file itself and its backup. The name is part of the backup's name, so it is kept simple.
fn places(file: &Path, name: &str) -> Result<(PathBuf, PathBuf)> {
    let simple = (1..=64).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    anyhow::ensure!(simple, "{name:?} is not a name for an entry: 1 to 64 of A-Z a-z 0-9 - _");
    let file = followed(file)?;
    let mut backup = file.as_os_str().to_owned();
    backup.push(format!(".before-{name}"));
    Ok((file, backup.into()))
}

// A link to a file kept elsewhere stays a link.
fn followed(file: &Path) -> Result<PathBuf> {
    match fs::canonicalize(file) {
        Ok(path) => Ok(path),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => {
            anyhow::ensure!(!file.is_symlink(), "{} is a link to nothing", file.display());
            Ok(std::path::absolute(file)?)
        }
        Err(problem) => Err(problem).with_context(|| file.display().to_string()),
    }
}

fn read(file: &Path) -> Result<Option<String>> {
    match fs::metadata(file) {
        Ok(meta) if meta.len() > MAX_FILE => bail!("{} is too large to be edited", file.display()),
        Ok(_) => fs::read_to_string(file).map(Some).with_context(|| file.display().to_string()),
        Err(problem) if problem.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(problem) => Err(problem).with_context(|| file.display().to_string()),
    }
}

fn mode_of(file: &Path) -> u32 {
    fs::metadata(file).map_or(0o600, |meta| meta.permissions().mode() & 0o777)
}

// The whole file at once, or not at all.
fn replace(file: &Path, text: &str, mode: u32) -> Result<()> {
    let mut temporary = file.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let written = (|| {
        let mut open = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
        open.write_all(text.as_bytes())?;
        open.set_permissions(fs::Permissions::from_mode(mode))?;
        open.sync_all()?;
        fs::rename(&temporary, file)
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written.with_context(|| format!("{} cannot be written", file.display()))
}
