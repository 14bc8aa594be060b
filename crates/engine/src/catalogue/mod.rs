//! The catalogue: everything that can be called, read or got, by every name it answers to, in one fixed order.
//!
//! Built whole from the mounted servers whenever one of them is another, and never changed; a snapshot holds it. What
//! outlives a change (counters, breakers, slots, the identity that limits and cache go by) is in the `Pool`. Who may see
//! what is not its business (`snapshot`).

mod find;
mod listing;
mod pool;
mod rewrite;
mod view;

pub(crate) use find::Found;
pub(crate) use pool::{Live, Pool};
pub(crate) use rewrite::rewritten;
pub(crate) use view::View;
pub use view::VirtualServer;

use crate::changes::Changes;
use crate::settings::Settings;
use crate::slots::Slots;
use find::Routes;
use listing::offers;
use serde::Serialize;
use serde_json::Value;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use toolgate_core::ctx::Tell;
use toolgate_core::foreign::{Prefix, Relay, Resources, SetAside};
use toolgate_core::listing::Nameless;
use toolgate_core::name::{self, Door, ServerName};
use toolgate_core::server::{AnyTool, State};
use toolgate_core::unit::Rate;
use toolgate_core::uri::Template;
use toolgate_core::{Completer, Error, Face, Mount, Spec};
use toolgate_wire::mirror::{ANNOTATION, Mirrors};

/// A tool, resource or prompt in the catalogue. The resources of an upstream are one entry.
pub struct Entry {
    pub face: Face,
    pub server: ServerName,
    /// Its name to policy, limits, records and metrics; unique in its server whatever its face.
    pub tool: Arc<str>,
    /// What it is called by at its server's own door.
    pub called: Arc<str>,
    /// `{server}__{tool}`, at most 64 characters.
    pub exposed: String,
    pub spec: Spec,
    /// The MCP object that lists have of it, but for its name.
    pub(crate) listing: Nameless,
    /// The name that the door of all servers lists it by.
    pub(crate) shown: String,
    /// The bare name, for `/mcp/{server}`.
    pub(crate) bare: String,
    /// Of a resource.
    pub(crate) template: Option<Arc<Template>>,
    /// Of a resource: whether its server tells when it changes.
    pub(crate) tells: bool,
    /// Of a resource or prompt.
    pub(crate) completer: Option<Arc<dyn Completer>>,
    /// Of an upstream's resources.
    pub(crate) resources: Option<Resources>,
    /// Of an upstream that completes arguments.
    pub(crate) relay: Option<Arc<dyn Relay>>,
    pub(crate) tell: Tell,
    /// Place in this catalogue, for what is made with it.
    pub(crate) index: usize,
    pub(crate) server_label: Arc<str>,
    pub(crate) run: Arc<dyn AnyTool>,
    pub(crate) rate: Rate,
    /// Parameters that headers must repeat; `None` for most.
    pub(crate) mirrors: Option<Mirrors>,
    pub(crate) live: Arc<Live>,
    pub(crate) slots: Arc<Slots>,
}

impl Entry {
    pub fn description(&self) -> &str {
        self.run.description()
    }

    pub fn input_schema(&self) -> Cow<'_, RawValue> {
        self.run.input_schema()
    }

    /// `null` when it has none.
    pub fn output_schema(&self) -> Cow<'_, RawValue> {
        self.run.output_schema()
    }

    /// A URI of its server's as the server writes it, at whatever door it was named.
    pub(crate) fn own_uri<'u>(&self, uri: &'u str) -> &'u str {
        uri.strip_prefix(self.server.as_str()).and_then(|rest| rest.strip_prefix('+')).unwrap_or(uri)
    }

    /// Whether lists show the same of both.
    pub(crate) fn lists_like(&self, other: &Self) -> bool {
        let uris = |entry: &Self| {
            let all = |r: &Resources| {
                r.fixed.iter().chain(&*r.templates).map(|l| l.json.get().to_owned()).collect::<Vec<_>>()
            };
            entry.resources.as_ref().map(all)
        };
        self.server == other.server
            && (&self.shown, &self.bare) == (&other.shown, &other.bare)
            && self.listing == other.listing
            && uris(self) == uris(other)
    }
}

/// A server as a caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct ServerView {
    pub id: String,
    pub name: String,
    pub description: String,
    pub version: String,
    pub running: bool,
    #[serde(flatten)]
    pub state: State,
    /// Whether it is an upstream.
    pub upstream: bool,
    /// Tools this caller may call.
    pub tools: usize,
    /// What an upstream has and is not offered, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<SetAside>,
}

/// A mounted server and its share of the catalogue.
pub(crate) struct Mounted {
    pub server: Mount,
    pub slots: Arc<Slots>,
    pub entries: std::ops::Range<usize>,
    pub set_aside: Vec<SetAside>,
    /// Whether its URIs are shown as `{server}+{uri}` at the door of all servers, because another has one of the same.
    pub rewrites: bool,
}

impl Mounted {
    pub fn instructions(&self) -> Option<&str> {
        self.server.foreign.as_ref()?.instructions.as_deref()
    }
}

