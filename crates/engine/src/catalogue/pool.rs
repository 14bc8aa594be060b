//! `Pool`: what outlives a change of the catalogue.
//!
//! A tool is the same tool as long as its server and name are; its counters go on, its breaker stays open (until
//! its server is said to be well again), and its identity is never given to another, so that no limit and no cached answer can reach the wrong one.

use crate::breaker::Breaker;
use crate::metrics::ToolStats;
use crate::settings;
use crate::slots::Slots;
use std::collections::HashMap;
use std::sync::Arc;
use toolgate_core::name::ServerName;

/// What belongs to a tool, whichever catalogue it is in.
pub(crate) struct Live {
    /// Never used for another.
    pub id: usize,
    pub stats: ToolStats,
    pub breaker: Breaker,
}

struct Kept {
    slots: Arc<Slots>,
    bounds: (usize, usize),
    tools: HashMap<Arc<str>, Arc<Live>>,
}

#[derive(Default)]
pub(crate) struct Pool {
    servers: HashMap<ServerName, Kept>,
    next: usize,
    // Schemes of URIs, by whose they are.
    schemes: HashMap<String, ServerName>,
}

impl Pool {
    /// The slots of a server: the ones it has, unless its bounds are others.
    pub fn slots(&mut self, server: &ServerName, concurrency: usize, queue: usize) -> Arc<Slots> {
        let bounds = (concurrency, queue);
        let fresh =
            || Kept { slots: Arc::new(Slots::new(concurrency, queue)), bounds, tools: HashMap::new() };
        let kept = self.servers.entry(server.clone()).or_insert_with(fresh);
        if kept.bounds != bounds {
            kept.slots = Arc::new(Slots::new(concurrency, queue));
            kept.bounds = bounds;
        }
        kept.slots.clone()
    }

    /// Of a server that has slots.
    pub fn live(&mut self, server: &ServerName, tool: &Arc<str>, breaker: &settings::Breaker) -> Arc<Live> {
        let mut fresh = || {
            self.next += 1;
            Arc::new(Live { id: self.next, stats: ToolStats::default(), breaker: Breaker::new(breaker) })
        };
        match self.servers.get_mut(server) {
            Some(kept) => kept.tools.entry(tool.clone()).or_insert_with(fresh).clone(),
            None => fresh(),
        }
    }

    /// A scheme of a built-in server is its, whoever had it.
    pub fn own_scheme(&mut self, scheme: Option<&str>, server: &ServerName) {
        if let Some(scheme) = scheme {
            self.schemes.insert(scheme.to_owned(), server.clone());
        }
    }

    /// A scheme is that server's who has it first.
    pub fn claim_scheme(&mut self, scheme: Option<&str>, server: &ServerName) {
        if let Some(scheme) = scheme {
            self.schemes.entry(scheme.to_owned()).or_insert_with(|| server.clone());
        }
    }

    /// What belongs to a server that is not there is free.
    pub fn free_schemes(&mut self, is_there: impl Fn(&ServerName) -> bool) {
        self.schemes.retain(|_, server| is_there(server));
    }

    pub fn schemes(&self) -> &HashMap<String, ServerName> {
        &self.schemes
    }

    /// Close the breakers of a server.
    pub fn revive(&self, server: &ServerName) {
        for live in self.servers.get(server).into_iter().flat_map(|kept| kept.tools.values()) {
            live.breaker.reset();
        }
    }

    /// Forget a server that is gone.
    pub fn forget(&mut self, server: &ServerName) {
        self.servers.remove(server);
    }

    /// Forget tools of a server that no catalogue holds any more.
    pub fn tidy(&mut self, server: &ServerName) {
        if let Some(kept) = self.servers.get_mut(server) {
            kept.tools.retain(|_, live| Arc::strong_count(live) > 1);
        }
    }
}
