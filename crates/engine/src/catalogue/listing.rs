//! What a server offers as the MCP objects that lists are made of.
//!
//! Of a built-in thing they are written here; an upstream's own are kept as they came, under another name where needed.

use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::sync::Arc;
use toolgate_core::foreign::Resources;
use toolgate_core::listing::Nameless;
use toolgate_core::offer::{MountedPrompt, MountedResource};
use toolgate_core::server::{AnyTool, Mount};
use toolgate_core::uri::Template;
use toolgate_core::{Completer, Effect, Error, Face};

/// One thing that a server offers, whatever its face.
pub(super) enum Offer<'a> {
    Tool(&'a Arc<dyn AnyTool>),
    Resource(&'a MountedResource),
    /// Those of an upstream.
    Resources(&'a Resources),
    Prompt(&'a MountedPrompt),
}

/// Everything that a server offers, in its order.
pub(super) fn offers(server: &Mount) -> impl Iterator<Item = Offer<'_>> {
    let foreign = server.foreign.as_ref().and_then(|foreign| foreign.resources.as_ref());
    (server.tools.iter().map(Offer::Tool))
        .chain(server.resources.iter().map(Offer::Resource))
        .chain(foreign.map(Offer::Resources))
        .chain(server.prompts.iter().map(Offer::Prompt))
}

impl Offer<'_> {
    pub fn face(&self) -> Face {
        match self {
            Self::Tool(_) => Face::Tool,
            Self::Resource(_) | Self::Resources(_) => Face::Resource,
            Self::Prompt(_) => Face::Prompt,
        }
    }

    pub fn run(&self) -> &Arc<dyn AnyTool> {
        match self {
            Self::Tool(run) => run,
            Self::Resource(resource) => &resource.run,
            Self::Resources(resources) => &resources.read,
            Self::Prompt(prompt) => &prompt.run,
        }
    }

    /// What policy calls it, and what a client does. An upstream may have a prompt of the same name as a tool.
    pub fn names(&self, foreign: bool) -> (Arc<str>, Arc<str>) {
        let called: Arc<str> = self.run().name().into();
        match self {
            Self::Prompt(_) if foreign => (format!("prompts/{called}").into(), called),
            _ => (called.clone(), called),
        }
    }

    pub fn template(&self) -> Option<Arc<Template>> {
        match self {
            Self::Resource(resource) => Some(resource.template.clone()),
            _ => None,
        }
    }

    pub fn tells(&self) -> bool {
        match self {
            Self::Resource(resource) => resource.tells,
            Self::Resources(resources) => resources.subscribe,
            Self::Tool(_) | Self::Prompt(_) => false,
        }
    }

    pub fn resources(&self) -> Option<Resources> {
        match self {
            Self::Resources(resources) => Some((*resources).clone()),
            _ => None,
        }
    }

    pub fn completer(&self) -> Option<Arc<dyn Completer>> {
        match self {
            Self::Tool(_) | Self::Resources(_) => None,
            Self::Resource(resource) => Some(resource.completer.clone()),
            Self::Prompt(prompt) => prompt.completer.clone(),
        }
    }

    /// The MCP object that lists have of it.
    pub fn listing(&self) -> Result<Nameless, Error> {
        if let Some(own) = self.run().listing() {
            return Ok(own.clone());
        }
        let listing = match self {
            Self::Tool(run) => tool_listing(&***run)?,
            Self::Resource(resource) => {
                let key = if resource.template.is_fixed() { "uri" } else { "uriTemplate" };
                let mut listing = json!({
                    key: resource.template.as_str(),
                    "title": resource.title,
                    "description": resource.run.description(),
                });
                if let Some(mime) = resource.mime {
                    listing["mimeType"] = mime.into();
                }
                listing
            }
            // It is not listed itself: what it reads is.
            Self::Resources(_) => json!({}),
            Self::Prompt(prompt) => json!({
                "title": prompt.title,
                "description": prompt.run.description(),
                "arguments": prompt_arguments(&parsed(&prompt.run.input_schema())?),
            }),
        };
        match listing {
            Value::Object(members) => Ok(Nameless::of(members)),
            _ => Err(Error::internal("a listing that is no object")),
        }
    }
}

fn parsed(schema: &RawValue) -> Result<Value, Error> {
    serde_json::from_str(schema.get()).map_err(Error::internal)
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

fn tool_listing(tool: &dyn AnyTool) -> Result<Value, Error> {
    let spec = tool.spec();
    let mut listing = json!({
        "description": tool.description(),
        "inputSchema": parsed(&tool.input_schema())?,
        "annotations": {
            "readOnlyHint": spec.most == Effect::Read,
            "destructiveHint": spec.most == Effect::Destroy,
            "idempotentHint": spec.idempotent,
            "openWorldHint": spec.open_world,
        },
    });
    // What a tool shows has no shape of its own.
    if !spec.shows {
        listing["outputSchema"] = parsed(&tool.output_schema())?;
    }
    Ok(listing)
}
