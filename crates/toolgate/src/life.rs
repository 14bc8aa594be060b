//! The life of a serving process: taking changes over while it runs, and ending in order.
//!
//! Used by `serve` and `stdio`. What the store holds (keys, stopped servers, upstreams) is taken over
//! when the control socket says so (at once) or when the store's version, asked every second, shows that another process
//! wrote. SIGHUP reads the configuration and keys again: policy, virtual servers, upstreams and log level are taken over, and
//! of other changes it is said that they need a restart. The first SIGTERM or SIGINT ends in order,
//! the second at once.

use crate::config::Sources;
use crate::control::Control;
use crate::servers;
use crate::upstreams::Configured;
use crate::wiring::Gate;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinSet;

/// How often the store is asked whether another process changed it.
const POLL: Duration = Duration::from_secs(1);
/// How long running calls may take to end after a shutdown was asked for.
pub const DRAIN: Duration = Duration::from_secs(30);

/// Tasks that keep a gate up to date; they end when this is dropped.
pub struct Watch {
    tasks: JoinSet<()>,
}

/// Begin to take changes over; those since the gate was opened are taken over when this returns. `url`: where this process
/// listens, if it does.
pub async fn watch(gate: &Arc<Gate>, sources: &Sources, url: Option<String>) -> Result<Watch> {
    let control = Control::bind(&gate.dir.run(), url, gate.in_effect())?;
    let mut hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let mut tasks = JoinSet::new();
    let shared = gate.clone();
    tasks.spawn(control.serve(move || {
        let gate = shared.clone();
        async move { gate.reload().await }
    }));
    tasks.spawn(poll(gate.clone(), gate.store.data_version().await?));
    // A change between the opening of the gate and the binding of the socket has reached neither.
    gate.reload().await?;
    let (gate, sources) = (gate.clone(), sources.clone());
    tasks.spawn(async move {
        while hangup.recv().await.is_some() {
            match reload(&gate, &sources).await {
                Ok(waiting) if waiting.is_empty() => tracing::info!("configuration and keys read again"),
                Ok(waiting) => tracing::warn!(
                    settings = waiting.join(", "),
                    "configuration and keys read again; these settings changed and need a restart"
                ),
                // The old ones stay in force: a typing error must not open or close the door.
                Err(problem) => failed("reload", &problem),
            }
        }
    });
    Ok(Watch { tasks })
}

// Says which changed settings need a restart.
async fn reload(gate: &Gate, sources: &Sources) -> Result<Vec<String>> {
    let sources = sources.clone();
    let fresh =
        tokio::task::spawn_blocking(move || crate::config::load(&sources, servers::known())).await??;
    // Journaled first: what cannot be recorded is not done.
    gate.event("policy_reloaded", None).await?;
    gate.upstreams.reconfigure(Configured::of(&fresh));
    gate.reload().await?;
    let waiting = gate.take_over(&fresh);
    crate::control::changed(&gate.dir.run(), gate.in_effect())?;
    Ok(waiting)
}

async fn poll(gate: Arc<Gate>, mut seen: i64) {
    let mut ticks = tokio::time::interval(POLL);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut ill = false;
    loop {
        ticks.tick().await;
        let looked = async {
            let version = gate.store.data_version().await?;
            if seen != version {
                gate.reload().await?;
            }
            anyhow::Ok(version)
        };
        match looked.await {
            Ok(version) => (seen, ill) = (version, false),
            // Said once, not every second.
            Err(problem) if !ill => {
                failed("looking for changes", &problem);
                ill = true;
            }
            Err(_) => {}
        }
    }
}

/// The `error` event of the log.
pub fn failed(context: &str, problem: &anyhow::Error) {
    tracing::error!(target: "error", error_type = "gateway", error_message = format!("{problem:#}"), context);
}

/// SIGTERM and SIGINT.
pub struct Stop {
    terminate: Signal,
    interrupt: Signal,
}

