//! The admin API's upstreams: what the edge asks for, over `Federation`. Decides nothing about who may.

use super::change::{Source, Wanted, nothing};
use super::import::{self, Around, Plan};
use super::{Federation, check, secret, view};
use crate::servers;
use http::HeaderName;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use toolgate_core::tool::BoxFuture;
use toolgate_core::{Caller, Error};
use toolgate_http::upstreams::{
    Import, Imported, ImportedServer, Put, Skipped, Trial, TrialStep, Upstream as Shown, UpstreamAdmin,
};
use toolgate_upstream::Upstream;

/// The federation as the edge wants it.
pub struct Admin(pub Arc<Federation>);

impl UpstreamAdmin for Admin {
    fn forwarded(&self) -> Arc<[HeaderName]> {
        self.0.forwarded()
    }

    fn list(&self) -> BoxFuture<'_, Result<Vec<Shown>, Error>> {
        Box::pin(async move {
            let status = self.0.status();
            let of = |known: &super::Known| view::of(known, status.iter().find(|s| s.name == known.name));
            Ok(self.0.known().await?.iter().map(of).collect())
        })
    }

    fn get(&self, name: String) -> BoxFuture<'_, Result<Shown, Error>> {
        Box::pin(async move { self.one(&name).await })
    }

    fn put(
        &self,
        caller: Arc<Caller>,
        name: String,
        settings: Map<String, Value>,
    ) -> BoxFuture<'_, Result<Put, Error>> {
        Box::pin(async move {
            let mut settings: Upstream = serde_json::from_value(Value::Object(settings))
                .map_err(|problem| Error::invalid(format!("the settings do not fit: {problem}")))?;
            let before = self.0.find(&name).await?.map(|known| known.settings);
            kept(&mut settings, before.as_ref())?;
            let wanted = Wanted { name: name.clone(), settings, origin: None };
            let done = self.0.put(&caller, Source::Api, wanted).await?;
            let warnings = done.warnings.iter().map(|(path, message)| format!("{path}: {message}")).collect();
            Ok(Put { added: done.added, secrets_kept: done.kept, warnings, upstream: self.one(&name).await? })
        })
    }

    fn remove(&self, caller: Arc<Caller>, name: String) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move { self.0.remove(&caller, Source::Api, &name).await })
    }

    fn test(&self, name: String) -> BoxFuture<'_, Result<Trial, Error>> {
        Box::pin(async move {
            let known = self.0.find(&name).await?.ok_or_else(|| nothing(&name))?;
            let server = toolgate_core::name::ServerName::new(&name).map_err(Error::invalid)?;
            let report = self.0.test(&server, &known.settings).await;
            let step = |step: toolgate_upstream::Step| TrialStep {
                name: step.name.to_owned(),
                ok: step.ok,
                detail: step.detail,
                took_ms: step.took_ms,
            };
            Ok(Trial { ok: report.ok, steps: report.steps.into_iter().map(step).collect() })
        })
    }

    fn import(&self, caller: Arc<Caller>, import: Import) -> BoxFuture<'_, Result<Imported, Error>> {
        Box::pin(async move {
            let known = self.0.known().await?;
            let plan = planned(&Value::Object(import.document), &import.only, &known, &self.0.data)?;
            let answer = answered(&plan, import.apply);
            if import.apply && !plan.servers.is_empty() {
                let all = plan.servers.into_iter().map(import::Candidate::wanted).collect();
                self.0.import(&caller, Source::Api, all).await?;
            }
            Ok(answer)
        })
    }
}

impl Admin {
    async fn one(&self, name: &str) -> Result<Shown, Error> {
        let known = self.0.find(name).await?.ok_or_else(|| nothing(name))?;
        let status = self.0.status();
        Ok(view::of(&known, status.iter().find(|status| status.name == name)))
    }
}

// What stands in the environment of the gateway is not told over the network by way of an import, nor what its files hold.
fn planned(document: &Value, only: &[String], known: &[super::Known], data: &Path) -> Result<Plan, Error> {
    let given = BTreeMap::new();
    let around = Around { env: &|_| None, home: None, folder: None, data, files: false, given: &given };
    Ok(import::plan(document, &around)?.only(only)?.settle(known, data))
}

fn answered(plan: &Plan, applied: bool) -> Imported {
    Imported {
        applied: applied && !plan.servers.is_empty(),
        servers: plan
            .servers
            .iter()
            .map(|server| ImportedServer {
                name: server.name.clone(),
                original: server.original.clone(),
                change: if server.replaces { "replace" } else { "add" }.to_owned(),
                settings: view::lean(&secret::shown(&server.settings)),
                notes: server.notes.clone(),
            })
            .collect(),
        skipped: plan
            .skipped
            .iter()
            .map(|skipped| Skipped { original: skipped.original.clone(), reason: skipped.reason.clone() })
            .collect(),
    }
}

// Who puts back what was shown keeps the secrets that were not.
fn kept(settings: &mut Upstream, before: Option<&Upstream>) -> Result<(), Error> {
    let mut missing = None;
    secret::values_mut(settings, &mut |section, key, value| {
        if !value.contains(secret::HIDDEN) {
            return;
        }
        let old = before
            .and_then(|before| if section == "env" { before.env.get(key) } else { before.headers.get(key) });
        match old.filter(|old| secret::masked(old) == *value) {
            Some(old) => *value = old.clone(),
            None => {
                missing = Some(format!(
                    "{section}.{key}: \"***\" keeps the value that is there, and it is another or none"
                ))
            }
        }
    });
    let old = before.map(|before| &before.args);
    if settings.args.iter().any(|arg| arg.contains(secret::HIDDEN)) {
        match old.filter(|old| secret::arguments(old) == settings.args) {
            Some(old) => settings.args = old.clone(),
            None => {
                missing =
                    Some("args: \"***\" keeps what is there only where nothing of `args` changes".to_owned())
            }
        }
    }
    missing.map_or(Ok(()), |why| Err(Error::invalid(why)))
}

/// The name as one of an upstream, for commands.
pub fn server_name(name: &str) -> Result<toolgate_core::name::ServerName, Error> {
    check::name(name, servers::known().servers).map_err(Error::invalid)
}
