//! `tools/call`: params to a `Call`, and what came of it to a result.

use super::progress::{Outbox, Progress};
use super::{Peer, Reply, SERVER_INFO, leads_nowhere};
use crate::Engine;
use std::error::Error as _;
use std::sync::Arc;
use toolgate_core::Call;
use toolgate_core::ctx::ProgressSink;
use toolgate_core::id::CallId;
use toolgate_wire::era::Era;
use toolgate_wire::{Fault, Id, Incoming, result};

/// A tool call that is not running yet.
pub struct Pending {
    id: Id,
    era: Era,
    call: Call,
}

/// Read a `tools/call`. Whether the tool exists and may be called is the engine's to say.
pub(super) fn prepare(
    peer: &Peer,
    request: &Incoming<'_>,
    outbox: Option<&Outbox>,
) -> Result<Pending, Fault> {
    let params = &request.params;
    let tool = params.text("name", params.name)?.into_owned();
    let arguments = params.arguments()?;
    let token = request.meta.progress_token();
    let progress = outbox
        .zip(token)
        .map(|(outbox, token)| Arc::new(Progress::new(token, outbox.clone())) as Arc<dyn ProgressSink>);
    let call = Call {
        id: CallId::new(),
        caller: peer.caller.clone(),
        client: peer.client.clone(),
        scope: peer.scope.clone(),
        tool,
        arguments,
        trace: request.meta.trace().or_else(|| peer.trace.clone()),
        progress,
    };
    Ok(Pending { id: request.id.clone(), era: peer.era(), call })
}

impl Pending {
    /// Id of the request.
    pub fn id(&self) -> &Id {
        &self.id
    }

    /// Run the call and write its answer. Dropping the future cancels the call.
    pub async fn run(self, engine: &Engine) -> Reply {
        let Self { id, era, call } = self;
        let call_id = call.id;
        let door = call.scope.clone().map(|scope| (call.caller.clone(), scope));
        match engine.call(call).await {
            Ok(outcome) => Reply::whole(result::call(era, &id, &outcome, SERVER_INFO)),
            Err(error) => {
                if let Some(source) = error.source() {
                    tracing::warn!(call = %call_id, kind = error.kind().label(), %source, "call failed");
                }
                Reply::error(era, &id, &error).at_door(|| {
                    door.is_some_and(|(caller, scope)| leads_nowhere(engine, &caller, Some(scope.as_str())))
                })
            }
        }
    }
}
