//! Bringing servers in: from clients' configurations, registries' entries and bundles, to upstreams of the store.
//!
//! A document becomes a `Plan`, which changes nothing; it is shown, and applied by `apply` when the operator says so. Nothing
//! that is imported runs by itself before that. Secrets become references: literals when they are stored (`secret::keep`),
//! what a document only asks for at once, to a file that the operator fills.

mod bundle;
mod clients;
mod expand;
mod jsonc;
mod registry;

pub use bundle::{read as read_bundle, unpack};
pub use jsonc::parse;

use super::Known;
use super::change::Wanted;
use super::{check, secret};
use crate::servers;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use toolgate_core::Error;
use toolgate_upstream::Upstream;

/// Servers in one document.
const MAX_SERVERS: usize = 200;

/// What a document may refer to.
#[derive(Clone, Copy)]
pub struct Around<'a> {
    pub env: &'a dyn Fn(&str) -> Option<String>,
    pub home: Option<&'a Path>,
    /// The project that the document belongs to.
    pub folder: Option<&'a Path>,
    /// The gateway's data directory.
    pub data: &'a Path,
    /// Whether files that the document names are read (`envFile`).
    pub files: bool,
    /// Values that the operator gives for what documents ask for.
    pub given: &'a BTreeMap<String, String>,
}

/// What an import would do.
#[derive(Debug, Default)]
pub struct Plan {
    pub servers: Vec<Candidate>,
    pub skipped: Vec<Skipped>,
}

/// A server that can be imported.
#[derive(Debug, Default)]
pub struct Candidate {
    /// Its name in the document.
    pub original: String,
    pub name: String,
    pub settings: Upstream,
    pub origin: Value,
    pub notes: Vec<String>,
    /// Secrets that were given, and the files that they go into.
    pub files: Vec<(PathBuf, String)>,
    /// A bundle to unpack, and where.
    pub bundle: Option<(PathBuf, PathBuf)>,
    /// It takes the place of one that is there.
    pub replaces: bool,
}

/// A server that cannot be imported.
#[derive(Debug, PartialEq, Eq)]
pub struct Skipped {
    pub original: String,
    pub reason: String,
}

/// Read a document of any known shape.
pub fn plan(document: &Value, around: &Around<'_>) -> Result<Plan, Error> {
    let plan = if clients::fits(document) {
        clients::plan(document, around)
    } else if registry::fits(document) {
        registry::plan(document, around)
    } else {
        return Err(Error::invalid(
            "the document has neither \"mcpServers\" nor \"servers\", and is no server.json of a registry",
        ));
    };
    if plan.servers.len() + plan.skipped.len() > MAX_SERVERS {
        return Err(Error::invalid(format!("the document has more than {MAX_SERVERS} servers")));
    }
    Ok(plan)
}

impl Plan {
    /// Keep only the servers of these names, their own or the made ones; all when there are none. Errors: a name that fits
    /// nothing.
    pub fn only(mut self, names: &[String]) -> Result<Self, Error> {
        if names.is_empty() {
            return Ok(self);
        }
        let wanted = |original: &str, name: &str| names.iter().any(|only| only == original || only == name);
        let missing: Vec<&str> = names
            .iter()
            .filter(|only| {
                !self.servers.iter().any(|server| **only == server.original || **only == server.name)
                    && !self.skipped.iter().any(|skipped| **only == skipped.original)
            })
            .map(String::as_str)
            .collect();
        if !missing.is_empty() {
            return Err(Error::invalid(format!("the document has no server {}", missing.join(", "))));
        }
        self.servers.retain(|server| wanted(&server.original, &server.name));
        self.skipped.retain(|skipped| wanted(&skipped.original, ""));
        Ok(self)
    }

    /// Give names that are free beside what is there, and set aside what cannot be. What is stored is replaced; what is in
    /// the file or built in is not.
    pub fn settle(mut self, known: &[Known], data: &Path) -> Self {
        let mut taken: BTreeSet<String> =
            servers::known().servers.iter().map(|name| (*name).to_owned()).collect();
        taken.extend(known.iter().filter(|known| known.row.is_none()).map(|known| known.name.clone()));
        for server in std::mem::take(&mut self.servers) {
            let mut server = server;
            let made = server.name.clone();
            let mut n = 2;
            while taken.contains(&server.name) {
                let end = format!("-{n}");
                let kept: String = made.chars().take(40 - end.len()).collect();
                server.name = kept + &end;
                n += 1;
            }
            if server.name != made {
                server.notes.push(format!("the name {made} is taken"));
                move_files(&mut server, &made, data);
            }
            taken.insert(server.name.clone());
            server.replaces = known.iter().any(|known| known.name == server.name);
            let found = check::check(&server.settings);
            match found.problems.first() {
                Some((path, message)) => {
                    let reason = if path.is_empty() { message.clone() } else { format!("{path}: {message}") };
                    self.skipped.push(Skipped { original: server.original, reason });
                }
                None => {
                    for (path, message) in found.warnings {
                        let secret = path.starts_with("env.") || path.starts_with("headers.");
                        let text = if secret {
                            "a secret that is written out; it is put into a file".to_owned()
                        } else {
                            message
                        };
                        server.notes.push(format!("{path}: {text}"));
                    }
                    self.servers.push(server);
                }
            }
        }
        self
    }
}

// Files that wait for secrets are named after the upstream.
fn move_files(server: &mut Candidate, made: &str, data: &Path) {
    let (old, new) = (secret::directory(data, made), secret::directory(data, &server.name));
    let (from, to) = (format!("${{file:{}/", old.display()), format!("${{file:{}/", new.display()));
    secret::values_mut(&mut server.settings, &mut |_, _, value| *value = value.replace(&from, &to));
    for (file, _) in &mut server.files {
        if let Ok(rest) = file.strip_prefix(&old) {
            *file = new.join(rest);
        }
    }
    let (from, to) = (old.display().to_string(), new.display().to_string());
    server.notes.iter_mut().for_each(|note| *note = note.replace(&from, &to));
}

impl Candidate {
    /// As it is stored.
    pub fn wanted(self) -> Wanted {
        let origin = (!self.origin.is_null()).then_some(self.origin);
        Wanted { name: self.name, settings: self.settings, origin }
    }
}

/// A server name made of any: `My Server` is `my-server`.
pub fn made_name(original: &str) -> String {
    let mut name = String::new();
    for c in original.chars() {
        let c = c.to_ascii_lowercase();
        let fits = c.is_ascii_lowercase() || c.is_ascii_digit();
        let c = if fits {
            c
        } else if c == '_' {
            '_'
        } else {
            '-'
        };
        if fits || !name.ends_with(['-', '_']) {
            name.push(c);
        }
    }
    let mut name = name.trim_matches(['-', '_']).to_owned();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name = format!("s-{name}");
    }
    name.truncate(40);
    let name = name.trim_end_matches(['-', '_']).to_owned();
    // Reserved ones are words of addresses.
    if toolgate_core::name::ServerName::new(&name).is_err() { format!("{name}-server") } else { name }
}

/// The file that waits for a secret of an upstream.
pub fn waiting(data: &Path, name: &str, key: &str) -> PathBuf {
    let key: String =
        key.chars().map(|c| if c.is_ascii_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect();
    secret::directory(data, name).join(key)
}

#[cfg(test)]
mod tests;
