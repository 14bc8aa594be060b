//! Run a permitted call: Permit -> Outcome. Intent, deadlines, panic barrier, retry of reads, output cap, redaction.
//!
//! The barrier here makes a tool's panic a fault like others, for breaker and retry; `Engine::call` has one for the rest.

use crate::Inner;
use crate::admit::{Permit, keep};
use crate::patience::Patience;
use crate::trail::{Answer, Trail};
use futures_util::FutureExt;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use toolgate_core::tool::Ready;
use toolgate_core::{Ctx, Effect, Error, JsonText, Kind, Outcome, ToolError, ToolOutput, redact};

// Wait before the second try of a read, and twice as long before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(50);
// Longest result that is searched for secrets where it is, in bytes.
const MAX_INLINE: usize = 256 * 1024;

pub(crate) async fn run(inner: &Inner, permit: Permit<'_>, trail: &mut Trail) -> Answer {
    let Permit { entry, arguments, ready, ctx, patience, cache_key, pass, .. } = permit;
    if ctx.effect > Effect::Read {
        trail.intent().await?;
    }
    trail.ran_from = Some(Instant::now());
    let mut outcome = attempt(ready, &ctx, &patience).await;
    let mut wait = FIRST_WAIT;
    for _ in 1..inner.settings.read_attempts {
        let again = ctx.effect == Effect::Read
            && matches!(&outcome, Err(e) if e.kind.retryable())
            && tokio::time::Instant::now() + wait < patience.ends();
        let Some(ready) = again.then(|| entry.run.prepare(arguments).ok()).flatten() else { break };
        tokio::time::sleep(wait).await;
        wait *= 2;
        outcome = attempt(ready, &ctx, &patience).await;
    }
    if let Some(pass) = pass {
        match &outcome {
            Err(error) if error.kind.is_fault() => pass.failed(Instant::now()),
            _ => pass.succeeded(),
        }
    }
    let outcome = outcome.and_then(|output| bounded(output, entry.spec.max_output.min(inner.max_output)));
    Ok(match outcome {
        Ok(output) => {
            let output = clean(output).await?;
            if !output.failed {
                keep(inner, entry, cache_key, &output);
            }
            Outcome::Done(output)
        }
        Err(mut error) => {
            if let std::borrow::Cow::Owned(masked) = redact::text(&error.message) {
                error.message = masked.into();
            }
            if error.protocol {
                return Err(error.into());
            }
            Outcome::Refused(error)
        }
    })
}

async fn attempt(ready: Box<dyn Ready>, ctx: &Ctx, patience: &Patience) -> Result<ToolOutput, ToolError> {
    let guarded = AssertUnwindSafe(ready.run(ctx)).catch_unwind();
    let ended = tokio::select! {
        biased;
        ended = guarded => ended,
        error = patience.over() => return Err(error),
    };
    match ended {
        Ok(result) => result,
        Err(_panic) => {
            tracing::error!(target: "error", error_type = "panic", error_message = "a tool panicked", context = %ctx.call_id);
            Err(ToolError::new(
                Kind::Internal,
                "the tool failed unexpectedly; the operator's log has the details",
            ))
        }
    }
}

fn bounded(output: ToolOutput, most: usize) -> Result<ToolOutput, ToolError> {
    if output.bytes() <= most {
        return Ok(output);
    }
    Err(ToolError::too_large(format!(
        "the result has {} bytes, {most} are allowed; ask for less (a limit, a range, a narrower filter)",
        output.bytes()
    )))
}

// A long result is searched beside the runtime's threads, which have others to serve, and only two at a time, so that
// these threads leave them the processor.
async fn clean(output: ToolOutput) -> Result<ToolOutput, Error> {
    static LONG: Semaphore = Semaphore::const_new(2);
    if output.bytes() <= MAX_INLINE {
        return masked(output);
    }
    let _turn = LONG.acquire().await.map_err(Error::internal)?;
    tokio::task::spawn_blocking(|| masked(output)).await.map_err(Error::internal)?
}

fn masked(output: ToolOutput) -> Result<ToolOutput, Error> {
    match redact::text(output.json.get()) {
        std::borrow::Cow::Borrowed(_) => Ok(output),
        std::borrow::Cow::Owned(masked) => {
            let json = JsonText::parse(masked).map_err(Error::internal)?;
            Ok(ToolOutput { json, ..output })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_results_are_masked_beside_the_runtime() {
        // One thread beside the runtime, which is busy until it is told: nothing that is done there can be done before.
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.max_blocking_threads(1).build().unwrap().block_on(masked_beside());
    }

    async fn masked_beside() {
        let (free, told) = std::sync::mpsc::channel::<()>();
        let busy = tokio::task::spawn_blocking(move || told.recv());
        let secret = format!("ghp_{}", "a".repeat(36));
        let output = |more: usize| {
            let text = serde_json::json!({ "text": format!("{secret} {}", "x".repeat(more)) }).to_string();
            ToolOutput { json: JsonText::parse(text).unwrap(), whole: false, failed: false }
        };
        assert!(clean(output(10)).now_or_never().is_some_and(|shown| shown.is_ok()));
        assert!(clean(output(MAX_INLINE)).now_or_never().is_none(), "it would hold a thread of the runtime");
        free.send(()).unwrap();
        busy.await.unwrap().unwrap();
        let shown = clean(output(MAX_INLINE)).await.unwrap();
        assert!(shown.json.get().starts_with(&format!("{{\"text\":\"{} x", redact::MASK)));
    }
}
