//! Tools that show something, say something while they work, or change what there is.

use super::{Conformance, PNG, WAV, tool};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::time::Duration;
use toolgate_core::content::{Block, Contents, Shown};
use toolgate_core::link::{Ability, Change, Loudness};
use toolgate_core::{Ctx, Kind, Spec, Tool, ToolDef, ToolError};

const STEP: Duration = Duration::from_millis(50);

pub(super) fn tools() -> Vec<ToolDef<Conformance>> {
    let mut schema = ToolDef::of::<JsonSchema202012>();
    schema.input_schema = json_schema();
    vec![
        ToolDef::of::<SimpleText>(),
        ToolDef::of::<ImageContent>(),
        ToolDef::of::<AudioContent>(),
        ToolDef::of::<EmbeddedResource>(),
        ToolDef::of::<MultipleContentTypes>(),
        ToolDef::of::<WithLogging>(),
        ToolDef::of::<LoggingTool>(),
        ToolDef::of::<WithProgress>(),
        ToolDef::of::<ErrorHandling>(),
        ToolDef::of::<Reconnection>(),
        ToolDef::of::<MissingCapability>(),
        ToolDef::of::<TriggerToolChange>(),
        ToolDef::of::<TriggerPromptChange>(),
        ToolDef::of::<UpdateWatched>(),
        ToolDef::of::<MirroredHeader>(),
        schema,
    ]
}

tool!(SimpleText {} "Say something simple.", Spec::read("test_simple_text"), |_this, _ctx| {
    Ok(Shown::text("This is a simple text response for testing."))
});

tool!(ImageContent {} "Show a picture.", Spec::read("test_image_content"), |_this, _ctx| {
    Ok(Shown::of([Block::image(PNG, "image/png")]))
});

tool!(AudioContent {} "Play a sound.", Spec::read("test_audio_content"), |_this, _ctx| {
    Ok(Shown::of([Block::audio(WAV, "audio/wav")]))
});

tool!(EmbeddedResource {} "Show a resource.", Spec::read("test_embedded_resource"), |_this, _ctx| {
    let text = "This is an embedded resource content.";
    Ok(Shown::of([Block::Resource { resource: Contents::text("test://embedded-resource", "text/plain", text) }]))
});

tool!(MultipleContentTypes {} "Show several things.", Spec::read("test_multiple_content_types"), |_this, _ctx| {
    let text = json!({"test": "data", "value": 123}).to_string();
    let resource = Contents::text("test://mixed-content-resource", "application/json", text);
    Ok(Shown::of([
        Block::text("Multiple content types test:"),
        Block::image(PNG, "image/png"),
        Block::Resource { resource },
    ]))
});

async fn log_three(ctx: &Ctx) -> Shown {
    for (n, text) in
        ["Tool execution started", "Tool processing data", "Tool execution completed"].iter().enumerate()
    {
        if n > 0 {
            tokio::time::sleep(STEP).await;
        }
        ctx.log(Loudness::Info, "conformance", &json!(text));
    }
    Shown::text("logged three times")
}

tool!(WithLogging {} "Log three times.", Spec::read("test_tool_with_logging"), |_this, ctx| Ok(log_three(ctx).await));

tool!(LoggingTool {} "Log three times.", Spec::read("test_logging_tool"), |_this, ctx| Ok(log_three(ctx).await));

tool!(WithProgress {} "Report progress.", Spec::read("test_tool_with_progress"), |_this, ctx| {
    for (n, done) in [0.0, 50.0, 100.0].into_iter().enumerate() {
        if n > 0 {
            tokio::time::sleep(STEP).await;
        }
        ctx.progress(done, Some(100.0), None);
    }
    Ok(Shown::text("done"))
});

tool!(ErrorHandling {} "Always fail.", Spec::read("test_error_handling").without_breaker(), |_this, _ctx| {
    Err(ToolError::new(Kind::Conflict, "This tool intentionally returns an error for testing"))
});

tool!(Reconnection {} "Let go of the connection in the middle.", Spec::read("test_reconnection"), |_this, ctx| {
    ctx.pause();
    tokio::time::sleep(STEP * 2).await;
    Ok(Shown::text("Reconnection test completed"))
});

tool!(MissingCapability {} "Need sampling.", Spec::read("test_missing_capability"), |_this, ctx| {
    if ctx.can(Ability::Sampling) {
        return Ok(Shown::text("the client can be asked"));
    }
    Err(ToolError::needs_client(Ability::Sampling.capability()))
});

tool!(TriggerToolChange {} "Change the list of tools.", Spec::read("test_trigger_tool_change"), |_this, ctx| {
    ctx.changed(Change::Tools);
    Ok(Shown::text("tools changed"))
});

tool!(TriggerPromptChange {} "Change the list of prompts.", Spec::read("test_trigger_prompt_change"), |_this, ctx| {
    ctx.changed(Change::Prompts);
    Ok(Shown::text("prompts changed"))
});

tool!(UpdateWatched {} "Change the watched resource.", Spec::read("test_update_watched"), |_this, ctx| {
    ctx.changed(Change::Resource("test://watched-resource".to_owned()));
    Ok(Shown::text("updated"))
});

/// Have a parameter that is mirrored in a header.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct MirroredHeader {
    /// The region.
    #[schemars(extend("x-mcp-header" = "Region"))]
    region: String,
}

impl Tool for MirroredHeader {
    type Server = Conformance;
    type Output = Shown;
    const SPEC: Spec = Spec::read("test_x_mcp_header").shows();

    async fn call(self, _server: &Conformance, _ctx: &Ctx) -> Result<Shown, ToolError> {
        Ok(Shown::text(format!("region {}", self.region)))
    }
}

/// Have a schema that uses much of JSON Schema 2020-12.
#[derive(Deserialize, JsonSchema)]
struct JsonSchema202012 {}

impl Tool for JsonSchema202012 {
    type Server = Conformance;
    type Output = Shown;
    const SPEC: Spec = Spec::read("json_schema_2020_12_tool").shows();

    async fn call(self, _server: &Conformance, _ctx: &Ctx) -> Result<Shown, ToolError> {
        Ok(Shown::text("ok"))
    }
}

/// The suite's schema of many keywords ; other implementations' fixtures offer it too.
pub fn json_schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}
