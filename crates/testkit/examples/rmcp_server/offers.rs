//! What there is: the lists, and what resources and prompts answer.

use crate::wire;
use rmcp::model::*;
use serde_json::{Value, json};
use toolgate_testkit::conformance::json_schema;

/// The prompt that asks its client something, which `main` answers.
pub const ASKING_PROMPT: &str = "test_input_required_result_prompt";

/// A red pixel and two silent samples.
pub const PNG: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC";
pub const WAV: &str = "UklGRigAAABXQVZFZm10IBAAAAABAAEAQB8AAIA+AAACABAAZGF0YQQAAAAAAAAA";

/// Tools without arguments that only read.
const PLAIN: [&str; 28] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_logging_tool",
    "test_tool_with_progress",
    "test_error_handling",
    "test_reconnection",
    "test_missing_capability",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_elicitation_sep1034_defaults",
    "test_elicitation_sep1330_enums",
    "test_streaming_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
    "failing_job",
    "protocol_error_job",
    "multi_input",
    "test_tool_with_task",
];
/// Tools with one required argument: its name and its type.
const WITH_ONE: [(&str, &str, &str); 5] = [
    ("test_sampling", "prompt", "string"),
    ("test_elicitation", "message", "string"),
    ("greet", "name", "string"),
    ("slow_compute", "seconds", "number"),
    ("confirm_delete", "filename", "string"),
];

/// All tools, always in the same order.
pub fn tools() -> Vec<Tool> {
    let plain = PLAIN.map(|name| tool(name, json!({"type": "object", "properties": {}})));
    let with_one = WITH_ONE.map(|(name, argument, kind)| {
        tool(
            name,
            json!({"type": "object", "properties": {argument: {"type": kind}}, "required": [argument]}),
        )
    });
    let region = json!({"type": "string", "x-mcp-header": "Region"});
    let mirrored = json!({"type": "object", "properties": {"region": region}, "required": ["region"]});
    let more = [tool("test_x_mcp_header", mirrored), tool("json_schema_2020_12_tool", json_schema())];
    plain.into_iter().chain(with_one).chain(more).collect()
}

fn tool(name: &str, input: Value) -> Tool {
    wire(
        json!({"name": name, "description": format!("The suite's {name}."), "inputSchema": input, "annotations": {"readOnlyHint": true}}),
    )
}

pub fn resources() -> Vec<Resource> {
    let one = |name: &str, mime: &str| {
        wire(json!({"uri": format!("test://{name}"), "name": name, "mimeType": mime}))
    };
    vec![
        one("static-text", "text/plain"),
        one("static-binary", "image/png"),
        one("watched-resource", "text/plain"),
    ]
}

pub fn templates() -> Vec<ResourceTemplate> {
    vec![wire(
        json!({"uriTemplate": "test://template/{id}/data", "name": "template", "mimeType": "application/json"}),
    )]
}

/// What a resource holds.
pub fn contents(uri: &str) -> Option<ResourceContents> {
    let text = |mime: &str, text: &str| json!({"uri": uri, "mimeType": mime, "text": text});
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    Some(wire(match (uri, id) {
        ("test://static-text", _) => text("text/plain", "This is the content of the static text resource."),
        ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": PNG}),
        ("test://watched-resource", _) => text("text/plain", "watched"),
        (_, Some(id)) if !id.is_empty() && !id.contains('/') => {
            let data = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")});
            text("application/json", &data.to_string())
        }
        _ => return None,
    }))
}

pub fn prompts() -> Vec<Prompt> {
    let one = |name: &str, arguments: &[&str]| {
        let arguments: Vec<Value> =
            arguments.iter().map(|name| json!({"name": name, "required": true})).collect();
        wire(json!({"name": name, "description": format!("The suite's {name}."), "arguments": arguments}))
    };
    vec![
        one("test_simple_prompt", &[]),
        one("test_prompt_with_arguments", &["arg1", "arg2"]),
        one("test_prompt_with_embedded_resource", &["resourceUri"]),
        one("test_prompt_with_image", &[]),
        one(ASKING_PROMPT, &[]),
    ]
}

/// One message of the user.
pub fn say(text: &str) -> Value {
    json!([message(json!({"type": "text", "text": text}))])
}

fn message(content: Value) -> Value {
    json!({"role": "user", "content": content})
}

/// The messages of a prompt that asks nothing.
pub fn prompt(name: &str, arguments: &JsonObject) -> Option<Vec<PromptMessage>> {
    let argument = |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default();
    let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
    let messages = match name {
        "test_simple_prompt" => say("This is a simple prompt for testing."),
        "test_prompt_with_arguments" => {
            say(&format!("Prompt with arguments: arg1='{}', arg2='{}'", argument("arg1"), argument("arg2")))
        }
        "test_prompt_with_embedded_resource" => {
            let text = "Embedded resource content for testing.";
            let resource = json!({"uri": argument("resourceUri"), "mimeType": "text/plain", "text": text});
            let text = json!({"type": "text", "text": "Please process the embedded resource above."});
            json!([message(json!({"type": "resource", "resource": resource})), message(text)])
        }
        "test_prompt_with_image" => {
            let text = json!({"type": "text", "text": "Please analyze the image above."});
            json!([message(image), message(text)])
        }
        _ => return None,
    };
    Some(wire(messages))
}
