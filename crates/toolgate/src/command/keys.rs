//! `toolgate keys create | list | revoke`.
//!
//! Each change is journaled first, written to the store, and taken over by every running process before the command ends.

use crate::cli::Keys;
use crate::config::{Settings, nearest::nearest};
use crate::control;
use crate::data_dir::DataDir;
use crate::exit;
use crate::key::KeyText;
use crate::output::{Out, Paint};
use crate::wiring::{self, Gate};
use anyhow::{Context, Result};
use jiff::Timestamp;
use serde_json::json;

pub async fn run(command: Keys, settings: Settings, out: Out) -> Result<()> {
    match command {
        Keys::Create { name, roles, expires } => create(settings, &name, roles, expires, out).await,
        Keys::List => list(&settings, out).await,
        Keys::Revoke { id } => revoke(settings, &id, out).await,
    }
}

async fn create(
    settings: Settings,
    name: &str,
    roles: Vec<String>,
    expires: Option<toolgate_core::unit::Span>,
    out: Out,
) -> Result<()> {
    roles_exist(&settings, &roles)?;
    if expires.is_some_and(|span| span.0.is_zero()) {
        return Err(exit::usage("--expires 0 makes a key that never works; give at least 1s"));
    }
    let expires_at =
        expires.map(|span| Timestamp::now().checked_add(span.0)).transpose().context("--expires")?;
    let (key, stored, told) = make(settings, name, roles, expires_at, |_, _| Ok(())).await?;
    if out.json {
        out.value(&json!({ "key": key.reveal(), "about": stored, "processes": told }))?;
    } else {
        out.line(key.reveal())?;
        eprintln!("This is the only time the key is shown. Its id is {}.", key.id());
        warn(&told);
    }
    finish(&told)
}

/// Refuse roles that the policy does not have.
pub fn roles_exist(settings: &Settings, roles: &[String]) -> Result<()> {
    let known: Vec<&str> = settings.policy.roles().collect();
    for role in roles {
        if !known.contains(&role.as_str()) {
            let hint = nearest(role, known.iter().copied());
            let hint = hint.map_or(String::new(), |word| format!("; did you mean {word:?}?"));
            return Err(exit::usage(format!(
                "there is no role {role:?}{hint} (roles of {}: {}); is it a role of the file that the server was started \
                 with, give that here too: --config FILE",
                settings.file.as_ref().map_or("the defaults".to_owned(), |file| file.display().to_string()),
                known.join(", ")
            )));
        }
    }
    Ok(())
}

/// Make a key, and have every running process know it. `keep` is called before it is one.
pub async fn make(
    settings: Settings,
    name: &str,
    roles: Vec<String>,
    expires_at: Option<Timestamp>,
    keep: impl FnOnce(&DataDir, &KeyText) -> Result<()>,
) -> Result<(KeyText, toolgate_store::Key, Vec<control::Told>)> {
    let gate = wiring::open(settings, "cli").await?;
    let key = KeyText::generate()?;
    gate.event("key_created", Some(&format!("{} {name} {}", key.id(), roles.join(",")))).await?;
    keep(&gate.dir, &key)?;
    let stored = wiring::insert_key(&gate.store, &key, name, roles, expires_at).await?;
    let told = tell(gate).await?;
    Ok((key, stored, told))
}

async fn list(settings: &Settings, out: Out) -> Result<()> {
    let dir = DataDir::open(&settings.data)?;
    let keys = wiring::open_store(&dir).await?.list_keys().await?;
    if out.json {
        return Ok(out.value(&keys)?);
    }
    let now = Timestamp::now();
    let rows = keys
        .into_iter()
        .map(|key| {
            let state = match (key.revoked_at, key.is_active(now)) {
                (Some(_), _) => out.paint(Paint::Bad, "revoked"),
                (None, true) => out.paint(Paint::Good, "active"),
                (None, false) => out.paint(Paint::Warn, "expired"),
            };
            let time =
                |at: Option<Timestamp>| at.map_or("-".to_owned(), |at| at.strftime("%F %T").to_string());
            vec![
                key.id.clone(),
                key.name.clone(),
                key.roles.join(", "),
                state,
                time(Some(key.created_at)),
                time(key.expires_at),
                time(key.last_used_at),
            ]
        })
        .collect();
    Ok(out.table(
        &["id", "name", "roles", "state", "created", "expires", "last used"],
        rows,
        "There is no key.",
    )?)
}

async fn revoke(settings: Settings, id: &str, out: Out) -> Result<()> {
    DataDir::open(&settings.data)?;
    // People paste whole keys; the id is in them.
    let id = KeyText::parse(id).map_or_else(|_| id.to_owned(), |key| key.id().to_owned());
    let gate = wiring::open(settings, "cli").await?;
    let keys = gate.store.list_keys().await?;
    let Some(key) = keys.into_iter().find(|key| key.id == id) else {
        anyhow::bail!("there is no key {id:?}; `toolgate keys list` shows their ids");
    };
    gate.event("key_revoked", Some(&format!("{} {}", key.id, key.name))).await?;
    let changed = gate.store.revoke_key(&id).await?;
    let told = tell(gate).await?;
    if out.json {
        out.value(&json!({ "id": id, "revoked": true, "changed": changed, "processes": told }))?;
    } else {
        let what = if changed { "revoked" } else { "was revoked already" };
        out.line(format!("{id} ({}) {what}", key.name))?;
        warn(&told);
    }
    finish(&told)
}

/// Tell every running process, then put this one away.
pub(super) async fn tell(gate: Gate) -> Result<Vec<control::Told>> {
    let told = control::tell_all(&gate.dir.run(), "reload").await;
    gate.close().await?;
    Ok(told)
}

pub fn warn(told: &[control::Told]) {
    for told in told {
        if let Some(problem) = &told.problem {
            eprintln!(
                "toolgate: process {} did not confirm the change ({problem}); it looks for changes every second by \
                 itself. If it hangs, end it: kill {}",
                told.pid, told.pid
            );
        }
    }
}

// A change that a process did not confirm is stored but not known to be in force everywhere: exit 1.
pub(super) fn finish(told: &[control::Told]) -> Result<()> {
    if told.iter().any(|told| told.problem.is_some()) { Err(exit::Silent.into()) } else { Ok(()) }
}
