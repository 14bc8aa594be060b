//! Which resource a URI is: exactly one that is listed, one of a template, or at least of a server that alone has its
//! scheme.
//!
//! At the door of all servers `{server}+{uri}` names a URI of one upstream whatever others have.

use super::{Catalogue, Entry, raw};
use serde_json::json;
use serde_json::value::RawValue;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::uri::MAX_URI;

/// What a name or URI may mean.
pub(crate) struct Found<'a> {
    /// More than one only for a bare name.
    pub entries: Vec<&'a Arc<Entry>>,
    /// Of a resource: the variables of its URI (of an upstream's, the URI), which are the arguments of the call.
    pub variables: Option<Box<RawValue>>,
}

/// How URIs lead to entries.
#[derive(Default)]
pub(super) struct Routes {
    // Entries with a template of ours.
    own: Vec<usize>,
    // Upstreams' entries.
    foreign: Vec<usize>,
    fixed: HashMap<String, usize>,
    // What stands before and after the variables of an upstream's template.
    templates: Vec<(String, String, usize)>,
    // Of upstreams, where only one has resources of it.
    schemes: HashMap<String, Option<usize>>,
}

fn scheme(uri: &str) -> Option<&str> {
    uri.split_once(':').map(|(scheme, _)| scheme)
}

// `a://{x}/b{?y}` begins with `a://`; what follows the last variable ends it.
fn ends(template: &str) -> (String, String) {
    let first = template.find('{').unwrap_or(template.len());
    let last = template.rfind('}').map_or(template.len(), |at| at + 1);
    (template[..first].to_owned(), template[last..].to_owned())
}

impl Catalogue {
    /// Once all servers are mounted.
    pub(super) fn route(&mut self) {
        let mut routes = Routes::default();
        let mut taken = HashSet::new();
        for mounted in &mut self.servers {
            let entries = &self.entries[mounted.entries.clone()];
            for entry in entries {
                if let Some(template) = &entry.template {
                    routes.own.push(entry.index);
                    taken.insert(template.as_str().to_owned());
                    if let Some(scheme) = scheme(template.as_str()) {
                        routes.schemes.insert(scheme.to_owned(), None);
                    }
                }
                let Some(resources) = &entry.resources else { continue };
                routes.foreign.push(entry.index);
                let all = || resources.fixed.iter().chain(&*resources.templates);
                mounted.rewrites = all().any(|listed| taken.contains(&listed.uri));
                if mounted.rewrites {
                    continue;
                }
                taken.extend(all().map(|listed| listed.uri.clone()));
                for scheme in all().filter_map(|listed| scheme(&listed.uri)) {
                    let owner = routes.schemes.entry(scheme.to_owned()).or_insert(Some(entry.index));
                    if *owner != Some(entry.index) {
                        *owner = None;
                    }
                }
                routes.fixed.extend(resources.fixed.iter().map(|l| (l.uri.clone(), entry.index)));
                let templates = resources.templates.iter().map(|l| ends(&l.uri));
                routes.templates.extend(templates.map(|(before, after)| (before, after, entry.index)));
            }
        }
        routes.templates.sort_by_key(|(before, ..)| std::cmp::Reverse(before.len()));
        self.routes = routes;
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
                    Some((entry, raw(&template.variables(uri)?).ok()?))
                },
            )
        };
        let foreign = |index: usize| {
            let entry = Some(&self.entries[index]).filter(|e| within(e))?;
            Some((entry, raw(&json!({ "uri": uri })).ok()?))
        };
        let found = (own(true))
            .or_else(|| self.routes.fixed.get(uri).copied().and_then(foreign))
            .or_else(|| own(false))
            .or_else(|| self.by_template(uri).and_then(foreign))
            .or_else(|| match server {
                // At a server's own door it knows best what it has.
                Some(_) => self.routes.foreign.iter().copied().find_map(foreign),
                None => foreign((*self.routes.schemes.get(scheme(uri)?)?)?),
            });
        match found {
            Some((entry, variables)) => Found { entries: vec![entry], variables: Some(variables) },
            None => nothing,
        }
    }

    fn by_template(&self, uri: &str) -> Option<usize> {
        let fits = |(before, after, _): &&(String, String, usize)| {
            uri.len() > before.len() + after.len() && uri.starts_with(before) && uri.ends_with(after)
        };
        self.routes.templates.iter().find(fits).map(|(.., index)| *index)
    }

    // `{server}+{uri}` of an upstream.
    fn qualified<'a>(&'a self, uri: &'a str) -> Option<(&'a ServerName, &'a str)> {
        let (server, own) = uri.split_once('+')?;
        let mounted = self.server(server).filter(|mounted| mounted.server.foreign.is_some())?;
        Some((&mounted.server.name, own))
    }

    /// A URI of a server's as the door of all servers shows it.
    pub fn shown<'u>(&self, server: &ServerName, uri: &'u str) -> std::borrow::Cow<'u, str> {
        match self.server(server.as_str()) {
            Some(mounted) if mounted.rewrites => format!("{server}+{uri}").into(),
            _ => uri.into(),
        }
    }
}
