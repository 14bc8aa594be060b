//! The `Mount` of an upstream: its lists as tools, prompts and resources that the engine calls like its own.
//!
//! What the upstream wrote is kept as it is; what is broken is set aside one by one, with a reason for people.

use super::{Listed, schema};
use crate::conversation::task::EXTENSION;
use crate::conversation::{Face, Members, Operation};
use crate::relay::Line;
use crate::settings::Upstream;
use crate::silence::Silence;
use crate::supervise::Hub;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;
use toolgate_core::foreign::{Foreign, Listing, Resources, SetAside};
use toolgate_core::listing::Nameless;
use toolgate_core::offer::MountedPrompt;
use toolgate_core::server::{AnyTool, Mount, raw};
use toolgate_core::spec::Task;
use toolgate_core::tool::{BoxFuture, Ready};
use toolgate_core::{Ctx, Effect, JsonText, Spec, ToolError, ToolOutput};
use toolgate_wire::Era;
use toolgate_wire::mirror::Mirrors;

// Longest name of a tool or prompt, and longest URI.
const MAX_NAME: usize = 128;
const MAX_URI: usize = 8192;
// Longest `instructions` that are passed on, in bytes.
const MAX_INSTRUCTIONS: usize = 64 << 10;
// Things set aside that are told in the log; the status has all.
const MAX_TOLD: usize = 20;
const READ: &str = "resources/read";

/// One thing of an upstream that can be called.
struct Offered {
    hub: Arc<Hub>,
    spec: Spec,
    method: &'static str,
    /// The upstream's own name of it.
    own: Arc<str>,
    name: String,
    /// What the upstream says of it, its schemas too; kept nowhere else.
    listing: Option<Nameless>,
    description: String,
}

impl Offered {
    fn member(&self, key: &str) -> Cow<'_, RawValue> {
        let listing = self.listing.as_ref();
        Cow::Borrowed(listing.and_then(|listing| listing.member(key)).unwrap_or(RawValue::NULL))
    }
}

impl AnyTool for Offered {
    fn spec(&self) -> &Spec {
        &self.spec
    }
    fn name(&self) -> &str {
        &self.name
    }
    fn listing(&self) -> Option<&Nameless> {
        self.listing.as_ref()
    }
    fn description(&self) -> &str {
        &self.description
    }
    fn input_schema(&self) -> Cow<'_, RawValue> {
        match (&self.listing, self.method) {
            (Some(listing), "prompts/get") => {
                let listed = listing.member("arguments").map_or("null", RawValue::get);
                raw(&arguments(&serde_json::from_str(listed).unwrap_or_default()))
            }
            (Some(_), _) => self.member("inputSchema"),
            (None, _) => raw(&json!({
                "type": "object", "properties": { "uri": { "type": "string" } }, "required": ["uri"],
            })),
        }
    }
    fn output_schema(&self) -> Cow<'_, RawValue> {
        self.member("outputSchema")
    }

    // What the arguments mean is the upstream's to say.
    fn prepare(&self, arguments: &JsonText) -> Result<Box<dyn Ready>, String> {
        if !arguments.get().starts_with('{') {
            return Err("the arguments must be an object".to_owned());
        }
        let (params, name) = match self.method {
            READ => {
                let read: Value = serde_json::from_str(arguments.get()).map_err(|e| e.to_string())?;
                let uri = read["uri"].as_str().ok_or("\"uri\" must be a string")?;
                (Members::default().text("uri", uri), uri.to_owned())
            }
            _ => (
                Members::default().text("name", &self.own).shared("arguments", arguments),
                self.own.to_string(),
            ),
        };
        let arguments = (self.method == "tools/call").then(|| arguments.clone());
        let effect = self.spec.effect;
        let operation = Operation { method: self.method, params, name: Some(name), arguments, effect };
        Ok(Box::new(Prepared { hub: self.hub.clone(), operation }))
    }
}

struct Prepared {
    hub: Arc<Hub>,
    operation: Operation,
}

impl Ready for Prepared {
    fn effect(&self) -> Effect {
        self.operation.effect
    }

    fn run<'a>(self: Box<Self>, ctx: &'a Ctx) -> BoxFuture<'a, Result<ToolOutput, ToolError>>
    where
        Self: 'a,
    {
        Box::pin(async move {
            // Waiting for the connection is silence too.
            let silence = Silence::of(&self.hub);
            let ctx = silence.heard_in(ctx);
            let call = async { self.hub.conversation().await?.call(&self.operation, &ctx).await };
            tokio::select! {
                biased;
                ended = call => ended,
                error = silence.over() => Err(error),
            }
        })
    }
}