impl Stop {
    /// From now on these signals do not end the process by themselves.
    pub fn new() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).context("SIGTERM")?,
            interrupt: signal(SignalKind::interrupt()).context("SIGINT")?,
        })
    }

    async fn next(&mut self) -> i32 {
        tokio::select! {
            _ = self.terminate.recv() => 15,
            _ = self.interrupt.recv() => 2,
        }
    }

    /// Wait for the first signal; a second one ends the process at once.
    pub async fn asked(mut self) {
        let first = self.next().await;
        tracing::info!(signal = first, "stopping; a second signal stops at once");
        tokio::spawn(async move {
            let second = self.next().await;
            crate::logging::flush();
            std::process::exit(128 + second);
        });
    }
}

/// End in order: no new call, running ones finish, the journal is closed.
pub async fn end(gate: Arc<Gate>, watch: Watch) -> Result<()> {
    let left = gate.engine.drain(DRAIN).await;
    if left > 0 {
        tracing::warn!(calls = left, "calls still running are cut off");
    }
    // A journal that cannot be written is said, and keeps nothing else from being put away.
    let said = gate.event("gateway_stopped", None).await;
    let mut tasks = watch.tasks;
    tasks.shutdown().await;
    let closed = gate.put_away().await;
    said.and(closed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wiring;
    use toolgate_core::Caller;

    fn sources(dir: &std::path::Path) -> Sources {
        let mut sources = Sources { cwd: dir.to_path_buf(), ..Sources::default() };
        sources.flags.data = Some(dir.join("data").display().to_string());
        sources.config = Some(dir.join("toolgate.yaml"));
        sources
    }

    async fn gate(dir: &std::path::Path) -> Arc<Gate> {
        std::fs::write(dir.join("toolgate.yaml"), "version: 1\n").unwrap();
        let settings = crate::config::load(&sources(dir), servers::known()).unwrap();
        Arc::new(wiring::open(settings, "serve").await.unwrap())
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_journal_that_cannot_be_written_keeps_nothing_from_being_put_away() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path()).await;
        let watch = watch(&gate, &sources(dir.path()), None).await.unwrap();
        gate.journal.close().await.unwrap();
        assert!(end(gate.clone(), watch).await.is_err(), "and it is said");
        assert_eq!(std::fs::read_dir(gate.dir.run()).unwrap().count(), 0, "the control socket is gone");
        assert!(gate.store.list_keys().await.is_err(), "the store is closed");
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_policy_that_cannot_be_journaled_does_not_come_into_force() {
        let dir = tempfile::tempdir().unwrap();
        let gate = gate(dir.path()).await;
        let guest = Caller::new("x", "x", ["guest"]);
        // As `watch` does.
        let _control = Control::bind(&gate.dir.run(), None, gate.in_effect()).unwrap();
        let opened = "version: 1\nlimits: { per_tool: 2/1m }\nlog: { level: debug }\nroles: { guest: { permissions: [\"monitoring:read\"] } }\n";
        std::fs::write(dir.path().join("toolgate.yaml"), opened).unwrap();
        let waiting = reload(&gate, &sources(dir.path())).await.unwrap();
        assert!(gate.engine.may_observe(&guest));
        assert_eq!(waiting, ["limits.per_tool"], "what needs a restart is said");
        let about = std::fs::read(gate.dir.run().join(format!("{}.json", std::process::id()))).unwrap();
        let said: crate::control::Running = serde_json::from_slice(&about).unwrap();
        assert_eq!(said.settings["log.level"], "debug", "taken over");
        assert_ne!(said.settings["limits.per_tool"], "2/1m", "not in effect");
        std::fs::write(dir.path().join("toolgate.yaml"), "version: 1\n").unwrap();
        gate.journal.close().await.unwrap();
        assert!(reload(&gate, &sources(dir.path())).await.is_err());
        assert!(gate.engine.may_observe(&guest), "the old policy stays");
    }
}
