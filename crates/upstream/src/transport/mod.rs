//! Transports towards an upstream: bytes of one JSON-RPC message out, the messages that belong to it back.
//!
//! Called by the conversations (`legacy`, `modern`), which know what the messages mean; here it is known only how they
//! travel. Dropping an `Exchange` whose response has not come gives the request up (the conversation says so upstream where
//! its era has a word for it).

pub mod stdio;

use crate::settings::Upstream;
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use toolgate_core::Kind;

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
    pub headers: http::HeaderMap,
}

/// One message of the upstream: the text of one JSON object, already checked to be one and within bounds
/// (`toolgate_wire::message::parse` reads it).
pub type Incoming = Bytes;

/// The messages that belong to one request: notifications, requests of the upstream, and the response as the last.
pub struct Exchange {
    pub messages: mpsc::Receiver<Result<Incoming, Failure>>,
    /// `Mcp-Session-Id` of the answer.
    pub session: Option<Arc<str>>,
    /// HTTP status of the answer; 200 over a pipe.
    pub status: u16,
    // Ends the work behind `messages` when dropped.
    pub guard: Guard,
}

/// Whatever must end with an exchange or a connection.
pub type Guard = Box<dyn Send + Sync>;

impl Exchange {
    /// The next message; `None` after the response.
    pub async fn next(&mut self) -> Option<Result<Incoming, Failure>> {
        self.messages.recv().await
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

/// A way to one upstream, open or opened when first used. One process over a pipe, one origin over HTTP.
pub trait Transport: Send + Sync {
    /// Send a request; its messages come through the exchange. Ends when the head of the answer is there (HTTP) or the
    /// request is written (pipe).
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
        headers: http::HeaderMap,
    ) -> toolgate_core::tool::BoxFuture<'a, Result<Exchange, Failure>>;

    /// End a session (HTTP `DELETE` with these headers; nothing over a pipe).
    fn end<'a>(&'a self, headers: http::HeaderMap) -> toolgate_core::tool::BoxFuture<'a, ()>;

    /// Whether headers travel (and so must be right).
    fn has_headers(&self) -> bool;

    /// Ends when the process or connection behind it is gone for good, with the reason. HTTP: never.
    fn gone<'a>(&'a self) -> toolgate_core::tool::BoxFuture<'a, Failure>;
}

/// Opens a transport to an upstream: starts the process, or makes the client of the origin (which connects when it is used).
pub type Open = Arc<
    dyn Fn(&str, &Upstream) -> toolgate_core::tool::BoxFuture<'static, Result<Arc<dyn Transport>, Failure>>
        + Send
        + Sync,
>;
