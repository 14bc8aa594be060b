//! The catalogue: every tool, by every name it answers to, in one fixed order.
//!
//! Built once from the mounted servers and never changed. Who may see what is not its business (`snapshot`).

use crate::breaker::Breaker;
use crate::changes::Changes;
use crate::metrics::ToolStats;
use crate::settings::Settings;
use crate::slots::Slots;
use serde::Serialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use toolgate_core::ctx::Tell;
use toolgate_core::name::{self, ServerName};
use toolgate_core::offer::{MountedPrompt, MountedResource};
use toolgate_core::server::{AnyTool, State};
use toolgate_core::unit::Rate;
use toolgate_core::uri::Template;
use toolgate_core::{BuiltIn, Completer, Effect, Error, Face, Spec};

/// A tool, resource or prompt in the catalogue.
pub struct Entry {
    pub face: Face,
    pub server: ServerName,
    /// Its name, unique in its server whatever its face.
    pub tool: Arc<str>,
    /// `{server}__{tool}`, at most 64 characters.
    pub exposed: String,
    pub spec: Spec,
    pub description: String,
    pub input_schema: Box<RawValue>,
    pub output_schema: Box<RawValue>,
    /// The MCP object under the exposed name (`Tool`, `Prompt`, `Resource` or `ResourceTemplate`), ready to send.
    pub listing: Box<RawValue>,
    /// The same under the bare name, for `/mcp/{server}`.
    pub listing_bare: Box<RawValue>,
    /// Of a resource.
    pub(crate) template: Option<Arc<Template>>,
    /// Of a resource: whether its server tells when it changes.
    pub(crate) tells: bool,
    /// Of a resource or prompt.
    pub(crate) completer: Option<Arc<dyn Completer>>,
    pub(crate) tell: Tell,
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
    exposed: HashMap<(Face, String), usize>,
    bare: HashMap<(Face, String), Vec<usize>>,
    // Places of the resources.
    resources: Vec<usize>,
}

/// What a name or URI may mean.
pub(crate) struct Found<'a> {
    /// More than one only for a bare name.
    pub entries: Vec<&'a Arc<Entry>>,
    /// Of a resource: the variables of its URI, which are the arguments of the call.
    pub variables: Option<Box<RawValue>>,
}

impl Catalogue {
    pub fn new(servers: Vec<BuiltIn>, settings: &Settings, changes: &Changes) -> Result<Self, Error> {
        let mut catalogue = Self {
            entries: Vec::new(),
            servers: Vec::new(),
            exposed: HashMap::new(),
            bare: HashMap::new(),
            resources: Vec::new(),
        };
        for server in servers {
            if catalogue.server(server.name.as_str()).is_some() {
                return Err(Error::invalid(format!("two servers are named {}", server.name)));
            }
            catalogue.mount(server, settings, changes)?;
        }
        Ok(catalogue)
    }

    fn mount(&mut self, server: BuiltIn, settings: &Settings, changes: &Changes) -> Result<(), Error> {
        let own = settings.servers.get(server.name.as_str());
        let slots = Arc::new(Slots::new(
            own.and_then(|s| s.concurrency).unwrap_or(settings.concurrency),
            own.and_then(|s| s.queue).unwrap_or(settings.queue),
        ));
        let rate = own.and_then(|s| s.per_tool).or(server.rate).unwrap_or(settings.per_tool);
        let server_label: Arc<str> = server.name.as_str().into();
        let first = self.entries.len();
        let tell = changes.of(&server.name);
        let offers = (server.tools.iter().map(Offer::Tool))
            .chain(server.resources.iter().map(Offer::Resource))
            .chain(server.prompts.iter().map(Offer::Prompt));
        for offer in offers {
            let index = self.entries.len();
            let (face, run) = (offer.face(), offer.run());
            let spec = *run.spec();
            let entry = Entry {
                face,
                server: server.name.clone(),
                tool: spec.name.into(),
                exposed: name::exposed(&server.name, spec.name),
                spec,
                description: run.description().to_owned(),
                input_schema: raw(run.input_schema())?,
                output_schema: raw(run.output_schema())?,
                listing: offer.listing(&name::exposed(&server.name, spec.name))?,
                listing_bare: offer.listing(spec.name)?,
                template: offer.template(),
                tells: matches!(offer, Offer::Resource(resource) if resource.tells),
                completer: offer.completer(),
                tell: tell.clone(),
                index,
                server_label: server_label.clone(),
                run: run.clone(),
                rate,
                stats: ToolStats::default(),
                breaker: Breaker::new(&settings.breaker),
                slots: slots.clone(),
            };
            // One name means one thing in a server, so that a policy or a metric never means two.
            if self.entries[first..].iter().any(|other| other.tool == entry.tool) {
                return Err(Error::invalid(format!(
                    "two things of {} are named {}",
                    server.name, entry.tool
                )));
            }
            match face {
                Face::Resource => self.resources.push(index),
                Face::Tool | Face::Prompt => self.name(face, &server.name, &spec, index)?,
            }
            self.entries.push(Arc::new(entry));
        }
        self.servers.push(Mounted { server, slots, entries: first..self.entries.len() });
        Ok(())
    }

    pub fn server(&self, name: &str) -> Option<&Mounted> {
        self.servers.iter().find(|m| m.server.name.as_str() == name)
    }

