//! `toolgate upstreams …`: the upstreams of the store, changed and looked at.
//!
//! Each change is journaled first, written to the store, and taken over by every running process before the command ends.

mod add;
mod import;
mod look;

use super::keys::{finish, tell, warn};
use crate::cli::Upstreams;
use crate::config::Settings;
use crate::output::Out;
use crate::upstreams::change::Source;
use crate::wiring::{self, Gate};
use anyhow::Result;
use serde_json::json;

pub async fn run(command: Upstreams, settings: Settings, out: Out) -> Result<()> {
    match command {
        Upstreams::Add(args) => add::run(*args, settings, out).await,
        Upstreams::List { names: true, .. } => look::names(&settings, out).await,
        Upstreams::List { given, names: false } => look::list(settings, &given, out).await,
        Upstreams::Show { name, given } => look::show(settings, &name, &given, out).await,
        Upstreams::Remove { name } => {
            let gate = wiring::open(settings, "cli").await?;
            gate.upstreams
                .remove(&wiring::local_caller(), Source::Cli, &name)
                .await
                .map_err(wiring::public)?;
            told(gate, &name, "removed", out).await
        }
        Upstreams::Enable { name } => enable(settings, &name, true, out).await,
        Upstreams::Disable { name } => enable(settings, &name, false, out).await,
        Upstreams::Test { name, given } => look::test(settings, &name, &given, out).await,
        Upstreams::Import(args) => import::run(args, settings, out).await,
    }
}

async fn enable(settings: Settings, name: &str, enabled: bool, out: Out) -> Result<()> {
    let gate = wiring::open(settings, "cli").await?;
    let caller = wiring::local_caller();
    gate.upstreams.enable(&caller, Source::Cli, name, enabled).await.map_err(wiring::public)?;
    told(gate, name, if enabled { "enabled" } else { "disabled" }, out).await
}

// Say what was done once every running process has taken it over.
async fn told(gate: Gate, name: &str, done: &str, out: Out) -> Result<()> {
    let told = tell(gate).await?;
    if out.json {
        out.value(&json!({ "name": name, "done": done, "processes": told }))?;
    } else {
        out.line(format!("{name} {done}"))?;
        warn(&told);
    }
    finish(&told)
}
