//! Transports towards an upstream: bytes of one JSON-RPC message out, the messages that belong to it back.
//!
//! Called by the conversations (`legacy`, `modern`), which know what the messages mean; here it is known only how they
//! travel. Dropping an `Exchange` whose response has not come gives the request up (the conversation says so upstream where
//! its era has a word for it).

mod demux;
mod endpoint;
mod events;
pub mod http;
mod incoming;
mod refusal;
mod sort;
pub mod sse_http;
pub mod stdio;

pub use endpoint::Credentials;
pub use incoming::Incoming;

use crate::settings::Upstream;
use ::http::HeaderMap;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt as _};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, mpsc};
use toolgate_core::Kind;

/// Bytes of a notification or request of an upstream: they wait in queues, and only answers have a reason to be larger.
const LONGEST_NOTIFICATION: usize = 1 << 20;

/// Nesting of messages here, where they are looked at and not parsed whole; what reads them has bounds. One deep thing in a
/// list must not be taken for the end of the upstream.
const ANY_DEPTH: usize = usize::MAX;

/// One message to the upstream.
#[derive(Debug, Clone, Default)]
pub struct Outgoing {
    /// One JSON-RPC message, without line breaks.
    pub body: Bytes,
    /// JSON text of the id, of a request.
    pub id: Option<Arc<str>>,
    /// JSON text of the progress token, of a request that has one: over one pipe it says what a progress belongs to.
    pub token: Option<Arc<str>>,
    /// Headers beside those of the transport: `Mcp-Method`, `Mcp-Name`, `Mcp-Param-*`, `MCP-Protocol-Version`,
    /// `Mcp-Session-Id`, `traceparent`, what is forwarded. Pipes have none and leave them out.
    pub headers: HeaderMap,
    /// The answer is a stream that stays open (`subscriptions/listen`): its silence means nothing.
    pub standing: bool,
    /// Silence of the answer once it has begun is for the sender to judge: a user may be asked meanwhile.
    pub untimed: bool,
    /// Told when the upstream lets go of the stream of its answer, to be asked for the rest later.
    pub paused: Option<Arc<Notify>>,
}

/// The messages that belong to one request: notifications, requests of the upstream, and the response as the last.
pub struct Exchange {
    pub messages: Messages,
    /// `Mcp-Session-Id` of the answer.
    pub session: Option<Arc<str>>,
    /// HTTP status of the answer; 200 over a pipe.
    pub status: u16,
    // Ends the work behind `messages` when dropped.
    pub guard: Guard,
}

/// Where the messages of an exchange come from.
pub enum Messages {
    /// All here: an answer in one body.
    Ready(VecDeque<Incoming>),
    /// Brought by the reader of a shared connection.
    Channel(mpsc::Receiver<Result<Incoming, Failure>>),
    /// Read as they are asked for, so that who does not ask holds the upstream back.
    Stream(BoxStream<'static, Result<Incoming, Failure>>),
}

impl From<mpsc::Receiver<Result<Incoming, Failure>>> for Messages {
    fn from(receiver: mpsc::Receiver<Result<Incoming, Failure>>) -> Self {
        Self::Channel(receiver)
    }
}

/// Whatever must end with an exchange or a connection.
pub type Guard = Box<dyn Send + Sync>;

impl Exchange {
    /// The next message; `None` after the response. May be dropped before it ends: no message is lost by that.
    pub async fn next(&mut self) -> Option<Result<Incoming, Failure>> {
        match &mut self.messages {
            Messages::Ready(messages) => messages.pop_front().map(Ok),
            Messages::Channel(receiver) => receiver.recv().await,
            Messages::Stream(stream) => stream.next().await,
        }
    }
}

/// Why something did not get through.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    pub kind: Kind,
    /// Public: names the upstream's place, the deadline or rule, and what to do; holds no secret.
    pub message: String,
    /// Whether the upstream cannot have seen the request, so that it may be sent again whatever it does.
    pub unseen: bool,
    /// HTTP status, when there was one that is not success.
    pub status: Option<u16>,
    /// What `Retry-After` says.
    pub wait: Option<Duration>,
    /// Body of an HTTP answer that is a JSON-RPC error (or anything, cut to 64 KiB), which some statuses carry.
    pub body: Option<Bytes>,
}

impl Failure {
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), unseen: false, status: None, wait: None, body: None }
    }

    /// The upstream cannot have seen the request.
    pub fn unseen(self) -> Self {
        Self { unseen: true, ..self }
    }
}

/// A way to one upstream, open or opened when first used. One process over a pipe, one origin over HTTP.
pub trait Transport: Send + Sync {
    /// Send a request; its messages come through the exchange. Ends when the head of the answer is there (HTTP; also its
    /// body when that is one JSON text) or the request is written (pipe).
    fn exchange<'a>(
        &'a self,
        message: Outgoing,
    ) -> toolgate_core::tool::BoxFuture<'a, Result<Exchange, Failure>>;

    /// Send a notification or a response; nothing comes back.
    fn send<'a>(&'a self, message: Outgoing) -> toolgate_core::tool::BoxFuture<'a, Result<(), Failure>>;

    /// Messages that belong to no request. HTTP: the GET stream of a legacy session, which reconnects by itself with
    /// `Last-Event-ID` and `retry`; `headers` name session and version. Pipe: what could not be attributed; there may be one
    /// listener. Ends with an error when the stream cannot be had.
    fn unsolicited<'a>(
        &'a self,
        headers: HeaderMap,
    ) -> toolgate_core::tool::BoxFuture<'a, Result<Exchange, Failure>>;

    /// End a session (HTTP `DELETE` with these headers; nothing over a pipe).
    fn end<'a>(&'a self, headers: HeaderMap) -> toolgate_core::tool::BoxFuture<'a, ()>;

    /// Whether headers travel (and so must be right).
    fn has_headers(&self) -> bool;

    /// Whether it carries one legacy session only (a pipe; HTTP+SSE), so that each session needs one of its own.
    fn one_session(&self) -> bool {
        !self.has_headers()
    }

    /// Ends when the process or connection behind it is gone for good, with the reason. HTTP: never.
    fn gone<'a>(&'a self) -> toolgate_core::tool::BoxFuture<'a, Failure>;
}

/// Opens a transport to an upstream: starts the process, or makes the client of the origin (which connects when it is used).
/// With the caller whose alone the process will be, where callers are kept apart.
pub type Open = Arc<
    dyn Fn(
            &str,
            &Upstream,
            Option<&str>,
        ) -> toolgate_core::tool::BoxFuture<'static, Result<Arc<dyn Transport>, Failure>>
        + Send
        + Sync,
>;
