//! What is not a call: servers seen, started and stopped; keys and policy swapped; health, metrics, draining.

use crate::catalogue::{Mounted, ServerView};
use crate::health::{self, Report};
use crate::journal;
use crate::snapshot::{Snapshot, keys};
use crate::{ApiKey, CacheStats, Engine, Inner, ToolUse, metrics};
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use toolgate_core::name::ServerName;
use toolgate_core::policy::Policy;
use toolgate_core::record::Decision;
use toolgate_core::server::{Health, Status};
use toolgate_core::{Caller, Error, Kind};

/// Counts one open connection until dropped.
pub struct ConnectionGuard {
    inner: Arc<Inner>,
    server: String,
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.inner.counters.disconnect(&self.server);
    }
}

/// The same words for a server that is not there and one of which nothing may be seen.
pub(crate) fn no_such_server(name: &str) -> Error {
    let shown: String = name.chars().take(64).collect();
    Error::new(
        Kind::NotFound,
        format!("there is no server {shown:?} here; GET /mcp/servers names those there are"),
    )
}

impl Engine {
    /// Servers of which this caller may see something, stopped ones included.
    pub fn servers(&self, caller: &Caller) -> Vec<ServerView> {
        let inner = &*self.0;
        let snapshot = inner.snapshot.load();
        let rights = snapshot.rights(caller);
        let seen = |mounted: &Mounted| {
            snapshot.catalogue.entries[mounted.entries.clone()].iter().filter(|e| rights.sees(e)).count()
        };
        snapshot
            .catalogue
            .servers
            .iter()
            .map(|mounted| (mounted, seen(mounted)))
            .filter(|(_, tools)| *tools > 0)
            .map(|(mounted, tools)| ServerView {
                id: mounted.server.name.to_string(),
                name: mounted.server.name.to_string(),
                description: mounted.server.about.to_string(),
                version: mounted.server.version.to_string(),
                running: !snapshot.stopped.contains(&mounted.server.name),
                state: mounted.server.state(),
                upstream: mounted.server.foreign.is_some(),
                tools,
                set_aside: mounted.set_aside.clone(),
            })
            .collect()
    }

    /// Start or stop a server: a stopped one lists nothing and refuses calls. Needs the `admin` action on the server.
    /// The caller persists it, if it shall outlive the process.
    pub async fn set_running(
        &self,
        caller: &Caller,
        server: &str,
        running: bool,
    ) -> Result<ServerView, Error> {
        let view = |engine: &Self| engine.servers(caller).into_iter().find(|view| view.id == server);
        if view(self).is_none() {
            return Err(no_such_server(server));
        }
        let allowed = self.0.snapshot.load().policy.permits(&caller.roles, server, "admin");
        let action = if running { "server_start" } else { "server_stop" };
        let decision = if allowed { Decision::Allow } else { Decision::Deny };
        self.event(caller, action, Some(server), decision).await?;
        if !allowed {
            return Err(Error::new(Kind::Forbidden, "only an administrator starts and stops servers"));
        }
        let name = ServerName::new(server).map_err(Error::invalid)?;
        self.0.change(|old| {
            let mut stopped = old.stopped.clone();
            if running {
                stopped.remove(&name)
            } else {
                stopped.insert(name.clone())
            };
            Snapshot::new(old.catalogue.clone(), old.policy.clone(), old.keys.clone(), stopped)
        });
        view(self).ok_or_else(|| no_such_server(server))
    }

    /// Whether this caller may read the gateway's own metrics and health details.
    pub fn may_observe(&self, caller: &Caller) -> bool {
        let policy = &self.0.snapshot.load().policy;
        policy.permits(&caller.roles, "monitoring", "read")
            || policy.permits(&caller.roles, "gateway", "health")
    }

    /// Whether this caller holds a permission that is not about a tool, e.g. `upstreams`, `admin`.
    pub fn permits(&self, caller: &Caller, resource: &str, action: &str) -> bool {
        self.0.snapshot.load().policy.permits(&caller.roles, resource, action)
    }

    /// Swap the keys; the next request sees the new ones, and whoever is no more is `gone`.
    pub fn replace_keys(&self, list: Vec<ApiKey>) {
        let fresh = Arc::new(keys(list));
        self.0.change(|old| {
            Snapshot::new(old.catalogue.clone(), old.policy.clone(), fresh.clone(), old.stopped.clone())
        });
        self.0.keys_changed.send_modify(|count| *count += 1);
    }

