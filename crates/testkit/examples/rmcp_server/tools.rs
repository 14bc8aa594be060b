//! What the tools do, those of the Tasks extension excepted.

use crate::asking::{self, Asked, Asks, Given};
use crate::offers::{PNG, WAV};
use crate::{Change, Everything, Incoming, modern, wire};
use rmcp::model::*;
use serde_json::{Value, json};
use std::time::Duration;

const STEP: Duration = Duration::from_millis(50);
/// Longer than a client needs to come back to its stream: without a store of events rmcp forgets an answer that nobody heard.
const AWAY: Duration = Duration::from_millis(700);
/// Streams of a session that `test_reconnection` looks through for its own.
const STREAMS: u64 = 64;

/// A result of this text alone.
pub fn text(text: impl Into<String>) -> CallToolResult {
    CallToolResult::success(vec![ContentBlock::text(text)])
}

fn show(blocks: Value) -> Result<CallToolResponse, ErrorData> {
    Ok(CallToolResult::success(wire(blocks)).into())
}

impl Everything {
    /// Run a tool.
    pub async fn call(
        &self,
        request: CallToolRequestParams,
        context: Incoming,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.as_ref();
        let arguments = request.arguments.unwrap_or_default();
        let argument =
            |name: &str| arguments.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        let given = Given { responses: request.input_responses, state: request.request_state };
        let image = json!({"type": "image", "data": PNG, "mimeType": "image/png"});
        match name {
            "test_simple_text" => Ok(text("This is a simple text response for testing.").into()),
            "test_image_content" => show(json!([image])),
            "test_audio_content" => show(json!([{"type": "audio", "data": WAV, "mimeType": "audio/wav"}])),
            "test_embedded_resource" => show(json!([resource(
                "test://embedded-resource",
                "text/plain",
                "This is an embedded resource content.",
            )])),
            "test_multiple_content_types" => {
                let data = json!({"test": "data", "value": 123}).to_string();
                let resource = resource("test://mixed-content-resource", "application/json", &data);
                show(json!([{"type": "text", "text": "Multiple content types test:"}, image, resource]))
            }
            "test_tool_with_logging" | "test_logging_tool" => self.log_three(&context).await,
            "test_tool_with_progress" => progress(&context).await,
            "test_error_handling" => {
                let why = "This tool intentionally returns an error for testing";
                Ok(CallToolResult::error(vec![ContentBlock::text(why)]).into())
            }
            "test_reconnection" => self.let_go(&context).await,
            "test_missing_capability" if asking::can(&context, &asking::model("", 1)) => {
                Ok(text("the client can be asked").into())
            }
            "test_missing_capability" => Err(asking::incapable("sampling")),
            "test_trigger_tool_change" => self.changed(Change::Tools),
            "test_trigger_prompt_change" => self.changed(Change::Prompts),
            "test_x_mcp_header" => Ok(text(format!("region {}", argument("region"))).into()),
            "json_schema_2020_12_tool" => Ok(text("ok").into()),
            "greet" => Ok(text(format!("Hello, {}!", argument("name"))).into()),
            "slow_compute"
            | "failing_job"
            | "protocol_error_job"
            | "confirm_delete"
            | "multi_input"
            | "test_tool_with_task" => self.task(name, &arguments, given, &context).await,
            "test_input_required_result_multi_round" => self.ask_twice(given, &context).await,
            _ => {
                if name == "test_streaming_elicitation" {
                    report(&context, 0.0, 1.0).await;
                }
                let asks = asks(name, &argument, &context);
                let asks =
                    asks.ok_or_else(|| ErrorData::invalid_params(format!("Unknown tool: {name}"), None))?;
                Ok(match asking::ask(&self.shared.states, &context, given, asks).await? {
                    Asked::Round(round) => round.into(),
                    Asked::Answers(answers) => text(conclude(name, &answers)).into(),
                })
            }
        }
    }

    fn changed(&self, change: Change) -> Result<CallToolResponse, ErrorData> {
        // Nobody may be listening.
        let _ = self.shared.changes.send(change);
        Ok(text("changed").into())
    }

    async fn log_three(&self, context: &Incoming) -> Result<CallToolResponse, ErrorData> {
        for line in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
            if self.logs(context, LoggingLevel::Info) {
                let line = LoggingMessageNotificationParam::new(LoggingLevel::Info, json!(line));
                let _ = context.peer.notify_logging_message(line).await;
            }
            tokio::time::sleep(STEP).await;
        }
        Ok(text("logged three times").into())
    }

    // Closes the stream of its own call, whose client comes back for the answer. rmcp does not tell a tool which stream is
    // its own; closing those that are done changes nothing, and the suite has no other call on the way.
    async fn let_go(&self, context: &Incoming) -> Result<CallToolResponse, ErrorData> {
        let parts = context.extensions.get::<http::request::Parts>();
        let id = parts.and_then(|parts| parts.headers.get("mcp-session-id")).and_then(|id| id.to_str().ok());
        if let (false, Some(id)) = (modern(context), id) {
            let session = self.shared.sessions.sessions.read().await.get(id).cloned();
            if let Some(session) = session {
                for stream in 0..STREAMS {
                    let _ = session.close_sse_stream(stream, None).await;
                }
            }
        }
        tokio::time::sleep(AWAY).await;
        Ok(text("Reconnection test completed").into())
    }

    async fn ask_twice(&self, given: Given, context: &Incoming) -> Result<CallToolResponse, ErrorData> {
        let name = asking::form("Step 1: What is your name?", "name", "string");
        let mut asks = vec![("step1", name)];
        // The second question comes in a round of its own.
        if given.state.is_some() || !modern(context) {
            asks.push(("step2", asking::form("Step 2: What is your favorite color?", "color", "string")));
        }
        Ok(match asking::ask(&self.shared.states, context, given, asks).await? {
            Asked::Round(round) => round.into(),
            Asked::Answers(answers) => text(json!(answers).to_string()).into(),
        })
    }
}

