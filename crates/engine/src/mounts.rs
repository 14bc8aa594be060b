//! Which servers there are, and how that changes while calls run: a call keeps the snapshot that it began with.
//!
//! Built-in servers are there from the start and stay. Upstreams are mounted, replaced and taken away by the binary, which
//! gets them from `upstream`.

use crate::catalogue::{Catalogue, Pool, VirtualServer};
use crate::changes::Changes;
use crate::settings::Settings;
use crate::snapshot::Snapshot;
use crate::{Engine, Entry, Inner};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};
use toolgate_core::link::Change;
use toolgate_core::name::ServerName;
use toolgate_core::{Error, Face, Kind, Mount};

/// The servers, in their order: built-in ones as the binary lists them, then upstreams by name.
pub(crate) struct Mounts {
    servers: Vec<Mount>,
    pool: Pool,
    virtuals: BTreeMap<String, VirtualServer>,
}

impl Mounts {
    pub fn new(
        servers: Vec<Mount>,
        virtuals: BTreeMap<String, VirtualServer>,
        settings: &Settings,
        changes: &Changes,
    ) -> Result<(Self, Catalogue), Error> {
        let mut pool = Pool::default();
        let catalogue = Catalogue::new(&servers, settings, changes, &mut pool, &virtuals)?;
        Ok((Self { servers, pool, virtuals }, catalogue))
    }
}

impl Engine {
    /// Mount an upstream, or replace what it offered before. Calls that run go on with what they began with. Clients
    /// hear of lists that are others now. `Conflict` when a built-in server has the name.
    pub fn mount(&self, mount: Mount) -> Result<(), Error> {
        let name = mount.name.clone();
        self.0.remount(&name, Some(mount))
    }

    /// An upstream is well again after a failure: what rested because of it is tried at once.
    pub fn revive(&self, name: &ServerName) {
        self.0.changing.lock().unwrap_or_else(PoisonError::into_inner).pool.revive(name);
    }

    /// Take an upstream away. Nothing happens when there is none of this name.
    pub fn unmount(&self, name: &ServerName) -> Result<(), Error> {
        self.0.remount(name, None)
    }

    /// Swap the virtual servers; the next request sees the new ones. Their clients hear that lists are others.
    pub fn replace_virtuals(&self, virtuals: BTreeMap<String, VirtualServer>) -> Result<(), Error> {
        let inner = &*self.0;
        let mut mounts = inner.changing.lock().unwrap_or_else(PoisonError::into_inner);
        if mounts.virtuals == virtuals {
            return Ok(());
        }
        let Mounts { servers, pool, .. } = &mut *mounts;
        let catalogue = Catalogue::new(servers, &inner.settings, &inner.changes, pool, &virtuals)?;
        mounts.virtuals = virtuals;
        inner.swap(catalogue);
        let names: Vec<ServerName> = mounts.servers.iter().map(|server| server.name.clone()).collect();
        drop(mounts);
        for name in names {
            for change in [Change::Tools, Change::Prompts, Change::Resources] {
                inner.changes.tell(&name, change, Vec::new());
            }
        }
        Ok(())
    }

    /// Say that something of a mounted server changed.
    pub fn tell(&self, server: &ServerName, change: Change) {
        self.0.changes.tell(server, change, Vec::new());
    }
}

impl Inner {
    // Only while `changing` is held. The snapshot before, and the catalogue that is in force now.
    fn swap(&self, catalogue: Catalogue) -> (Arc<Snapshot>, Arc<Catalogue>) {
        let (old, catalogue) = (self.snapshot.load_full(), Arc::new(catalogue));
        let (policy, keys, stopped) = (old.policy.clone(), old.keys.clone(), old.stopped.clone());
        let new = Snapshot::new(catalogue.clone(), policy, keys, stopped);
        self.snapshot.store(Arc::new(new.after(&old)));
        (old, catalogue)
    }

    fn remount(&self, name: &ServerName, mount: Option<Mount>) -> Result<(), Error> {
        let mut mounts = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let at = mounts.servers.iter().position(|server| server.name == *name);
        if at.is_some_and(|at| mounts.servers[at].foreign.is_none()) {
            return Err(Error::new(
                Kind::Conflict,
                format!("there is a built-in server named {name}; give the upstream another name"),
            ));
        }
        let mut servers = mounts.servers.clone();
        match (at, mount) {
            (Some(at), Some(mount)) => servers[at] = mount,
            (Some(at), None) => {
                servers.remove(at);
            }
            (None, Some(mount)) => {
                let before = |server: &Mount| server.foreign.is_none() || server.name < mount.name;
                servers.insert(servers.iter().take_while(|server| before(server)).count(), mount);
            }
            (None, None) => return Ok(()),
        }
        mounts.pool.tidy(name);
        let Mounts { pool, virtuals, .. } = &mut *mounts;
        let catalogue = Catalogue::new(&servers, &self.settings, &self.changes, pool, virtuals)?;
        let gone = !servers.iter().any(|server| server.name == *name);
        mounts.servers = servers;
        let (old, new) = self.swap(catalogue);
        let changed = changed(&old.catalogue, &new);
        if gone {
            mounts.pool.forget(name);
        }
        drop(mounts);
        let saw = old.seers(name.as_str());
        for change in changed {
            self.changes.tell(name, change, saw.clone());
        }
        Ok(())
    }
}

// Lists that are others now. A mount may change the names of other servers' things, so all are compared.
fn changed(old: &Catalogue, new: &Catalogue) -> Vec<Change> {
    let same = |face: Face| {
        let of = |catalogue: &Catalogue| -> Vec<Arc<Entry>> {
            catalogue.entries.iter().filter(|entry| entry.face == face).cloned().collect()
        };
        let (old, new) = (of(old), of(new));
        old.len() == new.len() && old.iter().zip(&new).all(|(a, b)| a.lists_like(b))
    };
    [(Face::Tool, Change::Tools), (Face::Prompt, Change::Prompts), (Face::Resource, Change::Resources)]
        .into_iter()
        .filter(|(face, _)| !same(*face))
        .map(|(_, change)| change)
        .collect()
}
