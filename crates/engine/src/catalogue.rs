//! The catalogue: every tool, by every name it answers to, in one fixed order.
//!
//! Built once from the mounted servers and never changed. Who may see what is not its business (`snapshot`).

use crate::breaker::Breaker;
use crate::metrics::ToolStats;
use crate::settings::Settings;
use crate::slots::Slots;
use serde::Serialize;
use serde_json::value::RawValue;
use std::collections::HashMap;
use std::sync::Arc;
use toolgate_core::name::{self, ServerName};
use toolgate_core::server::{AnyTool, State};
use toolgate_core::unit::Rate;
use toolgate_core::{BuiltIn, Effect, Error, Spec};

/// A tool in the catalogue.
pub struct Entry {
    pub server: ServerName,
    pub tool: Arc<str>,
    /// `{server}__{tool}`, at most 64 characters.
    pub exposed: String,
    pub spec: Spec,
    pub description: String,
    pub input_schema: Box<RawValue>,
    pub output_schema: Box<RawValue>,
    /// The MCP `Tool` object under the exposed name, ready to send.
    pub listing: Box<RawValue>,
    /// The same under the bare name, for `/mcp/{server}`.
    pub listing_bare: Box<RawValue>,
    /// Place in the catalogue.
    pub(crate) index: usize,
    pub(crate) server_label: Arc<str>,
    pub(crate) run: Arc<dyn AnyTool>,
    pub(crate) rate: Rate,
    pub(crate) stats: ToolStats,
    pub(crate) breaker: Breaker,
    pub(crate) slots: Arc<Slots>,
}

/// A server as a caller sees it.
#[derive(Debug, Clone, Serialize)]
pub struct ServerView {
    pub id: String,
    pub name: String,
    pub description: String,
    pub version: String,
    pub running: bool,
    #[serde(flatten)]
    pub state: State,
    /// Tools this caller may call.
    pub tools: usize,
}

/// A mounted server and its share of the catalogue.
pub(crate) struct Mounted {
    pub server: BuiltIn,
    pub slots: Arc<Slots>,
    pub entries: std::ops::Range<usize>,
}

pub(crate) struct Catalogue {
    pub entries: Vec<Arc<Entry>>,
    pub servers: Vec<Mounted>,
    exposed: HashMap<String, usize>,
    bare: HashMap<String, Vec<usize>>,
}

impl Catalogue {
    pub fn new(servers: Vec<BuiltIn>, settings: &Settings) -> Result<Self, Error> {
        let mut catalogue =
            Self { entries: Vec::new(), servers: Vec::new(), exposed: HashMap::new(), bare: HashMap::new() };
        for server in servers {
            if catalogue.server(server.name.as_str()).is_some() {
                return Err(Error::invalid(format!("two servers are named {}", server.name)));
            }
            catalogue.mount(server, settings)?;
        }
        Ok(catalogue)
    }

    fn mount(&mut self, server: BuiltIn, settings: &Settings) -> Result<(), Error> {
        let own = settings.servers.get(server.name.as_str());
        let slots = Arc::new(Slots::new(
            own.and_then(|s| s.concurrency).unwrap_or(settings.concurrency),
            own.and_then(|s| s.queue).unwrap_or(settings.queue),
        ));
        let rate = own.and_then(|s| s.per_tool).or(server.rate).unwrap_or(settings.per_tool);
        let server_label: Arc<str> = server.name.as_str().into();
        let first = self.entries.len();
        for tool in &server.tools {
            let index = self.entries.len();
            let spec = *tool.spec();
            let entry = Entry {
                server: server.name.clone(),
                tool: spec.name.into(),
                exposed: name::exposed(&server.name, spec.name),
                spec,
                description: tool.description().to_owned(),
                input_schema: raw(tool.input_schema())?,
                output_schema: raw(tool.output_schema())?,
                listing: listing(&name::exposed(&server.name, spec.name), &**tool)?,
                listing_bare: listing(spec.name, &**tool)?,
                index,
                server_label: server_label.clone(),
                run: tool.clone(),
                rate,
                stats: ToolStats::default(),
                breaker: Breaker::new(&settings.breaker),
                slots: slots.clone(),
            };
            for alias in std::iter::once(spec.name).chain(spec.aliases.iter().copied()) {
                let full = name::exposed(&server.name, alias);
                if self.exposed.insert(full.clone(), index).is_some() {
                    return Err(Error::invalid(format!("two tools are named {full}")));
                }
                self.exposed.insert(format!("{}/{alias}", server.name), index);
                self.bare.entry(alias.to_owned()).or_default().push(index);
            }
            self.entries.push(Arc::new(entry));
        }
        self.servers.push(Mounted { server, slots, entries: first..self.entries.len() });
        Ok(())
    }

    pub fn server(&self, name: &str) -> Option<&Mounted> {
        self.servers.iter().find(|m| m.server.name.as_str() == name)
    }

    /// Entries that a name may mean; with a scope, only that server's. More than one only for a bare name.
    pub fn find(&self, name: &str, scope: Option<&ServerName>) -> Vec<&Arc<Entry>> {
        let within = |entry: &&Arc<Entry>| scope.is_none_or(|server| entry.server == *server);
        if let Some(index) = self.exposed.get(name) {
            return [&self.entries[*index]].into_iter().filter(within).collect();
        }
        let bare = self.bare.get(name).map(Vec::as_slice).unwrap_or_default();
        bare.iter().map(|index| &self.entries[*index]).filter(within).collect()
    }
}

fn raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(value).map_err(Error::internal)
}

fn listing(name: &str, tool: &dyn AnyTool) -> Result<Box<RawValue>, Error> {
    let spec = tool.spec();
    raw(&serde_json::json!({
        "name": name,
        "description": tool.description(),
        "inputSchema": tool.input_schema(),
        "outputSchema": tool.output_schema(),
        "annotations": {
            "readOnlyHint": spec.most == Effect::Read,
            "destructiveHint": spec.most == Effect::Destroy,
            "idempotentHint": spec.idempotent,
            "openWorldHint": spec.open_world,
        },
    }))
}