/// What is offered of these lists.
pub(crate) fn mount(hub: &Arc<Hub>, era: Era, face: &Face, listed: Listed) -> Mount {
    let settings = &hub.place.settings;
    let mut set_aside = listed.set_aside;
    let task = match face.capabilities.pointer("/extensions").and_then(|all| all.get(EXTENSION)) {
        Some(_) if era == Era::Modern => Task::Upstream,
        _ => Task::Never,
    };
    let tools = tools(hub, (era, task), listed.tools, &mut set_aside);
    let prompts = prompts(hub, settings, listed.prompts, &mut set_aside);
    let resources = face.capabilities.get("resources").map(|said| Resources {
        read: Arc::new(reading(hub, settings)),
        fixed: listings(listed.resources, "uri", |uri| settings.resources.has_uri(uri), &mut set_aside),
        templates: listings(
            listed.templates,
            "uriTemplate",
            |template| settings.resources.has_template(template),
            &mut set_aside,
        ),
        choice: settings.resources.clone(),
        subscribe: said["subscribe"] == true,
    });
    for aside in set_aside.iter().take(MAX_TOLD) {
        tracing::warn!(upstream = %hub.name, name = aside.name, reason = aside.reason, "set aside");
    }
    let text = |key: &str| face.info[key].as_str().map(|text| text.chars().take(200).collect::<String>());
    let about = text("description").or_else(|| text("title")).or_else(|| text("name"));
    let foreign = Foreign {
        prefix: settings.prefix,
        concurrency: settings.max_concurrency,
        instructions: face.instructions.clone().filter(|text| text.len() <= MAX_INSTRUCTIONS),
        resources,
        relay: Arc::new(Line(hub.clone())),
        set_aside: set_aside.into(),
    };
    Mount {
        name: hub.name.clone(),
        about: about.map_or(Cow::Borrowed("an upstream server"), Cow::Owned),
        version: text("version").map_or(Cow::Borrowed(""), Cow::Owned),
        rate: settings.rate,
        tools,
        resources: Vec::new(),
        prompts,
        checks: Arc::new(Line(hub.clone())),
        foreign: Some(foreign),
    }
}

fn spec(settings: &Upstream, effect: Effect) -> Spec {
    let max_output = usize::try_from(settings.max_message.0).unwrap_or(usize::MAX);
    let spec = match effect {
        Effect::Read => Spec::read("tool"),
        Effect::Write => Spec::write("tool"),
        Effect::Destroy => Spec::destroy("tool"),
    };
    spec.timeout(settings.deadline.0).max_output(max_output).shows().open_world()
}

