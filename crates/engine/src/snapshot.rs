//! The snapshot: catalogue, policy, keys and running servers as one immutable value, swapped whole.
//!
//! A call reads one snapshot from beginning to end. Rights are compiled when it is made: a list and a call look at the
//! same table, so they cannot disagree.

use crate::ApiKey;
use crate::catalogue::{Catalogue, Entry, Found};
use crate::control;
use crate::standing::KEY;
use arc_swap::ArcSwapOption;
use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, OnceLock};
use toolgate_core::name::{Door, ServerName};
use toolgate_core::policy::{Policy, Verdict};
use toolgate_core::unit::Rate;
use toolgate_core::{Caller, Effect, Error, Face};

pub(crate) type Roles = Arc<[Arc<str>]>;

pub(crate) struct Snapshot {
    pub catalogue: Arc<Catalogue>,
    pub policy: Arc<Policy>,
    pub keys: Arc<HashMap<Arc<str>, Key>>,
    pub stopped: BTreeSet<ServerName>,
    rights: HashMap<Roles, Arc<Rights>>,
    // Those of the caller without a key who asked last: there is one, the operator's own command line.
    keyless: ArcSwapOption<(Roles, Arc<Rights>)>,
}

/// A key that may be presented.
pub(crate) struct Key {
    pub hash: [u8; 32],
    pub expires_at: Option<i64>,
    pub caller: Arc<Caller>,
}

/// What one set of roles may do with every entry of the catalogue.
pub(crate) struct Rights {
    pub digest: [u8; 32],
    rules: Vec<Rule>,
    seen: Seen,
    // Behind the doors of virtual servers; found when they are first asked for.
    views: HashMap<String, OnceLock<Seen>>,
}

/// Places in the catalogue of what is seen, in its order, by face.
#[derive(Default)]
struct Seen([Vec<u32>; 3]);

impl Seen {
    fn lists(&self) -> [&[u32]; 3] {
        self.0.each_ref().map(Vec::as_slice)
    }

    fn of<'e>(entries: impl Iterator<Item = &'e Arc<Entry>>) -> Self {
        let mut seen = Self::default();
        for entry in entries {
            // A catalogue has no more entries than its upstreams' bounds let in.
            seen.0[entry.face as usize].extend(u32::try_from(entry.index));
        }
        seen
    }
}

/// What policy says of one entry.
pub(crate) struct Rule {
    // One for each effect.
    verdicts: [Verdict; 3],
    /// Calls that each caller may make of it.
    pub rate: Rate,
    /// A person must approve each call.
    pub approval: bool,
}

impl Rule {
    /// The one decision: may the tool be called with this effect?
    pub fn verdict(&self, effect: Effect) -> &Verdict {
        &self.verdicts[effect as usize]
    }
}

impl Rights {
    fn compile(policy: &Policy, roles: &[Arc<str>], catalogue: &Catalogue) -> Self {
        let rule = |entry: &Arc<Entry>| {
            let (server, tool) = (entry.server.as_str(), &*entry.tool);
            let special = policy.tool(server, tool);
            Rule {
                verdicts: Effect::ALL.map(|effect| policy.decide(roles, server, tool, effect)),
                rate: special.and_then(|p| p.rate_limit).unwrap_or(entry.rate),
                approval: special.is_some_and(|p| p.approval_required),
            }
        };
        let rules = catalogue.entries.iter().map(rule).collect();
        let views = catalogue.view_names().map(|name| (name.clone(), OnceLock::new())).collect();
        let mut rights = Self { digest: policy.digest(roles), rules, seen: Seen::default(), views };
        rights.seen = Seen::of(catalogue.entries.iter().filter(|entry| rights.sees(entry)));
        rights
    }

    // What is seen behind a door, whether it is open or not.
    fn seen(&self, catalogue: &Catalogue, scope: Option<&Door>) -> [&[u32]; 3] {
        let Some(door) = scope else { return self.seen.lists() };
        if let Some(server) = door.server() {
            let Some(mounted) = catalogue.server(server) else { return [&[]; 3] };
            let before = |list: &[u32], end: usize| list.partition_point(|at| (*at as usize) < end);
            return (self.seen.lists())
                .map(|list| &list[before(list, mounted.entries.start)..before(list, mounted.entries.end)]);
        }
        let view = catalogue.view(scope).zip(door.virtual_name().and_then(|name| self.views.get(name)));
        let Some((view, kept)) = view else { return [&[]; 3] };
        let of_view = |entry: &&Arc<Entry>| self.sees(entry) && view.has(entry);
        kept.get_or_init(|| Seen::of(catalogue.entries.iter().filter(of_view))).lists()
    }

    pub fn of(&self, entry: &Entry) -> &Rule {
        &self.rules[entry.index]
    }

    /// Whether any call of it may succeed: then, and only then, it is listed and known.
    pub fn sees(&self, entry: &Entry) -> bool {
        Effect::ALL
            .into_iter()
            .filter(|effect| (entry.spec.effect..=entry.spec.most).contains(effect))
            .any(|effect| matches!(self.of(entry).verdict(effect), Verdict::Allow(_)))
    }
}

