//! Joins the crates: data directory, store, journal, host, servers, policy and keys become one `Gate`.
//!
//! Called by every command that runs tools or changes keys. Order matters: the journal is open before the engine
//! exists, so nothing can run that leaves no record. Absent on purpose: any decision about a call.

use crate::config::{Settings, show};
use crate::control::InEffect;
use crate::data_dir::DataDir;
use crate::exit;
use crate::health;
use crate::insight::EngineInsight;
use crate::key::KeyText;
use crate::meter::Meter;
use crate::servers;
use crate::tally::Recorder;
use crate::tasks::StoredTasks;
use crate::upstreams::{Configured, Federation};
use anyhow::{Context, Result};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use toolgate_core::record::Decision;
use toolgate_core::{Caller, Kind};
use toolgate_engine::journal::Journal;
use toolgate_engine::{ApiKey, Engine, Parts};
use toolgate_host::Host;
use toolgate_store::{KeyHash, NewKey, Shelf, Store, StoreError};

/// Everything of one process, joined.
pub struct Gate {
    pub dir: DataDir,
    pub store: Arc<Store>,
    pub journal: Journal,
    pub host: Host,
    pub engine: Engine,
    pub upstreams: Arc<Federation>,
    recorder: Arc<Recorder>,
    meter: Arc<Meter>,
    shelf: Arc<Shelf>,
    /// The administrator's key when this start made it.
    pub fresh_key: Option<KeyText>,
    reloading: tokio::sync::Semaphore,
    in_effect: Mutex<InEffect>,
}

/// Open everything; on the first start, make the data directory and the administrator's key. `kind` names the journal
/// chain: `serve`, `stdio` or `cli`.
pub async fn open(settings: Settings, kind: &str) -> Result<Gate> {
    crate::config::opens::journal(&settings)?;
    let dir = DataDir::create(&settings.data)?;
    let store = Arc::new(open_store(&dir).await?);
    let fresh_key = ensure_admin(&dir, &store).await?;
    let journal = open_journal(&dir, &settings, kind).await?;
    let host = open_host(&settings)?;
    let insight = Arc::new(EngineInsight::new());
    let shelf = Arc::new(open_shelf(&settings.a2a_db).await?);
    let recorder = Recorder::new(shelf.clone(), store.clone());
    let meter = Arc::new(Meter::default());
    let server_parts =
        servers::Parts { settings: &settings, host: &host, insight: insight.clone(), shelf: &shelf };
    let mounted = servers::mount(&server_parts)?;
    let stopped =
        store.server_states().await?.into_iter().filter(|(_, running)| !running).map(|(name, _)| name);
    let mut parts = Parts::new(
        settings.document.limits.clone(),
        mounted,
        settings.policy.clone(),
        api_keys(&store).await?,
        journal.clone(),
    );
    parts.stopped = stopped.collect();
    parts.virtuals = settings.document.virtual_servers.clone();
    parts.seal_key = dir.state_key()?;
    parts.tasks = Arc::new(StoredTasks(store.clone()));
    parts.observe = {
        let (recorder, meter) = (recorder.clone(), meter.clone());
        Box::new(move |record| {
            recorder.observe(record);
            meter.observe(record);
        })
    };
    recorder.keep_writing();
    meter.keep_logging();
    parts.checks = health::checks(store.clone(), journal.clone(), host.clone(), dir.path().to_path_buf());
    let engine = Engine::new(parts).map_err(public)?;
    insight.put(engine.clone());
    // A command that runs one call and ends leaves the tasks of others alone.
    if kind != "cli" {
        engine.open_tasks().await.map_err(public)?;
    }
    let configured = Configured::of(&settings);
    let serves = kind != "cli";
    let egress = settings.document.egress.clone();
    let upstreams =
        Federation::new(engine.clone(), store.clone(), host.clone(), egress, dir.path(), configured, serves);
    Ok(Gate {
        upstreams,
        dir,
        store,
        journal,
        host,
        engine,
        recorder,
        meter,
        shelf,
        fresh_key,
        reloading: tokio::sync::Semaphore::new(1),
        in_effect: Mutex::new(show::by_path(&settings)),
    })
}