fn is_name(name: &str) -> bool {
    (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

fn tools(
    hub: &Arc<Hub>,
    of: (Era, Task),
    listed: Vec<Box<RawValue>>,
    set_aside: &mut Vec<SetAside>,
) -> Vec<Arc<dyn AnyTool>> {
    let settings = &hub.place.settings;
    let mut taken = HashSet::new();
    let mut offered: Vec<Arc<dyn AnyTool>> = Vec::new();
    for listing in listed {
        let tool: Value = serde_json::from_str(listing.get()).unwrap_or_default();
        let own = tool["name"].as_str().unwrap_or_default().to_owned();
        let Some(name) = settings.tools.offered(&own).map(str::to_owned) else { continue };
        drop(listing);
        match self::tool(hub, of, tool, (&own, &name)) {
            Ok(_) if !taken.insert(name.clone()) => {
                aside(set_aside, &own, format!("another tool is named {name:?}"))
            }
            Ok(tool) => offered.push(Arc::new(tool)),
            Err(reason) => aside(set_aside, &own, reason),
        }
    }
    offered
}

fn aside(set_aside: &mut Vec<SetAside>, name: &str, reason: String) {
    set_aside.push(SetAside { name: name.chars().take(MAX_NAME).collect(), reason });
}

fn tool(
    hub: &Arc<Hub>,
    (era, task): (Era, Task),
    tool: Value,
    (own, name): (&str, &str),
) -> Result<Offered, String> {
    let settings = &hub.place.settings;
    if !is_name(name) {
        return Err(format!(
            "its name is not 1 to {MAX_NAME} characters of A-Z a-z 0-9 _ - . (tools.rename can give it another)"
        ));
    }
    schema::check(&tool["inputSchema"], true).map_err(|why| format!("its inputSchema is broken: {why}"))?;
    if let Some(schema) = tool.get("outputSchema") {
        let object = era == Era::Legacy;
        schema::check(schema, object).map_err(|why| format!("its outputSchema is broken: {why}"))?;
    }
    if era == Era::Modern {
        Mirrors::of(&tool["inputSchema"])?;
    }
    let annotations = &tool["annotations"];
    let effect = settings.tools.effect(own, name, annotations);
    // What makes tasks itself says so call by call.
    let task = if task == Task::Never { settings.tools.task(own, name) } else { task };
    let mut spec = spec(settings, effect).task(task);
    if settings.tools.trust_hints {
        spec.idempotent |= annotations["idempotentHint"] == true;
        spec.open_world = annotations["openWorldHint"] != false;
    }
    Ok(Offered {
        hub: hub.clone(),
        spec,
        method: "tools/call",
        own: own.into(),
        name: name.to_owned(),
        description: tool["description"].as_str().unwrap_or_default().to_owned(),
        listing: nameless(tool),
    })
}

fn prompts(
    hub: &Arc<Hub>,
    settings: &Upstream,
    listed: Vec<Box<RawValue>>,
    set_aside: &mut Vec<SetAside>,
) -> Vec<MountedPrompt> {
    let mut taken = HashSet::new();
    let mut offered = Vec::new();
    for listing in listed {
        let prompt: Value = serde_json::from_str(listing.get()).unwrap_or_default();
        let name = prompt["name"].as_str().unwrap_or_default();
        if !settings.prompts.has(name) {
            continue;
        }
        if !is_name(name) {
            aside(
                set_aside,
                name,
                format!("a prompt's name must be 1 to {MAX_NAME} characters of A-Z a-z 0-9 _ - ."),
            );
            continue;
        }
        if !taken.insert(name.to_owned()) {
            aside(set_aside, name, "another prompt has this name".to_owned());
            continue;
        }
        let prompt = Offered {
            hub: hub.clone(),
            spec: spec(settings, Effect::Read),
            method: "prompts/get",
            own: name.into(),
            name: name.to_owned(),
            description: prompt["description"].as_str().unwrap_or_default().to_owned(),
            listing: nameless(prompt),
        };
        offered.push(MountedPrompt { title: "", run: Arc::new(prompt), completer: None });
    }
    offered
}

// What is no object was set aside before.
fn nameless(listed: Value) -> Option<Nameless> {
    match listed {
        Value::Object(members) => Some(Nameless::of(members)),
        _ => None,
    }
}

// The arguments of a prompt as a schema.
fn arguments(listed: &Value) -> Value {
    let mut properties = Map::new();
    let mut required = Vec::new();
    for argument in listed.as_array().into_iter().flatten() {
        let Some(name) = argument["name"].as_str() else { continue };
        let mut schema = json!({ "type": "string" });
        if let Some(text) = argument["description"].as_str() {
            schema["description"] = text.into();
        }
        properties.insert(name.to_owned(), schema);
        if argument["required"] == true {
            required.push(name);
        }
    }
    json!({ "type": "object", "properties": properties, "required": required })
}

fn reading(hub: &Arc<Hub>, settings: &Upstream) -> Offered {
    Offered {
        hub: hub.clone(),
        spec: spec(settings, Effect::Read),
        method: READ,
        own: READ.into(),
        name: READ.to_owned(),
        listing: None,
        description: format!("Read a resource of {}.", hub.name),
    }
}

fn listings(
    listed: Vec<Box<RawValue>>,
    key: &str,
    is_offered: impl Fn(&str) -> bool,
    set_aside: &mut Vec<SetAside>,
) -> Arc<[Listing]> {
    let mut taken = HashSet::new();
    let mut offered = Vec::new();
    for json in listed {
        let said: Value = serde_json::from_str(json.get()).unwrap_or_default();
        match said[key].as_str().filter(|uri| (1..=MAX_URI).contains(&uri.len())) {
            None => {
                let name = said["name"].as_str().unwrap_or_default();
                aside(set_aside, name, format!("its \"{key}\" must be 1 to {MAX_URI} characters"));
            }
            Some(uri) if !is_offered(uri) => {}
            Some(uri) if taken.insert(uri.to_owned()) => offered.push(Listing { uri: uri.to_owned(), json }),
            Some(uri) => aside(set_aside, uri, format!("another resource has this {key}")),
        }
    }
    offered.into()
}