#[derive(Default)]
pub(crate) struct Catalogue {
    pub entries: Vec<Arc<Entry>>,
    pub servers: Vec<Mounted>,
    // `{server}__{tool}`, `{server}/{tool}`, and names listed as they are.
    exposed: HashMap<(Face, String), usize>,
    bare: HashMap<(Face, String), Vec<usize>>,
    routes: Routes,
    views: BTreeMap<String, View>,
    /// Whether any tool has parameters that headers must repeat. Usually none has, and then a check costs nothing.
    pub mirrors: bool,
}

impl Catalogue {
    /// Servers in their order, which decides who keeps a name or URI that two have. Of a built-in server everything must
    /// fit; what does not of an upstream is set aside.
    pub fn new(
        servers: &[Mount],
        settings: &Settings,
        changes: &Changes,
        pool: &mut Pool,
        virtuals: &BTreeMap<String, VirtualServer>,
    ) -> Result<Self, Error> {
        let mut catalogue = Self::default();
        for server in servers {
            if catalogue.server(server.name.as_str()).is_some() {
                return Err(Error::invalid(format!("two servers are named {}", server.name)));
            }
            catalogue.mount(server, settings, changes, pool)?;
        }
        catalogue.list_as_they_are();
        catalogue.route(pool);
        for (name, made) in virtuals {
            catalogue.views.insert(name.clone(), View::new(made, &catalogue.entries));
        }
        catalogue.mirrors = catalogue.entries.iter().any(|entry| entry.mirrors.is_some());
        Ok(catalogue)
    }

    fn mount(
        &mut self,
        server: &Mount,
        settings: &Settings,
        changes: &Changes,
        pool: &mut Pool,
    ) -> Result<(), Error> {
        let own = settings.servers.get(server.name.as_str());
        let concurrency = server.foreign.as_ref().map_or(settings.concurrency, |foreign| foreign.concurrency);
        let concurrency = own.and_then(|s| s.concurrency).unwrap_or(concurrency);
        let queue = own.and_then(|s| s.queue).unwrap_or(settings.queue);
        let slots = pool.slots(&server.name, concurrency, queue);
        let rate = own.and_then(|s| s.per_tool).or(server.rate).unwrap_or(settings.per_tool);
        let server_label: Arc<str> = server.name.as_str().into();
        let first = self.entries.len();
        let tell = changes.of(&server.name);
        let relay = server.foreign.as_ref().map(|foreign| foreign.relay.clone());
        let mut set_aside: Vec<SetAside> =
            server.foreign.as_ref().map(|foreign| foreign.set_aside.to_vec()).unwrap_or_default();
        for offer in offers(server) {
            let (index, face, run) = (self.entries.len(), offer.face(), offer.run());
            let (tool, called) = offer.names(server.foreign.is_some());
            let exposed = name::exposed(&server.name, &called);
            let mut fits = || -> Result<Entry, Error> {
                // One name means one thing in a server, so that a policy or a metric never means two.
                if self.entries[first..].iter().any(|other| other.tool == tool) {
                    return Err(Error::invalid(format!("two things of {} are named {tool}", server.name)));
                }
                if matches!(face, Face::Tool | Face::Prompt) {
                    self.name(face, &server.name, &called, run.spec().aliases, index)?;
                }
                Ok(Entry {
                    face,
                    server: server.name.clone(),
                    live: pool.live(&server.name, &tool, &settings.breaker),
                    spec: *run.spec(),
                    listing: offer.listing()?,
                    shown: exposed.clone(),
                    bare: name::short(&called),
                    template: offer.template(),
                    tells: offer.tells(),
                    completer: offer.completer(),
                    resources: offer.resources(),
                    relay: relay.clone(),
                    tell: tell.clone(),
                    index,
                    server_label: server_label.clone(),
                    run: run.clone(),
                    rate,
                    mirrors: mirrors(face, &**run, &exposed),
                    slots: slots.clone(),
                    tool: tool.clone(),
                    called: called.clone(),
                    exposed: exposed.clone(),
                })
            };
            match (fits(), &server.foreign) {
                (Ok(entry), _) => self.entries.push(Arc::new(entry)),
                (Err(error), Some(_)) => {
                    let reason = error.message().to_owned();
                    set_aside.push(SetAside { name: tool.to_string(), reason });
                }
                (Err(error), None) => return Err(error),
            }
        }
        let entries = first..self.entries.len();
        self.servers.push(Mounted { server: server.clone(), slots, entries, set_aside, rewrites: false });
        Ok(())
    }

    pub fn server(&self, name: &str) -> Option<&Mounted> {
        self.servers.iter().find(|m| m.server.name.as_str() == name)
    }