impl Gate {
    /// Take over what the store says: keys, which servers are stopped, and upstreams.
    pub async fn reload(&self) -> Result<()> {
        // One at a time: of two, the one that read first must not be the one that writes last.
        let _turn = self.reloading.acquire().await?;
        self.engine.replace_keys(api_keys(&self.store).await?);
        self.servers_as_stored().await?;
        self.upstreams.apply().await.map_err(public)
    }

    /// The settings that this process runs with.
    pub fn in_effect(&self) -> InEffect {
        self.in_effect.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Take over of a configuration what can be while calls run. Says which changed settings need a restart.
    pub fn take_over(&self, fresh: &Settings) -> Vec<String> {
        self.engine.replace_policy(fresh.policy.clone());
        if let Err(error) = self.engine.replace_virtuals(fresh.document.virtual_servers.clone()) {
            tracing::error!(error = error.message(), "the virtual servers stay as they were");
        }
        crate::logging::set_level(&fresh.document.log.level);
        let fresh = show::by_path(fresh);
        let mut current = self.in_effect.lock().unwrap_or_else(PoisonError::into_inner);
        current.retain(|path, _| !show::taken_over(path));
        let now = fresh.iter().filter(|(path, _)| show::taken_over(path));
        current.extend(now.map(|(path, value)| (path.clone(), value.clone())));
        show::differing(&current, &fresh)
    }

    /// Keep that a server was started or stopped. Afterwards this process does what the store says, also when another
    /// one wrote at the same time.
    pub async fn keep_running(&self, server: &str, running: bool) -> Result<(), toolgate_core::Error> {
        let closed = |_| toolgate_core::Error::internal("the gate is gone");
        let _turn = self.reloading.acquire().await.map_err(closed)?;
        self.store.set_server_running(server, running).await?;
        if let Err(problem) = self.servers_as_stored().await {
            crate::life::failed("starting and stopping servers", &problem);
        }
        Ok(())
    }

    // Only with a turn of `reloading`.
    async fn servers_as_stored(&self) -> Result<()> {
        let stored = self.store.server_states().await?;
        let caller = Caller::new("local", "another process", ["admin"]);
        for server in self.engine.servers(&caller) {
            let running = stored.get(&server.id).copied().unwrap_or(true);
            if server.running != running {
                self.engine.set_running(&caller, &server.id, running).await.map_err(public)?;
            }
        }
        Ok(())
    }

    /// Put everything away: the journal gets its last checkpoint, the database is closed.
    pub async fn close(self) -> Result<()> {
        self.put_away().await
    }

    /// `close` for a gate that is shared. Later calls and events are refused.
    pub async fn put_away(&self) -> Result<()> {
        self.upstreams.close().await;
        self.host.exec().shutdown().await;
        let closed = self.journal.close().await.map_err(public);
        self.meter.flush();
        self.recorder.flush(true).await;
        self.shelf.close().await;
        self.store.close().await;
        closed
    }

    /// Ends when this key no longer identifies anybody: revoked, or expired.
    pub async fn key_gone(&self, key: &KeyText) {
        if let Ok(caller) = self.engine.identify(Some(key.reveal())) {
            self.engine.gone(&caller).await;
        }
    }

    /// Journal an event of the operator or of the process itself.
    pub async fn event(&self, what: &str, about: Option<&str>) -> Result<()> {
        self.engine.event(&local_caller(), what, about, Decision::Allow).await.map_err(public)
    }
}

/// The operator at the command line: whoever owns the data directory may do everything.
pub fn local_caller() -> Caller {
    let name =
        std::env::var("USER").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned());
    Caller::new("local", name, ["admin"])
}

/// Open the store, with words an operator understands.
pub async fn open_store(dir: &DataDir) -> Result<Store> {
    Store::open(dir.path()).await.map_err(|error| store_error(&error, &dir.database()))
}

async fn open_shelf(path: &Path) -> Result<Shelf> {
    Shelf::open(path).await.map_err(|error| store_error(&error, path))
}

