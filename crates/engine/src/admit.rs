//! `admit`: the only place that decides. Call -> Permit.
//!
//! In this order: is the gateway open, the caller's rate, may it be seen, arguments, policy for this very effect, the
//! tool's rate, approval, the cache, circuit breaker, a slot. A tool that may not be seen answers exactly like one that
//! does not exist. (Definition pins, freeze switches and budgets will stand between policy and rate.)

use crate::Inner;
use crate::breaker::Pass;
use crate::cache;
use crate::catalogue::{Entry, Found};
use crate::patience::Patience;
use crate::rate;
use crate::slots::Held;
use crate::snapshot::Rights;
use crate::trail::{MAX_MESSAGE, Trail};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};
use toolgate_core::json::Json;
use toolgate_core::policy::Verdict;
use toolgate_core::record::Decision;
use toolgate_core::tool::Ready;
use toolgate_core::{
    Call, Ctx, Effect, Error, Face, JsonText, Kind, Outcome, ToolError, ToolOutput, canon, redact,
};

/// The granted right to run one call once. Only `admit` makes one; running consumes it.
pub(crate) struct Permit<'a> {
    pub(crate) entry: &'a Arc<Entry>,
    pub(crate) arguments: &'a JsonText,
    pub(crate) ready: Box<dyn Ready>,
    pub(crate) ctx: Ctx,
    pub(crate) patience: Patience,
    pub(crate) cache_key: Option<cache::Key>,
    pub(crate) pass: Option<Pass<'a>>,
    pub(crate) _slot: Held,
    // Nobody outside can make one.
    _made_here: (),
}

#[expect(clippy::large_enum_variant, reason = "moved once and never stored")]
pub(crate) enum Admission<'a> {
    Run(Permit<'a>),
    /// Answered without running: from the cache, or arguments that the tool's own types refuse.
    Answer(Outcome),
}

