//! `Federation`: the upstreams of this process, joined from the configuration file and the store, and put into the engine.
//!
//! Made by `wiring`. A serving process applies it at the start, on SIGHUP and whenever the store changed; connecting happens
//! behind that, so nothing waits for an upstream. Invariants: an upstream of the file goes before one of that name in the
//! store; what is stored passed `check` and holds no secret; a change is journaled before it is stored.

pub mod admin;
pub mod change;
pub mod check;
pub mod import;
pub mod open;
pub mod secret;
pub mod view;

use crate::config::Settings;
use crate::data_dir::DataDir;
use crate::servers;
use arc_swap::ArcSwap;
use http::HeaderName;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Mutex as Turn;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::{Error, Kind};
use toolgate_engine::Engine;
use toolgate_host::Host;
use toolgate_host::egress::EgressRules;
use toolgate_store::{Store, StoredUpstream};
use toolgate_upstream::{Event, Report, State, Status, Together, Upstream, Upstreams};

/// What the configuration file says.
#[derive(Debug, Clone, Default)]
pub struct Configured {
    pub file: Option<PathBuf>,
    pub upstreams: BTreeMap<String, Upstream>,
    /// Bounds of all together; those of the start stay.
    pub together: Together,
}

impl Configured {
    pub fn of(settings: &Settings) -> Self {
        let bounds = &settings.document.limits.catalogues;
        let bytes = usize::try_from(bounds.max_bytes.0).unwrap_or(usize::MAX);
        Self {
            file: settings.file.clone(),
            upstreams: settings.document.upstreams.clone(),
            together: Together { bytes, items: bounds.max_items },
        }
    }
}

/// The upstreams of this process.
pub struct Federation {
    upstreams: Upstreams,
    engine: Engine,
    store: Arc<Store>,
    data: PathBuf,
    configured: ArcSwap<Configured>,
    // One change at a time: of two, the one that read first must not be the one that writes last. True once it is closed.
    turn: Turn<bool>,
    /// Whether changes are taken over here, or by the processes that serve.
    serves: bool,
    said: Mutex<BTreeSet<String>>,
    forwarded: ArcSwap<Arc<[HeaderName]>>,
}

impl Federation {
    /// None is connected yet.
    pub fn new(
        engine: Engine,
        store: Arc<Store>,
        host: Host,
        egress: EgressRules,
        data: &Path,
        configured: Configured,
        serves: bool,
    ) -> Arc<Self> {
        if serves {
            let left = open::children(data);
            // What a gateway that was killed left behind; nothing waits for it.
            tokio::task::spawn_blocking(move || match toolgate_host::child::sweep(&left) {
                0 => {}
                ended => tracing::warn!(ended, "servers that an earlier gateway left behind were ended"),
            });
        }
        let mounted = engine.clone();
        let sink = Arc::new(move |event| heard(&mounted, event));
        Arc::new(Self {
            upstreams: Upstreams::new(open::opener(host, data, egress), sink, configured.together),
            engine,
            store,
            data: data.to_path_buf(),
            configured: ArcSwap::from_pointee(configured),
            turn: Turn::new(false),
            serves,
            said: Mutex::default(),
            forwarded: ArcSwap::from_pointee(Arc::default()),
        })
    }

    /// What the file says from now on; `apply` takes it over.
    pub fn reconfigure(&self, configured: Configured) {
        self.configured.store(Arc::new(configured));
    }

    /// Have what the file and the store say. Connects in the background.
    pub async fn apply(&self) -> Result<(), Error> {
        let closed = self.turn.lock().await;
        if *closed {
            return Ok(());
        }
        let wanted = self.wanted().await?;
        self.set(wanted);
        Ok(())
    }

    fn set(&self, wanted: BTreeMap<ServerName, Upstream>) {
        let listed = wanted.values().filter(|upstream| upstream.enabled);
        let names = listed.flat_map(|upstream| upstream.forward_headers.iter());
        let names: BTreeSet<String> = names.map(|name| name.to_ascii_lowercase()).collect();
        let names = names.into_iter().filter_map(|name| HeaderName::try_from(name).ok()).collect();
        self.forwarded.store(Arc::new(names));
        self.upstreams.set(wanted);
    }

    /// Names of the headers of a client that some upstream is given.
    pub fn forwarded(&self) -> Arc<[HeaderName]> {
        Arc::clone(&self.forwarded.load())
    }

    /// Take over what was stored, where this process serves. Only with the turn.
    async fn changed(&self) -> Result<(), Error> {
        if self.serves {
            let wanted = self.wanted().await?;
            self.set(wanted);
        }
        Ok(())
    }

    async fn wanted(&self) -> Result<BTreeMap<ServerName, Upstream>, Error> {
        let configured = self.configured.load_full();
        let mut wanted = BTreeMap::new();
        for row in self.store.upstreams().await? {
            if configured.upstreams.contains_key(&row.name) {
                self.say_once(format!("shadowed {}", row.name), || {
                    tracing::warn!(
                        upstream = row.name,
                        "an upstream of this name is in the configuration file and in the store; the file's is used. Remove \
                         one: edit the file, or `toolgate upstreams remove` after renaming the file's"
                    );
                });
                continue;
            }
            match parsed(&row) {
                Ok((name, settings)) => {
                    wanted.insert(name, settings);
                }
                Err(problem) => self.say_once(format!("broken {}", row.name), || {
                    tracing::error!(
                        target: "error",
                        error_type = "upstream",
                        error_message = problem.message(),
                        context = row.name,
                    );
                }),
            }
        }
        for (name, settings) in &configured.upstreams {
            wanted.insert(ServerName::new(name).map_err(Error::invalid)?, settings.clone());
        }
        Ok(wanted)
    }