fn store_error(error: &StoreError, file: &Path) -> anyhow::Error {
    let message = format!("{}: {}", file.display(), error.message());
    if error.kind() == Kind::Unavailable { exit::unavailable(message) } else { anyhow::anyhow!(message) }
}

/// An error of the gateway as the operator sees it: the public text and, at his own command line, the causes.
pub fn public(error: toolgate_core::Error) -> anyhow::Error {
    let mut text = error.message().to_owned();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    if error.kind() == Kind::Unavailable { exit::unavailable(text) } else { exit::failed(error.kind(), text) }
}

/// Active keys, as the engine wants them.
pub async fn api_keys(store: &Store) -> Result<Vec<ApiKey>> {
    let keys = store.active_keys().await?;
    keys.into_iter()
        .map(|key| {
            let hash = <[u8; 32]>::try_from(key.hash.0.as_slice())
                .ok()
                .with_context(|| format!("key {} has a hash of another length; revoke it", key.id))?;
            Ok(ApiKey {
                id: key.id.into(),
                name: key.name.into(),
                hash,
                roles: key.roles.into_iter().map(Arc::from).collect(),
                expires_at: key.expires_at.map(jiff::Timestamp::as_second),
            })
        })
        .collect()
}

/// Insert a key for a caller with these roles.
pub async fn insert_key(
    store: &Store,
    key: &KeyText,
    name: &str,
    roles: Vec<String>,
    expires_at: Option<jiff::Timestamp>,
) -> Result<toolgate_store::Key, StoreError> {
    store
        .insert_key(NewKey {
            id: key.id().to_owned(),
            name: name.to_owned(),
            hash: KeyHash(key.hash().to_vec()),
            roles,
            expires_at,
            created_by: "local".to_owned(),
        })
        .await
}

// A store without any key gets one. The file comes first: a crash in between is mended by the next start, which finds
// the file and stores its key. Of two first starts at once, one makes the file and both use it.
async fn ensure_admin(dir: &DataDir, store: &Store) -> Result<Option<KeyText>> {
    if !store.list_keys().await?.is_empty() {
        return Ok(None);
    }
    let (key, fresh) = match dir.admin_key()? {
        Some(key) => (key, false),
        None => {
            let made = KeyText::generate()?;
            let ours = dir.keep_admin_key(&made)?;
            if ours { (made, true) } else { (dir.admin_key()?.context("admin.key vanished")?, false) }
        }
    };
    match insert_key(store, &key, "admin", vec!["admin".to_owned()], None).await {
        Ok(_) => {}
        Err(error) if error.kind() == Kind::Conflict => {}
        Err(error) => return Err(store_error(&error, &dir.database())),
    }
    Ok(fresh.then_some(key))
}

// Opening reads the end of the chain and may have to mend it; a chain that another process holds is left to it.
async fn open_journal(dir: &DataDir, settings: &Settings, kind: &str) -> Result<Journal> {
    let (dir, kind) = (dir.journal(), kind.to_owned());
    let options = settings.document.journal.clone();
    let opened = tokio::task::spawn_blocking(move || Journal::open_with(&dir, &kind, options)).await?;
    opened.map_err(|error| public(error).context("the audit journal"))
}

/// The door to the outside world, by the rules of the configuration.
pub fn open_host(settings: &Settings) -> Result<Host> {
    let document = &settings.document;
    let of = |write: bool| {
        settings.roots.iter().filter(move |root| root.write == write).map(|root| root.path.clone())
    };
    let egress = toolgate_host::egress::Http::new(document.egress.clone()).context("egress")?;
    let exec = toolgate_host::exec::Exec::new(
        document.exec.clone(),
        of(false).collect(),
        of(true).collect(),
        settings.denied.clone(),
    )
    .context("exec")?;
    let files =
        toolgate_host::files::Files::new(settings.roots.clone(), settings.denied.clone()).context("files")?;
    Ok(Host::new(egress, exec, files, toolgate_host::system::System::new()))
}

#[cfg(test)]
mod tests;