pub(crate) async fn admit<'a>(
    inner: &'a Inner,
    rights: &Rights,
    found: &'a Found<'a>,
    stopped: bool,
    call: &'a Call,
    trail: &mut Trail,
) -> Result<Admission<'a>, Error> {
    let now = Instant::now();
    let deny = |trail: &mut Trail, rule: &str| trail.decided(Decision::Deny, rule.into(), None);

    if inner.draining.load(Ordering::SeqCst) {
        deny(trail, "gateway: shutting down");
        return Err(
            Error::new(Kind::Unavailable, "the gateway is shutting down").retry_after(Duration::from_secs(5))
        );
    }
    let key = rate::Key { caller: call.caller.id.clone(), tool: None };
    if let Err(wait) = inner.buckets.take(key, inner.settings.per_caller, now) {
        deny(trail, "rate: per caller");
        return Err(too_fast("all your calls", inner.settings.per_caller, wait));
    }

    let entry = match &found.entries[..] {
        [] => {
            deny(trail, "no such tool for this caller");
            return Err(no_such(call.face, &call.tool));
        }
        [entry] => *entry,
        several => {
            deny(trail, "ambiguous name");
            let names: Vec<&str> = several.iter().map(|e| e.exposed.as_str()).collect();
            return Err(Error::invalid(format!(
                "{} may mean {}; use one of these",
                call.tool,
                names.join(" or ")
            )));
        }
    };
    trail.tool(entry);
    if stopped {
        deny(trail, "server stopped by an administrator");
        return Err(Error::new(Kind::Unavailable, format!("the server {} is stopped", entry.server)));
    }

    let given = found.variables.as_ref().unwrap_or(&call.arguments);
    let arguments = match Json::parse(given.get()) {
        Ok(object @ Json::Object(_)) => object,
        Ok(_) => {
            deny(trail, "arguments: not an object");
            return Ok(Admission::Answer(refused("the arguments must be one JSON object")));
        }
        Err(problem) => {
            deny(trail, "arguments: not to be read");
            let problem = redact::shortened(&redact::text(&problem.to_string()), MAX_MESSAGE);
            return Ok(Admission::Answer(refused(format!("the arguments cannot be read: {problem}"))));
        }
    };
    let digest = canon::digest(&arguments);
    trail.arguments(&digest, redact::arguments(&arguments));
    drop(arguments);
    let ready = match entry.run.prepare(given) {
        Ok(ready) => ready,
        Err(problem) => {
            deny(trail, "arguments: refused by the tool's schema");
            // It echoes what was sent, whatever its size.
            let problem = redact::shortened(&redact::text(&problem), MAX_MESSAGE);
            return Ok(Admission::Answer(refused(format!(
                "invalid arguments for {}: {problem}",
                entry.tool
            ))));
        }
    };

    let effect = ready.effect();
    let policy = rights.of(entry);
    let rule = match policy.verdict(effect) {
        Verdict::Allow(rule) => rule.clone(),
        Verdict::Deny(rule) => {
            trail.decided(Decision::Deny, rule.clone(), Some(effect));
            let may = "you may call this tool, but not with these arguments: they would";
            return Err(Error::new(Kind::Forbidden, format!("{may} {} something", effect.label())));
        }
    };
    let key = rate::Key { caller: call.caller.id.clone(), tool: Some(entry.live.id) };
    if let Err(wait) = inner.buckets.take(key, policy.rate, now) {
        trail.decided(Decision::Deny, "rate: per tool".into(), Some(effect));
        return Err(too_fast(&entry.tool, policy.rate, wait));
    }
    if policy.approval {
        trail.decided(Decision::Deny, "approval: required".into(), Some(effect));
        return Err(Error::new(
            Kind::ApprovalRequired,
            "this call needs a person's approval, which this gateway cannot ask for yet; an administrator can change \
             the tool's policy",
        ));
    }
    trail.decided(Decision::Allow, rule, Some(effect));

    let cache_key = entry.spec.cache.filter(|_| effect == Effect::Read).map(|_| cache::Key {
        tool: entry.live.id,
        arguments: digest,
        rights: rights.digest,
    });
    if let Some(output) = cache_key.as_ref().and_then(|key| inner.cache.get(key, now)) {
        trail.cached();
        return Ok(Admission::Answer(Outcome::Done(output)));
    }

    let pass = match entry.spec.breaker.then(|| entry.live.breaker.pass(now)).transpose() {
        Ok(pass) => pass,
        Err(wait) => {
            deny(trail, "breaker: open");
            return Err(Error::new(
                Kind::Unavailable,
                format!(
                    "{} of {} failed several times in a row and rests; try again in {} s",
                    entry.tool,
                    entry.server,
                    wait.as_secs().max(1)
                ),
            )
            .retry_after(wait));
        }
    };
    let limit = entry.spec.timeout.min(inner.settings.max_duration.0);
    let slot = entry.slots.take(&call.caller.id, limit).await.inspect_err(|_| deny(trail, "slots: busy"))?;
    let slot = Held::new(slot);
    let upstream = entry.relay.is_some().then(|| entry.server.clone());
    let patience = Patience::new(entry.spec.timeout, inner.settings.max_duration.0).of_upstream(upstream);
    let ctx = Ctx::new(call.id, call.caller.clone(), effect, patience.hard().into_std())
        .with_sign(patience.sign())
        .with_rest(slot.rest())
        .with_trace(call.trace.clone())
        .with_forwarded(call.forwarded.clone())
        .with_link(call.link.clone())
        .with_tell(entry.tell.clone());
    Ok(Admission::Run(Permit {
        entry,
        arguments: given,
        ready,
        ctx,
        patience,
        cache_key,
        pass,
        _slot: slot,
        _made_here: (),
    }))
}

/// The same words for what is not there and what may not be seen.
pub(crate) fn no_such(face: Face, name: &str) -> Error {
    let shown: String = name.chars().take(128).collect();
    let uri: String = name.chars().take(toolgate_core::uri::MAX_URI).collect();
    let (what, list) = match face {
        Face::Tool => ("tool", "tools/list"),
        Face::Prompt => ("prompt", "prompts/list"),
        Face::Resource => ("resource", "resources/list"),
    };
    let error = Error::new(
        Kind::NotFound,
        format!("there is no {what} {shown:?} here; {list} names those there are"),
    );
    if face == Face::Resource { error.with_data(serde_json::json!({ "uri": uri })) } else { error }
}

fn refused(text: impl Into<std::borrow::Cow<'static, str>>) -> Outcome {
    Outcome::Refused(ToolError::invalid(text))
}

fn too_fast(what: &str, rate: toolgate_core::unit::Rate, wait: Duration) -> Error {
    let seconds = wait.as_secs_f64().max(0.001);
    Error::new(Kind::RateLimited, format!("{what}: at most {rate}; try again in {seconds:.3} s"))
        .retry_after(wait)
}

/// What a run gives back for the cache.
pub(crate) fn keep(inner: &Inner, entry: &Entry, key: Option<cache::Key>, output: &ToolOutput) {
    if let (Some(key), Some(ttl)) = (key, entry.spec.cache) {
        inner.cache.put(key, output.clone(), ttl, Instant::now());
    }
}
