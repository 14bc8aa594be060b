//! An upstream tried out, step by step: for `upstreams test` and `doctor upstream`.

use crate::conversation::{Conversation, Lot, Place};
use crate::settings::Upstream;
use crate::status::{Cause, Report, Step, era};
use crate::supervise::{self, Hub};
use crate::transport::Open;
use std::sync::Arc;
use std::time::Instant;
use toolgate_core::name::ServerName;

/// Try it out; what is made for this ends with it.
pub(crate) async fn run(name: &ServerName, upstream: &Upstream, open: &Open) -> Report {
    let mut steps = Vec::new();
    let ok = all(name, upstream, open, &mut steps).await.is_some();
    Report { name: name.as_str().to_owned(), ok, steps }
}

fn step(
    steps: &mut Vec<Step>,
    name: &'static str,
    began: Instant,
    done: Result<String, (Cause, String)>,
) -> Option<()> {
    let ok = done.is_ok();
    let (cause, detail) = match done {
        Ok(detail) => (None, detail),
        Err((cause, why)) => (Some(cause), why),
    };
    let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    steps.push(Step { name, ok, cause, detail, took_ms });
    ok.then_some(())
}

async fn all(name: &ServerName, upstream: &Upstream, open: &Open, steps: &mut Vec<Step>) -> Option<()> {
    let began = Instant::now();
    let place = match (&upstream.url, &upstream.command) {
        (Some(url), None) => Ok(format!("endpoint {}", without_credentials(url))),
        (None, Some(command)) => Ok(format!("program {command}")),
        (Some(_), Some(_)) => Err((Cause::Settings, "both url and command are set; keep one".to_owned())),
        (None, None) => Err((Cause::Settings, "neither url nor command is set".to_owned())),
    };
    step(steps, "settings", began, place)?;
    let began = Instant::now();
    let place = Arc::new(Place::new(name.as_str(), upstream.clone(), open.clone(), Arc::<Lot>::default()));
    let (conversation, listed) = match supervise::connect(&place).await {
        Ok(connected) => connected,
        Err(failure) => {
            let cause = Cause::of(&failure, upstream.command.is_some());
            step(steps, "connect", began, Err((cause, failure.message)));
            return None;
        }
    };
    let face = conversation.face();
    let who = |key: &str| face.info[key].as_str().map(crate::short).unwrap_or_default();
    let session = match &*conversation {
        Conversation::Legacy(_) => "with sessions",
        Conversation::Modern(_) => "without sessions",
    };
    let spoken = era(conversation.era());
    let found = format!("{spoken} ({}), {session}: {} {}", face.version, who("name"), who("version"));
    step(steps, "connect", began, Ok(found.trim_end().to_owned()))?;
    let counts = format!(
        "{} tools, {} prompts, {} resources, {} templates",
        listed.tools.len(),
        listed.prompts.len(),
        listed.resources.len(),
        listed.templates.len()
    );
    step(steps, "lists", began, Ok(counts))?;
    let began = Instant::now();
    let hub = Arc::new(Hub::new(name.clone(), place, Arc::default()));
    let mount = hub.mount(&conversation, listed);
    let aside: Vec<String> = mount
        .foreign
        .iter()
        .flat_map(|foreign| foreign.set_aside.iter())
        .map(|aside| format!("{}: {}", aside.name, aside.reason))
        .collect();
    let offered = format!("{} tools offered", mount.tools.len());
    let detail =
        if aside.is_empty() { offered } else { format!("{offered}; set aside: {}", aside.join("; ")) };
    step(steps, "offers", began, Ok(detail))?;
    if let Some(last) = steps.last_mut().filter(|_| !aside.is_empty()) {
        last.cause = Some(Cause::SetAside);
    }
    Some(())
}

fn without_credentials(url: &str) -> String {
    let Ok(mut url) = url::Url::parse(url) else { return "that is not a URL".to_owned() };
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.set_query(None);
    url.to_string()
}
