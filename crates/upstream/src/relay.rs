//! What is asked of an upstream beside calls: completion, the watching of resources, and how it is.
//!
//! Handed to the engine with each `Mount`. Nothing here holds up anybody: how it is says the supervisor's own state.

use crate::conversation::Members;
use crate::status::State as Standing;
use crate::supervise::Hub;
use serde_json::Value;
use std::sync::Arc;
use toolgate_core::caller::Caller;
use toolgate_core::foreign::Relay;
use toolgate_core::server::{Checks, Health, State, Status};
use toolgate_core::tool::{BoxFuture, ToolError};
use toolgate_wire::result::Pairs;

// Bytes of a completion: a hundred values at most.
const MAX_COMPLETION: usize = 256 << 10;

/// The line from the engine to one upstream.
pub(crate) struct Line(pub Arc<Hub>);

impl Relay for Line {
    fn complete<'a>(
        &'a self,
        caller: &'a Arc<Caller>,
        params: Value,
    ) -> BoxFuture<'a, Result<Value, ToolError>> {
        Box::pin(async move {
            let name = &self.0.place.name;
            let conversation = self.0.conversation().await?;
            let limit = self.0.place.settings.deadline.0;
            let asking = conversation.query("completion/complete", Members::of(&params), Some(caller));
            let result = match tokio::time::timeout(limit, asking).await {
                Ok(result) => result.map_err(|trouble| trouble.into_error(name, None))?,
                Err(_) => {
                    let why =
                        format!("upstream {name}: no completion within {} s (deadline)", limit.as_secs_f64());
                    return Err(ToolError::timeout(why));
                }
            };
            let completion = Pairs::of(result.get()).into_iter().find(|(key, _)| key == "completion");
            let completion = completion.filter(|(_, raw)| raw.get().len() <= MAX_COMPLETION);
            let completion = completion.and_then(|(_, raw)| serde_json::from_str(raw.get()).ok());
            completion.ok_or_else(|| {
                ToolError::unavailable(format!("upstream {name}: its completion has no \"completion\", or one of more than {MAX_COMPLETION} bytes"))
            })
        })
    }

    fn watch(&self, uri: &str, caller: &Caller) -> Box<dyn Send + Sync> {
        self.0.watch(uri, &caller.id, true);
        Box::new(Watching { hub: self.0.clone(), uri: uri.to_owned(), caller: caller.id.clone() })
    }
}

struct Watching {
    hub: Arc<Hub>,
    uri: String,
    caller: Arc<str>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.hub.watch(&self.uri, &self.caller, false);
    }
}

impl Checks for Line {
    fn state(&self) -> State {
        State::Ready
    }

    fn health(&self) -> BoxFuture<'_, Vec<Health>> {
        let check = match self.0.status().state {
            Standing::Ready => Health::healthy("upstream"),
            Standing::Connecting => Health::of("upstream", Status::Degraded, "connecting"),
            Standing::Failing { why, .. } => Health::of("upstream", Status::Unhealthy, why),
            Standing::Disabled => Health::of("upstream", Status::Degraded, "disabled"),
        };
        Box::pin(std::future::ready(vec![check]))
    }
}
