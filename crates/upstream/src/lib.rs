//! Upstream MCP servers: connected, spoken to in their own era, watched, and offered to the engine as mounted servers.
//!
//! The binary makes it from the configuration and the store, and hands what it offers to the engine; a call comes back
//! through the same `AnyTool` that a built-in tool has, so that nothing here decides who may do what. Knows neither the
//! engine nor the edge: which era the client speaks is hidden behind `Link`.

mod catalogue;
mod conversation;
pub mod forward;
mod relay;
mod room;
pub mod secrets;
pub mod settings;
mod silence;
pub mod status;
mod supervise;
#[cfg(test)]
mod tests;
pub mod transport;
mod trial;
mod watch;

pub use room::Together;
pub use settings::Upstream;
pub use status::{Cause, Report, State, Status, Step};

use conversation::{Lot, Place};
use room::Room;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use supervise::Hub;
use tokio::task::JoinHandle;
use toolgate_core::link::Change;
use toolgate_core::name::ServerName;
use toolgate_core::server::Mount;
use transport::Open;

/// Something that the engine must know.
#[expect(clippy::large_enum_variant, reason = "made once in a while and handed on at once")]
pub enum Event {
    /// An upstream offers this from now on, in place of what it offered before.
    Offers(Mount),
    /// An upstream that had failed is connected again.
    Back(ServerName),
    /// An upstream was removed.
    Gone(ServerName),
    /// A list, or a resource by the upstream's own URI, is another; told after the offer that it belongs to.
    Changed(ServerName, Change),
}

/// Takes events, in their order. Quick: it runs where upstreams are looked after.
pub type Sink = Arc<dyn Fn(Event) + Send + Sync>;

/// All upstreams.
pub struct Upstreams {
    open: Open,
    sink: Sink,
    lot: Arc<Lot>,
    room: Arc<Room>,
    members: Mutex<BTreeMap<ServerName, Member>>,
}

struct Member {
    settings: Upstream,
    /// None of one that is not enabled.
    supervised: Option<Supervised>,
}

/// An upstream that is looked after, until this is dropped. Calls that run go on.
pub(crate) struct Supervised {
    hub: Arc<Hub>,
    task: JoinHandle<()>,
}

impl Drop for Supervised {
    fn drop(&mut self) {
        self.task.abort();
        self.hub.close();
    }
}

impl Upstreams {
    /// None yet. `open` makes transports; `sink` hears what there is; `together` bounds what all of them list.
    pub fn new(open: Open, sink: Sink, together: Together) -> Self {
        let room = Arc::new(Room::new(together));
        Self { open, sink, lot: Arc::default(), room, members: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ServerName, Member>> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Have exactly these. What did not change is not touched; what is new or another connects in the background, and one
    /// that is another stays as it was until it is known how the new one does. Needs a runtime.
    pub fn set(&self, wanted: BTreeMap<ServerName, Upstream>) {
        let mut members = self.lock();
        let mut gone: Vec<ServerName> =
            members.keys().filter(|name| !wanted.contains_key(name)).cloned().collect();
        for name in &gone {
            members.remove(name);
        }
        for (name, settings) in wanted {
            let before = match members.remove(&name) {
                Some(member) if member.settings == settings => {
                    members.insert(name, member);
                    continue;
                }
                before => before.and_then(|member| member.supervised),
            };
            let supervised = if settings.enabled {
                Some(self.supervise(&name, settings.clone(), before))
            } else {
                gone.extend(before.is_some().then(|| name.clone()));
                None
            };
            members.insert(name, Member { settings, supervised });
        }
        drop(members);
        for name in gone {
            self.room.free(name.as_str());
            self.lot.clear(name.as_str());
            (self.sink)(Event::Gone(name));
        }
    }

    fn supervise(&self, name: &ServerName, settings: Upstream, before: Option<Supervised>) -> Supervised {
        let place = Place::new(name.as_str(), settings, self.open.clone(), self.lot.clone());
        let hub = Arc::new(Hub::new(name.clone(), Arc::new(place), self.room.clone()));
        let task = tokio::spawn(supervise::run(hub.clone(), self.sink.clone(), before));
        Supervised { hub, task }
    }

    /// How they are, by name. Asks nobody.
    pub fn status(&self) -> Vec<Status> {
        let of = |(name, member): (&ServerName, &Member)| match &member.supervised {
            Some(supervised) => supervised.hub.status(),
            None => Status::new(name.as_str(), State::Disabled),
        };
        self.lock().iter().map(of).collect()
    }

    /// Try one out, connected to for this alone and let go afterwards.
    pub async fn test(&self, name: &ServerName, upstream: &Upstream) -> Report {
        trial::run(name, upstream, &self.open).await
    }

    /// Let go of all. Ends when nobody looks after any; processes end when the calls on them have.
    pub async fn close(&self) {
        let members = std::mem::take(&mut *self.lock());
        for (name, member) in members {
            self.lot.clear(name.as_str());
            if let Some(mut supervised) = member.supervised {
                supervised.hub.close();
                supervised.task.abort();
                let _ = (&mut supervised.task).await;
            }
        }
    }
}

/// Enough of a text of an upstream for people.
pub(crate) fn short(text: &str) -> String {
    text.chars().take(200).collect()
}