    /// Swap the policy; the next request sees the new one.
    pub fn replace_policy(&self, policy: Policy) {
        let policy = Arc::new(policy);
        self.0.change(|old| {
            Snapshot::new(old.catalogue.clone(), policy.clone(), old.keys.clone(), old.stopped.clone())
        });
    }

    /// Journal something that is not a call (`key_created`, `server_stop`, ...); on disk when this returns.
    pub async fn event(
        &self,
        caller: &Caller,
        what: &str,
        about: Option<&str>,
        decision: Decision,
    ) -> Result<(), Error> {
        let record = journal::event(caller, what, about, decision);
        let position = self.0.journal.append(&record)?;
        self.0.journal.durable(position).await
    }

    /// Prometheus text exposition (version 0.0.4); with a scope, one server's.
    pub fn metrics(&self, scope: Option<&str>, memory: u64) -> String {
        metrics::render(&self.0.snapshot.load().catalogue, &self.0.counters, memory, scope)
    }

    /// Use of every tool since the start, as (server, tool, use).
    pub fn tool_uses(&self) -> Vec<(String, String, ToolUse)> {
        let view = |e: &Arc<crate::Entry>| (e.server.to_string(), e.tool.to_string(), e.live.stats.view());
        self.0.snapshot.load().catalogue.entries.iter().map(view).collect()
    }

    pub fn cache_stats(&self) -> CacheStats {
        self.0.cache.stats()
    }

    /// Forget every cached result; says how many there were.
    pub fn clear_cache(&self) -> usize {
        self.0.cache.clear()
    }

    /// Health of the gateway, or of one server.
    pub async fn health(&self, scope: Option<&str>) -> Result<Report, Error> {
        let inner = &*self.0;
        let Some(name) = scope else {
            let mut checks = health::limited("gateway", (inner.checks)()).await;
            if inner.draining.load(Ordering::Acquire) {
                checks.push(Health::of("gateway", Status::Unhealthy, "shutting down"));
            }
            return Ok(Report::new(metrics::GATEWAY, env!("CARGO_PKG_VERSION"), checks));
        };
        let snapshot = inner.snapshot.load_full();
        let mounted = snapshot.catalogue.server(name).ok_or_else(|| no_such_server(name))?;
        let mut checks = vec![health::of_state(&mounted.server.state())];
        if snapshot.stopped.contains(&mounted.server.name) {
            checks.push(Health::of("running", Status::Degraded, "stopped by an administrator"));
        }
        checks.extend(health::limited(name, mounted.server.health()).await);
        Ok(Report::new(name, &mounted.server.version, checks))
    }

    /// Count a connection for `mcp_active_connections{server}`; `None` is the endpoint of all servers.
    pub fn connection(&self, scope: Option<&str>) -> ConnectionGuard {
        let server = scope.unwrap_or(metrics::GATEWAY).to_owned();
        self.0.counters.connect(&server);
        ConnectionGuard { inner: self.0.clone(), server }
    }

    /// End the streams that only wait for changes; each is answered. New ones end at once.
    pub fn end_subscriptions(&self) {
        self.0.closing.send_replace(true);
    }

    /// Refuse new calls and wait for the running ones, at most `limit`. Says how many were still running then.
    pub async fn drain(&self, limit: Duration) -> usize {
        let inner = &*self.0;
        inner.draining.store(true, Ordering::SeqCst);
        self.end_subscriptions();
        let idle = async {
            loop {
                // Told of a count that reaches zero from here on, so that none is missed between the look and the wait.
                let notified = inner.idle.notified();
                if inner.active.load(Ordering::SeqCst) == 0 {
                    return;
                }
                notified.await;
            }
        };
        let _ = tokio::time::timeout(limit, idle).await;
        inner.active.load(Ordering::Acquire)
    }
}

impl Inner {
    fn change(&self, make: impl Fn(&Snapshot) -> Snapshot) {
        let _one_at_a_time = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let old = self.snapshot.load_full();
        let fresh = make(&old).after(&old);
        self.snapshot.store(Arc::new(fresh));
    }
}