    // Every name that it answers to. All or none.
    fn name(
        &mut self,
        face: Face,
        server: &ServerName,
        called: &str,
        aliases: &[&str],
        index: usize,
    ) -> Result<(), Error> {
        let names = || std::iter::once(called).chain(aliases.iter().copied());
        for alias in names() {
            let full = name::exposed(server, alias);
            if self.exposed.contains_key(&(face, full.clone())) {
                return Err(Error::invalid(format!("two things are named {full}")));
            }
        }
        for alias in names() {
            self.exposed.insert((face, name::exposed(server, alias)), index);
            self.exposed.insert((face, format!("{server}/{alias}")), index);
            self.bare.entry((face, alias.to_owned())).or_default().push(index);
            let short = name::short(alias);
            if short != alias {
                self.bare.entry((face, short)).or_default().push(index);
            }
        }
        Ok(())
    }

    // Of upstreams whose names have no prefix: listed by their own names, as far as those are free.
    fn list_as_they_are(&mut self) {
        for at in 0..self.servers.len() {
            let mounted = &self.servers[at];
            let Some(prefix) = mounted.server.foreign.as_ref().map(|foreign| foreign.prefix) else {
                continue;
            };
            if prefix == Prefix::Always {
                continue;
            }
            for index in mounted.entries.clone() {
                let entry = &self.entries[index];
                if entry.face == Face::Resource {
                    continue;
                }
                let name = name::short(&entry.called);
                let same = || self.bare.get(&(entry.face, name.clone())).into_iter().flatten();
                let alone = same().count() <= 1;
                // Of a built-in server, or one that reads as if it were of another server.
                let taken = same().any(|index| !self.is_foreign(*index)) || name.contains(name::SEPARATOR);
                let free = !taken && !self.exposed.contains_key(&(entry.face, name.clone()));
                if free && (alone || prefix == Prefix::Never) {
                    self.exposed.insert((entry.face, name), index);
                    if let Some(entry) = Arc::get_mut(&mut self.entries[index]) {
                        entry.shown.clone_from(&entry.bare);
                    }
                } else if prefix == Prefix::Never {
                    let why = "is the name of another, or reads as if it were of another server";
                    let reason = format!("{name} {why}, and this upstream has `prefix: never`");
                    let name = entry.tool.to_string();
                    tracing::warn!(server = %entry.server, name, reason, "listed with its server's name");
                    self.servers[at].set_aside.push(SetAside { name, reason });
                }
            }
        }
    }

    fn is_foreign(&self, index: usize) -> bool {
        let mounted = self.server(self.entries[index].server.as_str());
        mounted.is_some_and(|mounted| mounted.server.foreign.is_some())
    }

    pub fn view_names(&self) -> impl Iterator<Item = &String> {
        self.views.keys()
    }

    /// The virtual server of a door, if it is one's.
    pub fn view(&self, scope: Option<&Door>) -> Option<&View> {
        self.views.get(scope?.virtual_name()?)
    }

    /// Whether something is behind a door.
    pub fn admits(&self, scope: Option<&Door>, entry: &Entry) -> bool {
        match scope {
            None => true,
            Some(door) => match door.server() {
                Some(server) => entry.server.as_str() == server,
                None => self.view(scope).is_some_and(|view| view.has(entry)),
            },
        }
    }

    /// Whether anything of a server is behind a door.
    pub fn leads_to(&self, scope: Option<&Door>, server: &ServerName) -> bool {
        match (scope, scope.and_then(Door::server)) {
            (None, _) => true,
            (_, Some(own)) => own == server.as_str(),
            _ => match (self.view(scope), self.server(server.as_str())) {
                (Some(view), Some(_)) => view.has_of(server),
                // It is gone, which everybody may hear who heard of it.
                (Some(_), None) => true,
                (None, _) => false,
            },
        }
    }

    /// What a name or URI may mean behind a door.
    pub fn find(&self, face: Face, name: &str, scope: Option<&Door>) -> Found<'_> {
        if face == Face::Resource {
            return self.find_resource(name, scope);
        }
        if scope.is_some_and(|door| door.virtual_name().is_some()) {
            let index = self.view(scope).and_then(|view| view.find(face, name));
            let entries = index.map(|index| &self.entries[index]).into_iter().collect();
            return Found { entries, variables: None };
        }
        let within = |entry: &&Arc<Entry>| self.admits(scope, entry);
        let key = (face, name.to_owned());
        let exact = self.exposed.get(&key).map(|index| &self.entries[*index]).filter(within);
        let entries = match exact {
            Some(entry) => vec![entry],
            None => {
                let places = self.bare.get(&key).map(Vec::as_slice).unwrap_or_default();
                places.iter().map(|index| &self.entries[*index]).filter(within).collect()
            }
        };
        Found { entries, variables: None }
    }
}

// One that is wrong is logged and not enforced: an upstream's tool with such a one is not offered at all.
fn mirrors(face: Face, tool: &dyn AnyTool, exposed: &str) -> Option<Mirrors> {
    if face != Face::Tool {
        return None;
    }
    let schema = tool.input_schema();
    if !schema.get().contains(ANNOTATION) {
        return None;
    }
    let schema: Value = serde_json::from_str(schema.get()).unwrap_or_default();
    match Mirrors::of(&schema) {
        Ok(mirrors) => Some(mirrors).filter(|mirrors| !mirrors.is_empty()),
        Err(problem) => {
            tracing::warn!(tool = exposed, problem, "header annotations ignored");
            None
        }
    }
}
