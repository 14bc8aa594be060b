//! `Call`: what is asked, whatever the transport.
//!
//! Made by the engine's dispatch and by REST; consumed by `admit`.

use crate::caller::{Caller, ClientInfo};
use crate::id::CallId;
use crate::json_text::JsonText;
use crate::link::Link;
use crate::name::Door;
use crate::trace::TraceContext;
use std::sync::Arc;

/// How something of a server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Face {
    /// By name: `tools/call`.
    Tool,
    /// By URI: `resources/read`.
    Resource,
    /// By name: `prompts/get`.
    Prompt,
}

/// Headers of the client's own request that some upstream may be given, by name in lower case.
#[derive(Clone, Default)]
pub struct Forwarded(Vec<(Box<str>, Box<[u8]>)>);

impl Forwarded {
    pub fn add(&mut self, name: &str, value: &[u8]) {
        self.0.push((name.to_ascii_lowercase().into(), value.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Values of the header of this name, in whatever case it is written.
    pub fn get<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
        self.0.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| &**value)
    }
}

/// One request to run something. A resource that is read and a prompt that is got go the same way as a tool.
#[derive(Clone)]
pub struct Call {
    pub id: CallId,
    pub caller: Arc<Caller>,
    pub client: Option<Arc<ClientInfo>>,
    /// Restricts the names to one server's (`/mcp/{server}`, REST).
    pub scope: Option<Door>,
    pub face: Face,
    /// Name as the client wrote it: exposed, bare or alias; the URI of a resource.
    pub tool: String,
    /// A JSON object, not parsed yet. Of a resource the variables of its URI take its place.
    pub arguments: JsonText,
    pub trace: Option<TraceContext>,
    pub link: Option<Arc<dyn Link>>,
    /// `None` where no upstream is given any, and at a door without headers (stdio).
    pub forwarded: Option<Arc<Forwarded>>,
}
