//! Batches, which only 2025-03-26 has: each message for itself, the answers in one array.

use super::{Peer, Reply, Step, start};
use crate::Engine;
use futures_util::future::join_all;
use toolgate_wire::era::Era;
use toolgate_wire::message::Message;
use toolgate_wire::{Fault, Id, Incoming, Malformed};

/// A batch that is not running yet.
pub struct Batch {
    steps: Vec<Step>,
    /// Requests that its notifications cancel.
    pub cancelled: Vec<Id>,
}

/// Whether a batch of so many messages is answered here.
pub fn check(engine: &Engine, messages: usize) -> Result<(), Fault> {
    let most = engine.clients().max_batch;
    if messages <= most {
        return Ok(());
    }
    Err(Fault::invalid_request(format!("Invalid request: {messages} messages in a batch; at most {most}")))
}

/// Begin to answer a batch. `initialize` is no part of one, by the specification.
pub fn begin(engine: &Engine, peer: &Peer, messages: Vec<Result<Message<'_>, Malformed>>) -> Batch {
    let mut batch = Batch { steps: Vec::new(), cancelled: Vec::new() };
    for message in messages {
        let request = match message {
            Ok(Message::Request(request)) => Incoming::of(request),
            Ok(Message::Notification { method, params }) => {
                batch.cancelled.extend(super::cancelled(&method, params));
                continue;
            }
            Ok(Message::Response { .. }) => continue,
            Err(malformed) => Err(malformed),
        };
        batch.steps.push(match request {
            Err(malformed) => Step::Done(Reply::malformed(Era::Legacy, &malformed)),
            Ok(request) if request.method == "initialize" => {
                let fault = Fault::invalid_request("Invalid request: initialize cannot be part of a batch");
                Step::Done(Reply::fault(Era::Legacy, Some(&request.id), &fault))
            }
            Ok(request) => start(engine, peer, &request, None),
        });
    }
    batch
}

impl Batch {
    /// Whether there is nothing to answer.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Run the calls, at the same time, and write the answers in the order of the requests.
    pub async fn run(self, engine: &Engine) -> Vec<u8> {
        let answer = |step| async move {
            match step {
                Step::Done(reply) => reply.body,
                Step::Call(pending) => pending.run(engine).await.body,
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
