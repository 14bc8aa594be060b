//! What a configuration names outside of itself: is it there, and can it be used?
//!
//! Asked by `serve`, `config check` and `doctor` before anything is made or bound; `wiring` asks for what every command
//! needs. Looks only: creates nothing, and says nothing of what may change until it is needed.

use super::{ConfigError, Problem, Settings, semantic};
use rustix::fs::{Access, access};
use std::path::Path;

/// Everything that `serve` will open.
pub fn check(settings: &Settings) -> Result<(), ConfigError> {
    let mut problems = Vec::new();
    for problem in settings.document.http.files() {
        semantic::placed(problem, &mut |path, message| problems.push(placed(settings, path, message)));
    }
    if let Err(error) = journal(settings) {
        problems.extend(error.problems);
    }
    if problems.is_empty() { Ok(()) } else { Err(ConfigError { problems }) }
}

/// What every command that opens the journal will open.
pub fn journal(settings: &Settings) -> Result<(), ConfigError> {
    match settings.document.journal.anchor.as_deref().map(anchor) {
        Some(Err(why)) => Err(ConfigError { problems: vec![placed(settings, "journal.anchor", why)] }),
        _ => Ok(()),
    }
}

// It is appended to, and made when it is not there; its directory is not.
fn anchor(file: &Path) -> Result<(), String> {
    let shown = file.display();
    if file.is_dir() {
        return Err(format!("{shown}: is a directory; name a file in it"));
    }
    if file.exists() {
        return access(file, Access::WRITE_OK)
            .map_err(|problem| format!("{shown}: cannot be written: {problem}"));
    }
    match file.parent().filter(|parent| parent.is_dir()) {
        None => Err(format!("{shown}: its directory is not there; create it")),
        Some(parent) => access(parent, Access::WRITE_OK)
            .map_err(|problem| format!("{shown}: cannot be created in its directory: {problem}")),
    }
}

fn placed(settings: &Settings, path: &str, message: String) -> Problem {
    let file = settings.file.as_ref().map_or("defaults".to_owned(), |file| file.display().to_string());
    Problem { origin: settings.origins.get(path).cloned().unwrap_or(file), path: path.to_owned(), message }
}