impl Snapshot {
    pub fn new(
        catalogue: Arc<Catalogue>,
        policy: Arc<Policy>,
        keys: Arc<HashMap<Arc<str>, Key>>,
        stopped: BTreeSet<ServerName>,
    ) -> Self {
        let mut rights: HashMap<Roles, Arc<Rights>> = HashMap::new();
        for key in keys.values() {
            rights
                .entry(key.caller.roles.clone())
                .or_insert_with(|| Arc::new(Rights::compile(&policy, &key.caller.roles, &catalogue)));
        }
        Self { catalogue, policy, keys, stopped, rights, keyless: ArcSwapOption::empty() }
    }

    /// Rights of a caller; compiled at the first call of one who holds no key (the operator's own command line).
    pub fn rights(&self, caller: &Caller) -> Arc<Rights> {
        if let Some(rights) = self.rights.get(&caller.roles) {
            return rights.clone();
        }
        if let Some(kept) = &*self.keyless.load()
            && kept.0 == caller.roles
        {
            return kept.1.clone();
        }
        self.keep(&caller.roles)
    }

    /// What of a face a caller may call, read or get behind a door, as places in the catalogue; `None` when it may see
    /// nothing whatever there.
    pub fn listed<'a>(
        &'a self,
        caller: &Caller,
        rights: &'a Rights,
        face: Face,
        scope: Option<&Door>,
    ) -> Option<Cow<'a, [u32]>> {
        let nothing: [&[u32]; 3] = [&[]; 3];
        let seen = if self.opens(caller, scope) { rights.seen(&self.catalogue, scope) } else { nothing };
        if scope.is_some() && seen.iter().all(|list| list.is_empty()) {
            return None;
        }
        let list = seen[face as usize];
        if self.stopped.is_empty() {
            return Some(list.into());
        }
        let runs = |at: &u32| !self.stopped.contains(&self.catalogue.entries[*at as usize].server);
        Some(list.iter().copied().filter(runs).collect())
    }

    /// What a name or URI may mean to a caller at a door: only what it may see.
    pub fn find(
        &self,
        caller: &Caller,
        rights: &Rights,
        face: Face,
        name: &str,
        scope: Option<&Door>,
    ) -> Found<'_> {
        let mut found = self.catalogue.find(face, name, scope);
        let opens = self.opens(caller, scope);
        found.entries.retain(|entry| opens && rights.sees(entry));
        found
    }

    /// Whether a door is open to a caller: that of a virtual server may be for some roles only.
    pub fn opens(&self, caller: &Caller, scope: Option<&Door>) -> bool {
        let Some(view) = self.catalogue.view(scope) else { return true };
        view.roles.is_empty() || view.roles.iter().any(|role| self.policy.holds(&caller.roles, role))
    }

    /// The one that follows another knows the same callers.
    pub fn after(self, old: &Self) -> Self {
        if let Some(kept) = &*old.keyless.load() {
            self.keep(&kept.0);
        }
        self
    }

    fn keep(&self, roles: &Roles) -> Arc<Rights> {
        let rights = Arc::new(Rights::compile(&self.policy, roles, &self.catalogue));
        self.keyless.store(Some(Arc::new((roles.clone(), rights.clone()))));
        rights
    }
}

impl Snapshot {
    /// Sets of roles that see something of a server.
    pub fn seers(&self, server: &str) -> Vec<Roles> {
        let Some(mounted) = self.catalogue.server(server) else { return Vec::new() };
        let entries = &self.catalogue.entries[mounted.entries.clone()];
        let sees = |rights: &Rights| entries.iter().any(|entry| rights.sees(entry));
        let keyed = self.rights.iter().filter(|(_, rights)| sees(rights)).map(|(roles, _)| roles.clone());
        let keyless = self.keyless.load_full().filter(|kept| sees(&kept.1)).map(|kept| kept.0.clone());
        keyed.chain(keyless).collect()
    }
}

/// `Snapshot::listed` of a door that is written; `NotFound` where it leads to nothing that the caller may see.
pub(crate) fn listed<'a>(
    snapshot: &'a Snapshot,
    rights: &'a Rights,
    face: Face,
    caller: &Caller,
    scope: Option<&str>,
) -> Result<Cow<'a, [u32]>, Error> {
    let nothing = || control::no_such_server(scope.unwrap_or_default());
    let door = scope.map(Door::parse).transpose().map_err(|_| nothing())?;
    snapshot.listed(caller, rights, face, door.as_ref()).ok_or_else(nothing)
}

/// Keys as they are looked up. Unknown roles grant nothing, so they need no check here.
pub(crate) fn keys(list: Vec<ApiKey>) -> HashMap<Arc<str>, Key> {
    list.into_iter()
        .map(|key| {
            let caller = Caller::new(format!("{KEY}{}", key.id), key.name, key.roles);
            (key.id, Key { hash: key.hash, expires_at: key.expires_at, caller: Arc::new(caller) })
        })
        .collect()
}
