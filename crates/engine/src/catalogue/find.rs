//! Which resource a URI is. A scheme belongs to the server that had it first, built-in ones before all others, for as long
//! as that server is there: what another lists later can never be read in its place.
//!
//! At the door of all servers, `{server}+{uri}` names a URI of one upstream; that is how URIs of schemes are shown which
//! belong to others.

use super::{Catalogue, Entry, Mounted, Pool};
use serde_json::json;
use std::collections::HashMap;
use std::sync::Arc;
use toolgate_core::JsonText;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::uri::MAX_URI;

/// What a name or URI may mean.
pub(crate) struct Found<'a> {
    /// More than one only for a bare name.
    pub entries: Vec<&'a Arc<Entry>>,
    /// Of a resource: the variables of its URI (of an upstream's, the URI), which are the arguments of the call.
    pub variables: Option<JsonText>,
}

/// How URIs lead to entries.
#[derive(Default)]
pub(super) struct Routes {
    // Entries with a template of ours.
    own: Vec<usize>,
    // Upstreams' entries, by server.
    foreign: HashMap<String, usize>,
    // Whose a scheme is.
    schemes: HashMap<String, ServerName>,
}

// `None` where a template begins with a variable.
fn scheme(uri: &str) -> Option<&str> {
    uri.split_once(':').map(|(scheme, _)| scheme).filter(|scheme| !scheme.contains('{'))
}

impl Catalogue {
    /// Once all servers are mounted.
    pub(super) fn route(&mut self, pool: &mut Pool) {
        let mut routes = Routes::default();
        pool.free_schemes(|name| self.servers.iter().any(|mounted| mounted.server.name == *name));
        for entry in &self.entries {
            if let Some(template) = &entry.template {
                routes.own.push(entry.index);
                pool.own_scheme(scheme(template.as_str()), &entry.server);
            }
            if entry.resources.is_some() {
                routes.foreign.insert(entry.server.to_string(), entry.index);
            }
        }
        for mounted in &self.servers {
            for uri in self.uris(mounted) {
                pool.claim_scheme(scheme(uri), &mounted.server.name);
            }
        }
        routes.schemes = pool.schemes().clone();
        self.routes = routes;
        let rewrites: Vec<bool> = self
            .servers
            .iter()
            .map(|mounted| self.uris(mounted).any(|uri| !self.is_plain(&mounted.server.name, uri)))
            .collect();
        for (mounted, rewrites) in self.servers.iter_mut().zip(rewrites) {
            mounted.rewrites = rewrites;
        }
    }

    // URIs and templates that an upstream lists.
    fn uris<'a>(&'a self, mounted: &Mounted) -> impl Iterator<Item = &'a str> + use<'a> {
        let resources = self.entries[mounted.entries.clone()].iter().filter_map(|e| e.resources.as_ref());
        resources.flat_map(|r| r.fixed.iter().chain(&*r.templates)).map(|listed| listed.uri.as_str())
    }

    fn is_plain(&self, server: &ServerName, uri: &str) -> bool {
        scheme(uri).and_then(|scheme| self.routes.schemes.get(scheme)) == Some(server)
    }

    pub(super) fn find_resource(&self, uri: &str, scope: Option<&Door>) -> Found<'_> {
        let nothing = Found { entries: Vec::new(), variables: None };
        if uri.len() > MAX_URI {
            return nothing;
        }
        let own_door = scope.and_then(Door::server);
        let (server, uri) = match own_door {
            Some(server) => (Some(server), uri),
            None => match self.qualified(uri) {
                Some((server, own)) => (Some(server.as_str()), own),
                None => (None, uri),
            },
        };
        let within = |entry: &Arc<Entry>| {
            server.is_none_or(|server| entry.server.as_str() == server) && self.admits(scope, entry)
        };
        let own = |fixed: bool| {
            self.routes.own.iter().map(|index| &self.entries[*index]).filter(|e| within(e)).find_map(
                |entry| {
                    let template = entry.template.as_ref().filter(|t| t.is_fixed() == fixed)?;
                    Some((entry, JsonText::of(&template.variables(uri)?).ok()?))
                },
            )
        };
        let foreign = || {
            // At a server's own door, and under its name, it knows best what it has.
            let owner = match server {
                Some(server) => server,
                None => self.routes.schemes.get(scheme(uri)?)?.as_str(),
            };
            let entry = Some(&self.entries[*self.routes.foreign.get(owner)?]).filter(|e| within(e))?;
            let offered = entry.resources.as_ref().is_some_and(|resources| resources.choice.has_uri(uri));
            Some((entry, JsonText::of(&json!({ "uri": uri })).ok()?)).filter(|_| offered)
        };
        match own(true).or_else(|| own(false)).or_else(foreign) {
            Some((entry, variables)) => Found { entries: vec![entry], variables: Some(variables) },
            None => nothing,
        }
    }

    // `{server}+{uri}` of an upstream.
    fn qualified<'a>(&'a self, uri: &'a str) -> Option<(&'a ServerName, &'a str)> {
        let (server, own) = uri.split_once('+')?;
        let mounted = self.server(server).filter(|mounted| mounted.server.foreign.is_some())?;
        Some((&mounted.server.name, own))
    }

    /// A URI of a server's as the door of all servers shows it.
    pub fn shown<'u>(&self, server: &ServerName, uri: &'u str) -> std::borrow::Cow<'u, str> {
        let foreign = self.routes.foreign.contains_key(server.as_str());
        if foreign && !self.is_plain(server, uri) { format!("{server}+{uri}").into() } else { uri.into() }
    }
}
