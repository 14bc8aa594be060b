//! Changes to the upstreams of the store: checked, freed of secrets, journaled, stored, taken over. One way for the command
//! line, the admin API and imports.

use super::{Federation, Known, check, secret, view};
use crate::servers;
use serde_json::Value;
use std::path::Path;
use toolgate_core::record::Decision;
use toolgate_core::{Caller, Error, Kind};
use toolgate_store::{NewUpstream, Undone};
use toolgate_upstream::Upstream;

/// Who asks for a change: the command line may refer to any file, the API only to the gateway's own secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    Cli,
    Api,
    Import,
}

impl Source {
    pub fn label(self) -> &'static str {
        match self {
            Source::Cli => "cli",
            Source::Api => "api",
            Source::Import => "import",
        }
    }
}

/// An upstream as it is wanted.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    pub settings: Upstream,
    /// Where an imported one comes from.
    pub origin: Option<Value>,
}

/// What came of a change.
#[derive(Debug, PartialEq, Eq)]
pub struct Changed {
    /// False when it took the place of another.
    pub added: bool,
    /// Fields whose secrets went into files.
    pub kept: Vec<String>,
    /// Path and sentence.
    pub warnings: Vec<(String, String)>,
}

impl Federation {
    /// Add one, or put it in the place of the one of this name. Errors: `Invalid` settings, `Conflict` with a built-in
    /// server or the configuration file.
    pub async fn put(&self, caller: &Caller, source: Source, wanted: Wanted) -> Result<Changed, Error> {
        let turn = self.turn.lock().await;
        let before = self.editable(&wanted.name).await?;
        if source == Source::Api {
            self.own_files_only(&wanted.settings, before.as_ref())?;
        }
        let added = before.is_none();
        let (row, kept, warnings) = self.ready(source, wanted).await?;
        let what = if added { "upstream_added" } else { "upstream_changed" };
        self.journal(caller, what, &row.name, source).await?;
        self.store.put_upstream(&row).await?;
        self.sweep(&row.name).await;
        self.changed().await?;
        drop(turn);
        Ok(Changed { added, kept, warnings })
    }

