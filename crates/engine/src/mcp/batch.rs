//! Batches, which only 2025-03-26 has: each message for itself, the answers in one array.
//!
//! The transport enters every request of a batch where it enters single ones, so that each can be cancelled and all are
//! counted; a batch for which there is no room is refused whole, before any of it has begun.

use super::{Peer, Reply, Step, start};
use crate::Engine;
use futures_util::future::{AbortRegistration, Abortable, join_all};
use toolgate_core::{Error, Kind};
use toolgate_wire::era::Era;
use toolgate_wire::message::Message;
use toolgate_wire::{Fault, Id, Incoming, Malformed};

/// A batch that is not running yet.
pub struct Batch {
    steps: Vec<(Step, Option<AbortRegistration>)>,
    /// Requests that its notifications cancel.
    pub cancelled: Vec<Id>,
}

/// Ids of the requests of a batch, in their order.
pub fn ids(messages: &[Result<Message<'_>, Malformed>]) -> Vec<Id> {
    let request = |message: &Result<Message<'_>, Malformed>| match message {
        Ok(Message::Request(request)) => Some(request.id.clone()),
        _ => None,
    };
    messages.iter().filter_map(request).collect()
}

/// Begin to answer a batch; `entered` are its requests as the transport entered them, in the order of `ids`. `initialize`
/// is no part of one, by the specification.
pub fn begin(
    engine: &Engine,
    peer: &Peer,
    messages: Vec<Result<Message<'_>, Malformed>>,
    entered: Vec<AbortRegistration>,
) -> Batch {
    let mut batch = Batch { steps: Vec::new(), cancelled: Vec::new() };
    let mut entered = entered.into_iter();
    for message in messages {
        let mut stop = None;
        let request = match message {
            Ok(Message::Request(request)) => {
                stop = entered.next();
                Incoming::of(request)
            }
            Ok(Message::Notification { method, params }) => {
                batch.cancelled.extend(super::cancelled(&method, params));
                continue;
            }
            Ok(Message::Response { .. }) => continue,
            Err(malformed) => Err(malformed),
        };
        let step = match request {
            Err(malformed) => Step::Done(Reply::malformed(Era::Legacy, &malformed)),
            Ok(request) if request.method == "initialize" => {
                let fault = Fault::invalid_request("Invalid request: initialize cannot be part of a batch");
                Step::Done(Reply::fault(Era::Legacy, Some(&request.id), &fault))
            }
            Ok(request) => start(engine, peer, &request, None),
        };
        batch.steps.push((step, stop));
    }
    batch
}

impl Batch {
    /// Whether there is nothing to answer.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Run the calls, at the same time, and write the answers in the order of the requests. One that was cancelled is
    /// answered so: an array has to have something in it.
    pub async fn run(self, engine: &Engine) -> Vec<u8> {
        let answer = |(step, stop): (Step, Option<AbortRegistration>)| async move {
            let pending = match step {
                Step::Done(reply) => return reply.body.into_vec(),
                Step::Call(pending) => pending,
            };
            let Some(stop) = stop else { return pending.run(engine).await.body.into_vec() };
            let id = pending.id().clone();
            match Abortable::new(pending.run(engine), stop).await {
                Ok(reply) => reply.body.into_vec(),
                Err(_) => {
                    let error = Error::new(Kind::Cancelled, "cancelled");
                    Reply::error(Era::Legacy, &id, &error).body.into_vec()
                }
            }
        };
        let answers = join_all(self.steps.into_iter().map(answer)).await;
        let mut body = vec![b'['];
        for (i, answer) in answers.iter().enumerate() {
            if i > 0 {
                body.push(b',');
            }
            body.extend_from_slice(answer);
        }
        body.push(b']');
        body
    }
}