    fn name(&mut self, face: Face, server: &ServerName, spec: &Spec, index: usize) -> Result<(), Error> {
        for alias in std::iter::once(spec.name).chain(spec.aliases.iter().copied()) {
            let full = name::exposed(server, alias);
            if self.exposed.insert((face, full.clone()), index).is_some() {
                return Err(Error::invalid(format!("two things are named {full}")));
            }
            self.exposed.insert((face, format!("{server}/{alias}")), index);
            self.bare.entry((face, alias.to_owned())).or_default().push(index);
        }
        Ok(())
    }

    /// What a name or URI may mean; with a scope, only that server's.
    pub fn find(&self, face: Face, name: &str, scope: Option<&ServerName>) -> Found<'_> {
        let within = |entry: &&Arc<Entry>| scope.is_none_or(|server| entry.server == *server);
        if face == Face::Resource {
            return self.find_resource(name, within);
        }
        let key = (face, name.to_owned());
        let places = match self.exposed.get(&key) {
            Some(index) => std::slice::from_ref(index),
            None => self.bare.get(&key).map(Vec::as_slice).unwrap_or_default(),
        };
        let entries = places.iter().map(|index| &self.entries[*index]).filter(within).collect();
        Found { entries, variables: None }
    }

    // The first that fits, fixed URIs before templates.
    fn find_resource<'a>(&'a self, uri: &str, within: impl Fn(&&'a Arc<Entry>) -> bool) -> Found<'a> {
        let entries = || self.resources.iter().map(|index| &self.entries[*index]).filter(&within);
        let fitting = |fixed: bool| {
            entries().find_map(|entry| {
                let template = entry.template.as_ref().filter(|t| t.is_fixed() == fixed)?;
                Some((entry, raw(&template.variables(uri)?).ok()?))
            })
        };
        match fitting(true).or_else(|| fitting(false)) {
            Some((entry, variables)) => Found { entries: vec![entry], variables: Some(variables) },
            None => Found { entries: Vec::new(), variables: None },
        }
    }
}

// One thing that a server offers, whatever its face.
enum Offer<'a> {
    Tool(&'a Arc<dyn AnyTool>),
    Resource(&'a MountedResource),
    Prompt(&'a MountedPrompt),
}

impl Offer<'_> {
    fn face(&self) -> Face {
        match self {
            Self::Tool(_) => Face::Tool,
            Self::Resource(_) => Face::Resource,
            Self::Prompt(_) => Face::Prompt,
        }
    }

    fn run(&self) -> &Arc<dyn AnyTool> {
        match self {
            Self::Tool(run) => run,
            Self::Resource(resource) => &resource.run,
            Self::Prompt(prompt) => &prompt.run,
        }
    }

    fn template(&self) -> Option<Arc<Template>> {
        match self {
            Self::Resource(resource) => Some(resource.template.clone()),
            _ => None,
        }
    }

    fn completer(&self) -> Option<Arc<dyn Completer>> {
        match self {
            Self::Tool(_) => None,
            Self::Resource(resource) => Some(resource.completer.clone()),
            Self::Prompt(prompt) => Some(prompt.completer.clone()),
        }
    }

    fn listing(&self, name: &str) -> Result<Box<RawValue>, Error> {
        match self {
            Self::Tool(run) => tool_listing(name, &***run),
            Self::Resource(resource) => {
                let key = if resource.template.is_fixed() { "uri" } else { "uriTemplate" };
                let mut listing = json!({
                    key: resource.template.as_str(),
                    "name": name,
                    "title": resource.title,
                    "description": resource.run.description(),
                });
                if let Some(mime) = resource.mime {
                    listing["mimeType"] = mime.into();
                }
                raw(&listing)
            }
            Self::Prompt(prompt) => raw(&json!({
                "name": name,
                "title": prompt.title,
                "description": prompt.run.description(),
                "arguments": prompt_arguments(prompt.run.input_schema()),
            })),
        }
    }
}

// The members of the schema of a prompt's arguments, as MCP lists them.
fn prompt_arguments(schema: &Value) -> Vec<Value> {
    let required =
        |name: &str| schema["required"].as_array().is_some_and(|required| required.iter().any(|r| r == name));
    let argument = |(name, member): (&String, &Value)| {
        let mut argument = json!({ "name": name, "required": required(name) });
        if let Some(text) = member["description"].as_str() {
            argument["description"] = text.into();
        }
        argument
    };
    schema["properties"].as_object().map(|members| members.iter().map(argument).collect()).unwrap_or_default()
}

fn raw<T: Serialize>(value: &T) -> Result<Box<RawValue>, Error> {
    serde_json::value::to_raw_value(value).map_err(Error::internal)
}

fn tool_listing(name: &str, tool: &dyn AnyTool) -> Result<Box<RawValue>, Error> {
    let spec = tool.spec();
    let mut listing = json!({
        "name": name,
        "description": tool.description(),
        "inputSchema": tool.input_schema(),
        "annotations": {
            "readOnlyHint": spec.most == Effect::Read,
            "destructiveHint": spec.most == Effect::Destroy,
            "idempotentHint": spec.idempotent,
            "openWorldHint": spec.open_world,
        },
    });
    // What a tool shows has no shape of its own.
    if !spec.shows {
        listing["outputSchema"] = tool.output_schema().clone();
    }
    raw(&listing)
}