    /// Enable or disable one.
    pub async fn enable(
        &self,
        caller: &Caller,
        source: Source,
        name: &str,
        enabled: bool,
    ) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let row = self.editable(name).await?.and_then(|known| known.row).ok_or_else(|| nothing(name))?;
        self.journal(caller, "upstream_changed", name, source).await?;
        let row = NewUpstream {
            name: row.name,
            settings: row.settings,
            source: row.source,
            origin: row.origin,
            enabled,
        };
        self.store.put_upstream(&row).await?;
        self.changed().await
    }

    /// Remove one, with its secrets. `NotFound` when there is none.
    pub async fn remove(&self, caller: &Caller, source: Source, name: &str) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        self.editable(name).await?.ok_or_else(|| nothing(name))?;
        self.journal(caller, "upstream_removed", name, source).await?;
        self.store.delete_upstream(name).await?;
        self.sweep(name).await;
        self.changed().await
    }

    /// Add all of these or none, in the place of those of their names; `undo` takes it back.
    pub async fn import(
        &self,
        caller: &Caller,
        source: Source,
        all: Vec<Wanted>,
    ) -> Result<Vec<Changed>, Error> {
        let _turn = self.turn.lock().await;
        let (mut rows, mut done) = (Vec::new(), Vec::new());
        for wanted in all {
            let before = self.editable(&wanted.name).await?;
            if source == Source::Api {
                self.own_files_only(&wanted.settings, before.as_ref())?;
            }
            let (row, kept, warnings) = self.ready(Source::Import, wanted).await?;
            done.push(Changed { added: before.is_none(), kept, warnings });
            rows.push(row);
        }
        for (row, changed) in rows.iter().zip(&done) {
            let what = if changed.added { "upstream_added" } else { "upstream_changed" };
            self.journal(caller, what, &row.name, Source::Import).await?;
        }
        self.store.import_upstreams(&rows).await?;
        for row in &rows {
            self.sweep(&row.name).await;
        }
        self.changed().await?;
        Ok(done)
    }

    /// Take the last import back; what became of each upstream of it.
    pub async fn undo(&self, caller: &Caller) -> Result<Vec<(String, Undone)>, Error> {
        let _turn = self.turn.lock().await;
        self.journal(caller, "upstream_import_undone", "the last import", Source::Import).await?;
        let done = self.store.undo_upstream_import().await?;
        for (name, _) in &done {
            self.sweep(name).await;
        }
        self.changed().await?;
        Ok(done)
    }

    // The one of this name, unless it is the file's or a built-in server's.
    async fn editable(&self, name: &str) -> Result<Option<Known>, Error> {
        let found = self.find(name).await?;
        if found.as_ref().is_some_and(|known| known.row.is_none()) {
            let configured = self.configured.load_full();
            let file = configured
                .file
                .as_deref()
                .map_or("the configuration file".to_owned(), |path| path.display().to_string());
            let why = format!(
                "the upstream {name} is configured in {file}: edit it there, then send the gateway SIGHUP"
            );
            return Err(Error::new(Kind::Conflict, why));
        }
        Ok(found)
    }

    // A row of checked settings, whose secrets are in files.
    async fn ready(
        &self,
        source: Source,
        wanted: Wanted,
    ) -> Result<(NewUpstream, Vec<String>, Vec<(String, String)>), Error> {
        let Wanted { name, mut settings, origin } = wanted;
        check::name(&name, servers::known().servers).map_err(Error::invalid)?;
        let found = check::check(&settings);
        if !found.problems.is_empty() {
            let all: Vec<String> = found
                .problems
                .iter()
                .map(
                    |(path, message)| {
                        if path.is_empty() { message.clone() } else { format!("{path}: {message}") }
                    },
                )
                .collect();
            return Err(Error::invalid(all.join("; ")));
        }
        let (data, of) = (self.data.clone(), name.clone());
        let keeping = tokio::task::spawn_blocking(move || {
            let kept = secret::keep(&data, &of, &mut settings);
            kept.map(|kept| (kept, settings))
        });
        let (kept, settings) = keeping
            .await
            .map_err(Error::internal)?
            .map_err(|problem| Error::invalid(format!("{problem:#}")))?;
        let mut lean = view::lean(&settings);
        lean.remove("enabled");
        let row = NewUpstream {
            name,
            settings: Value::Object(lean).to_string(),
            source: source.label().to_owned(),
            origin: origin.map(|origin| origin.to_string()),
            enabled: settings.enabled,
        };
        // What became a reference is none of them any more.
        Ok((row, kept, check::check(&settings).warnings))
    }

    async fn journal(&self, caller: &Caller, what: &str, name: &str, source: Source) -> Result<(), Error> {
        let about = format!("{name} {}", source.label());
        self.engine.event(caller, what, Some(&about), Decision::Allow).await
    }

    // Remove secrets that nothing refers to any more.
    async fn sweep(&self, name: &str) {
        let (Ok(now), Ok(before)) = (self.store.upstream(name).await, self.store.imported_over().await)
        else {
            return;
        };
        let texts: Vec<String> = now
            .into_iter()
            .chain(before.into_iter().filter(|row| row.name == name))
            .map(|row| row.settings)
            .collect();
        let (data, name) = (self.data.clone(), name.to_owned());
        let _ = tokio::task::spawn_blocking(move || secret::sweep(&data, &name, &texts)).await;
    }

    // Who administers over the network must not read the machine's files by way of a header.
    fn own_files_only(&self, settings: &Upstream, before: Option<&Known>) -> Result<(), Error> {
        let own = self.data.join("secrets");
        let mut settings = settings.clone();
        let mut refused = None;
        secret::values_mut(&mut settings, &mut |section, key, value| {
            let known = before.is_some_and(|known| {
                let of = if section == "env" { &known.settings.env } else { &known.settings.headers };
                of.get(key) == Some(value)
            });
            for piece in secret::pieces(value).unwrap_or_default() {
                if let secret::Piece::Reference(text) = piece
                    && let Some(path) = text.strip_prefix("file:")
                    && !known
                    && !within(&own, Path::new(path))
                {
                    refused = Some(format!(
                        "{section}.{key}: over the API a file may be referred to only in {}; use `toolgate upstreams add` on \
                         the machine, or write the secret itself here: it is put into a file",
                        own.display()
                    ));
                }
            }
        });
        refused.map_or(Ok(()), |why| Err(Error::invalid(why)))
    }
}

fn within(directory: &Path, path: &Path) -> bool {
    path.starts_with(directory) && !path.components().any(|part| part == std::path::Component::ParentDir)
}

/// There is no upstream of this name.
pub fn nothing(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::new(
        Kind::NotFound,
        format!("there is no upstream {shown:?}; `toolgate upstreams list` names those there are"),
    )
}