    fn say_once(&self, what: String, say: impl FnOnce()) {
        if self.said.lock().unwrap_or_else(PoisonError::into_inner).insert(what) {
            say();
        }
    }

    /// The one of this name: its settings, where they are from, and its row when it is stored.
    pub async fn find(&self, name: &str) -> Result<Option<Known>, Error> {
        Ok(self.known().await?.into_iter().find(|known| known.name == name))
    }

    /// Every one, by name.
    pub async fn known(&self) -> Result<Vec<Known>, Error> {
        let configured = self.configured.load_full();
        let stored = self.store.upstreams().await?;
        let mut all: BTreeMap<String, Known> = BTreeMap::new();
        for row in stored {
            // A row that cannot be read is still there to be removed.
            let settings = parsed(&row).map(|(_, settings)| settings);
            let broken = settings.as_ref().err().map(|problem| problem.message().to_owned());
            all.insert(
                row.name.clone(),
                Known {
                    name: row.name.clone(),
                    settings: settings.unwrap_or_default(),
                    broken,
                    row: Some(row),
                },
            );
        }
        for (name, settings) in &configured.upstreams {
            all.insert(
                name.clone(),
                Known { name: name.clone(), settings: settings.clone(), broken: None, row: None },
            );
        }
        Ok(all.into_values().collect())
    }

    /// How they are; those that are not looked after here are not in it.
    pub fn status(&self) -> Vec<Status> {
        self.upstreams.status()
    }

    /// Try settings out, for this alone.
    pub async fn test(&self, name: &ServerName, settings: &Upstream) -> Report {
        self.upstreams.test(name, settings).await
    }

    /// Connect the one of this name and wait until it offers something; for commands that run one call. Does nothing when
    /// there is none of this name.
    pub async fn connect_one(&self, name: &str) -> Result<(), Error> {
        let Some(known) = self.find(name).await? else { return Ok(()) };
        if !known.settings.enabled {
            let why =
                format!("the upstream {name} is disabled; `toolgate upstreams enable {name}` enables it");
            return Err(Error::new(Kind::Unavailable, why));
        }
        let server = ServerName::new(name).map_err(Error::invalid)?;
        let patience = known.settings.start.0 + Duration::from_secs(1);
        let door = Door::of(&server);
        self.upstreams.set([(server, known.settings)].into());
        let settled = async {
            loop {
                match self.upstreams.status().into_iter().next().map(|status| status.state) {
                    // It is ready a moment before what it offers is mounted.
                    Some(State::Ready) if toolgate_engine::mcp::is_door(&self.engine, &door) => return Ok(()),
                    Some(State::Failing { why, .. }) => return Err(Error::new(Kind::Unavailable, why)),
                    _ => tokio::time::sleep(Duration::from_millis(10)).await,
                }
            }
        };
        let late = |_| {
            Error::new(
                Kind::Timeout,
                format!("the upstream {name} was not ready within {} s", patience.as_secs()),
            )
        };
        tokio::time::timeout(patience, settled).await.map_err(late)?
    }

    /// Let go of all, for good.
    pub async fn close(&self) {
        *self.turn.lock().await = true;
        self.upstreams.close().await;
    }
}

/// Names of the upstreams of the file and the store. Creates nothing.
pub async fn names(settings: &Settings) -> anyhow::Result<BTreeSet<String>> {
    let mut names: BTreeSet<String> = settings.document.upstreams.keys().cloned().collect();
    if settings.data.join(toolgate_store::STATE_FILE).exists() {
        let store = crate::wiring::open_store(&DataDir::open(&settings.data)?).await?;
        names.extend(store.upstreams().await?.into_iter().map(|row| row.name));
        store.close().await;
    }
    Ok(names)
}

/// An upstream of the file or the store.
pub struct Known {
    pub name: String,
    pub settings: Upstream,
    /// Why its row cannot be used.
    pub broken: Option<String>,
    /// None for one of the file.
    pub row: Option<StoredUpstream>,
}

impl Known {
    /// `file`, `cli`, `api` or `import`.
    pub fn source(&self) -> &str {
        self.row.as_ref().map_or("file", |row| &row.source)
    }
}

// What a row says, checked again: the rules of a later version may be stricter than those it was stored by.
fn parsed(row: &StoredUpstream) -> Result<(ServerName, Upstream), Error> {
    let name = check::name(&row.name, servers::known().servers).map_err(Error::invalid)?;
    let mut settings: Upstream = serde_json::from_str(&row.settings)
        .map_err(|problem| Error::invalid(format!("its settings cannot be read: {problem}")))?;
    settings.enabled = row.enabled;
    if let Some((path, message)) = check::check(&settings).problems.into_iter().next() {
        return Err(Error::invalid(format!("{path}: {message}")));
    }
    Ok((name, settings))
}

fn heard(engine: &Engine, event: Event) {
    let done = match event {
        Event::Offers(mount) => engine.mount(mount),
        Event::Gone(name) => engine.unmount(&name),
        Event::Back(name) => {
            engine.revive(&name);
            Ok(())
        }
        Event::Changed(name, change) => {
            engine.tell(&name, change);
            Ok(())
        }
    };
    if let Err(problem) = done {
        tracing::error!(
            target: "error", error_type = "upstream", error_message = problem.message(), context = "mounting"
        );
    }
}