fn resource(uri: &str, mime: &str, text: &str) -> Value {
    json!({"type": "resource", "resource": {"uri": uri, "mimeType": mime, "text": text}})
}

async fn report(context: &Incoming, done: f64, total: f64) {
    if let Some(token) = context.meta.get_progress_token() {
        let progress = ProgressNotificationParam::new(token, done).with_total(total);
        let _ = context.peer.notify_progress(progress).await;
    }
}

async fn progress(context: &Incoming) -> Result<CallToolResponse, ErrorData> {
    for done in [0.0, 50.0, 100.0] {
        report(context, done, 100.0).await;
        tokio::time::sleep(STEP).await;
    }
    Ok(text("done").into())
}

// What a tool asks; nothing for a name that is no tool.
fn asks(name: &str, argument: &dyn Fn(&str) -> String, context: &Incoming) -> Option<Asks> {
    let who = || ("user_name", asking::form("What is your name?", "name", "string"));
    let confirm = || vec![("confirm", asking::form("Please confirm", "ok", "boolean"))];
    let all = || {
        vec![who(), ("greeting", asking::model("Generate a greeting", 50)), ("client_roots", asking::roots())]
    };
    Some(match name {
        "test_sampling" => vec![("sampling", asking::model(&argument("prompt"), 100))],
        "test_elicitation" => {
            let text = json!({"type": "string"});
            let schema = json!({"type": "object", "properties": {"username": text, "email": text}, "required": ["username", "email"]});
            vec![("user", asking::schema(&argument("message"), schema))]
        }
        "test_elicitation_sep1034_defaults" => {
            vec![("defaults", asking::schema("Please review", defaults()))]
        }
        "test_elicitation_sep1330_enums" => vec![("choices", asking::schema("Please choose", enums()))],
        "test_streaming_elicitation" | "test_input_required_result_elicitation" => vec![who()],
        "test_input_required_result_sampling" => {
            vec![("capital_question", asking::model("What is the capital of France?", 100))]
        }
        "test_input_required_result_list_roots" => vec![("client_roots", asking::roots())],
        "test_input_required_result_request_state" | "test_input_required_result_tampered_state" => confirm(),
        "test_input_required_result_multiple_inputs" => all(),
        "test_input_required_result_capabilities" => {
            all().into_iter().filter(|(_, request)| asking::can(context, request)).collect()
        }
        _ => return None,
    })
}

// What a tool says once it is answered.
fn conclude(name: &str, answers: &asking::Answers) -> String {
    let first = answers.values().next().cloned().unwrap_or_default();
    match name {
        "test_sampling" => {
            format!("LLM response: {}", first["content"]["text"].as_str().unwrap_or("nothing"))
        }
        "test_elicitation" => format!("User response: {first}"),
        "test_elicitation_sep1034_defaults" | "test_elicitation_sep1330_enums" => {
            let action = first["action"].as_str().unwrap_or("none");
            format!("Elicitation completed: action={action}, content={}", first["content"])
        }
        "test_input_required_result_request_state" => format!("state-ok: {first}"),
        "test_streaming_elicitation" | "test_input_required_result_elicitation" => {
            format!("Hello, {}!", first["content"]["name"].as_str().unwrap_or("nobody"))
        }
        _ => json!(answers).to_string(),
    }
}

fn defaults() -> Value {
    json!({"type": "object", "properties": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {"type": "string", "enum": ["active", "inactive", "pending"], "default": "active"},
        "verified": {"type": "boolean", "default": true},
    }})
}

fn enums() -> Value {
    let options = json!(["option1", "option2", "option3"]);
    let titled = json!([{"const": "value1", "title": "First"}, {"const": "value2", "title": "Second"}, {"const": "value3", "title": "Third"}]);
    json!({"type": "object", "properties": {
        "untitledSingle": {"type": "string", "enum": options},
        "titledSingle": {"type": "string", "oneOf": titled},
        "legacyEnum": {"type": "string", "enum": ["opt1", "opt2", "opt3"], "enumNames": ["Option One", "Option Two", "Option Three"]},
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": options}},
        "titledMulti": {"type": "array", "items": {"anyOf": titled}},
    }})
}
