//! Virtual servers: a choice of what there is, under names of its own, at `/mcp/v/{name}`.
//!
//! Compiled with each catalogue. It narrows: nothing is allowed here that policy does not allow the caller anyway, and
//! calls go the same way with the same records under the same names.

use super::Entry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use toolgate_core::listing::Nameless;
use toolgate_core::name::{self, ServerName};
use toolgate_core::pattern::fits;
use toolgate_core::{Effect, Face};

/// A virtual server (`virtual_servers.NAME` in `toolgate.yaml`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct VirtualServer {
    /// Servers, built-in or upstream, of which it has everything.
    pub servers: Vec<String>,
    /// Single things beside those, as `server/tool`; `*` stands for anything.
    pub tools: Vec<String>,
    /// Things that it does not have, as `server/tool`; `*` stands for anything. Goes before the two above.
    pub deny: Vec<String>,
    /// Names of its own, by `server/tool`. What has none is known by its own name, with its server's before it where two
    /// share one.
    pub rename: BTreeMap<String, String>,
    /// Descriptions of its own, by `server/tool`.
    pub descriptions: BTreeMap<String, String>,
    /// What a client is told of it.
    pub instructions: Option<String>,
    /// Roles that may use it; everybody when empty. It gives nobody a right that the policy does not.
    pub roles: Vec<String>,
    /// Whether it has only what does nothing but read.
    pub read_only: bool,
}

impl VirtualServer {
    fn has(&self, entry: &Entry) -> bool {
        let id = id(entry);
        let named = |patterns: &[String]| patterns.iter().any(|pattern| fits(pattern, &id));
        let chosen = self.servers.iter().any(|server| server == entry.server.as_str()) || named(&self.tools);
        chosen && !named(&self.deny) && (!self.read_only || entry.spec.most == Effect::Read)
    }

    /// What cannot be meant, as (field, reason).
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let lists = [("tools", &self.tools), ("deny", &self.deny)];
        for (field, at, text) in lists
            .iter()
            .flat_map(|(field, list)| list.iter().enumerate().map(move |(at, text)| (field, at, text)))
        {
            if !text.contains('/') {
                problems.push((format!("{field}[{at}]"), format!("{text:?} is not `server/tool`")));
            }
        }
        let maps = [("rename", &self.rename), ("descriptions", &self.descriptions)];
        for (field, key) in maps.iter().flat_map(|(field, map)| map.keys().map(move |key| (field, key))) {
            if !key.contains('/') {
                problems.push((format!("{field}.{key}"), format!("{key:?} is not `server/tool`")));
            }
        }
        for (key, to) in &self.rename {
            if name::short(to) != *to {
                let why = format!("{to:?} is not a name: 1 to 64 of A-Z a-z 0-9 _ -");
                problems.push((format!("rename.{key}"), why));
            }
        }
        problems
    }
}

fn id(entry: &Entry) -> String {
    format!("{}/{}", entry.server, entry.tool)
}

/// A virtual server over one catalogue.
pub(crate) struct View {
    pub roles: Vec<String>,
    pub instructions: Option<String>,
    // By identity: an entry that is looked at may be of the catalogue before.
    shown: HashMap<usize, Shown>,
    servers: BTreeSet<ServerName>,
    names: HashMap<(Face, String), usize>,
}

struct Shown {
    name: String,
    // Where it is described otherwise.
    listing: Option<Nameless>,
}

impl View {
    pub fn new(made: &VirtualServer, entries: &[Arc<Entry>]) -> Self {
        let members: Vec<&Arc<Entry>> = entries.iter().filter(|entry| made.has(entry)).collect();
        let mut view = Self {
            roles: made.roles.clone(),
            instructions: made.instructions.clone(),
            shown: HashMap::new(),
            servers: members.iter().map(|entry| entry.server.clone()).collect(),
            names: HashMap::new(),
        };
        let own = |entry: &Entry| made.rename.get(&id(entry)).cloned();
        let plain = |entry: &Entry| own(entry).unwrap_or_else(|| name::short(&entry.called));
        // A name that two would have, or that is another's with its server before it, is nobody's: no server gets calls that
        // are meant for another by what it calls its own.
        let mut often: HashMap<(Face, String), usize> = HashMap::new();
        for entry in &members {
            *often.entry((entry.face, plain(entry))).or_default() += 1;
            if plain(entry) != entry.exposed {
                *often.entry((entry.face, entry.exposed.clone())).or_default() += 1;
            }
        }
        for entry in &members {
            let mut name = plain(entry);
            if often.get(&(entry.face, name.clone())).is_some_and(|n| *n > 1) {
                name = entry.exposed.clone();
            }
            let mut shown = Shown { name: name.clone(), listing: None };
            if entry.face == Face::Resource {
                shown.name.clone_from(&entry.shown);
            } else if let Some(described) = made.descriptions.get(&id(entry)) {
                shown.listing = Some(entry.listing.described(described));
            }
            view.shown.insert(entry.live.id, shown);
            if own(entry).is_none() || name == entry.exposed {
                view.names.insert((entry.face, entry.exposed.clone()), entry.index);
            }
            view.names.entry((entry.face, name)).or_insert(entry.index);
        }
        view
    }

    pub fn has(&self, entry: &Entry) -> bool {
        self.shown.contains_key(&entry.live.id)
    }

    pub fn has_of(&self, server: &ServerName) -> bool {
        self.servers.contains(server)
    }

    /// What it lists something as: name, and all else.
    pub fn listed<'a>(&'a self, entry: &'a Entry) -> (&'a str, &'a Nameless) {
        match self.shown.get(&entry.live.id) {
            Some(shown) => (&shown.name, shown.listing.as_ref().unwrap_or(&entry.listing)),
            None => (&entry.shown, &entry.listing),
        }
    }

    pub fn find(&self, face: Face, name: &str) -> Option<usize> {
        self.names.get(&(face, name.to_owned())).copied()
    }
}
