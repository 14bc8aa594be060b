//! `Call`: what is asked, whatever the transport.
//!
//! Made by the engine's dispatch and by REST; consumed by `admit`.

use crate::caller::{Caller, ClientInfo};
use crate::ctx::ProgressSink;
use crate::id::CallId;
use crate::name::ServerName;
use crate::trace::TraceContext;
use serde_json::value::RawValue;
use std::sync::Arc;

/// One request to run a tool.
#[derive(Clone)]
pub struct Call {
    pub id: CallId,
    pub caller: Arc<Caller>,
    pub client: Option<Arc<ClientInfo>>,
    /// Restricts the names to one server's (`/mcp/{server}`, REST).
    pub scope: Option<ServerName>,
    /// Name as the client wrote it: exposed, bare or alias.
    pub tool: String,
    /// A JSON object, not parsed yet.
    pub arguments: Box<RawValue>,
    pub trace: Option<TraceContext>,
    pub progress: Option<Arc<dyn ProgressSink>>,
}
