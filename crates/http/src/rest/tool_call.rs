//! `POST /mcp/{server}/tools/{tool}`: call a tool.
//!
//! A tool's own no is a refusal with the status of its kind (invalid 400, not found 404, ...), so that clients which look
//! at nothing but the status see it. A tool that the caller may not see answers like one that does not exist.

use super::route::{Answer, At, Route, shape};
use super::view::{Metadata, millis};
use crate::app::AppState;
use crate::refusal::Refusal;
use crate::{bounds, forward, trace};
use axum::body::Body;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json, routing};
use http::{HeaderMap, header};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use std::sync::Arc;
use std::time::Instant;
use toolgate_core::id::CallId;
use toolgate_core::name::{Door, ServerName};
use toolgate_core::{Call, Caller, ClientInfo, Face, JsonText, Outcome, ToolOutput};

pub(super) fn route() -> Route {
    Route {
        method: http::Method::POST,
        path: "/mcp/{server}/tools/{tool}",
        id: "callTool",
        summary: "Call a tool. Its own refusals come with the status of their kind; traceparent, tracestate and baggage \
                  are taken over",
        tag: "tools",
        open: false,
        body: Some(shape::<ToolCall>),
        answer: Answer::Json(shape::<ToolResult<'_>>),
        refusals: &[404, 408, 409, 413, 415, 429, 503, 504],
        handler: routing::post(call),
    }
}

/// A call of a tool.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ToolCall {
    /// The tool's parameters, as its `input_schema` says.
    #[schemars(with = "Option<Map<String, Value>>")]
    params: Option<Box<RawValue>>,
    /// What the client wants to note of the call (user_id, workspace, preferences). It decides nothing: who calls is
    /// known by the key.
    #[serde(rename = "context")]
    _context: Option<Map<String, Value>>,
}

/// The result of a tool.
#[derive(Serialize, JsonSchema)]
struct ToolResult<'a> {
    /// Always true; a failure has the shape `Failure`.
    success: bool,
    /// The tool's result, as its `output_schema` says.
    #[schemars(with = "Map<String, Value>")]
    data: &'a JsonText,
    /// Always null.
    error: Option<Map<String, Value>>,
    metadata: Metadata<'a>,
}

// Longest tool name that is looked up, in bytes; real ones have at most 64.
const MAX_NAME: usize = 128;

async fn call(
    State(state): State<AppState>,
    Extension(caller): Extension<Arc<Caller>>,
    At((server, tool)): At<(String, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let (id, begun) = (CallId::new(), Instant::now());
    let seen = state.engine().servers(&caller).into_iter().find(|view| view.id == server);
    // Counted only for servers that are there, so that nobody can invent label values.
    let _counted = seen.as_ref().map(|view| state.engine().connection(Some(&view.id)));
    let result = run(&state, caller, id, &server, tool, &headers, body).await;
    let metadata = Metadata {
        execution_time_ms: millis(begun.elapsed()),
        server: &server,
        version: seen.as_ref().map(|view| view.version.as_str()),
        call_id: id,
    };
    match result {
        Ok(output) => {
            Json(ToolResult { success: true, data: &output.json, error: None, metadata }).into_response()
        }
        Err(refusal) => refusal.with_metadata(&metadata).into_response(),
    }
}

async fn run(
    state: &AppState,
    caller: Arc<Caller>,
    id: CallId,
    server: &str,
    tool: String,
    headers: &HeaderMap,
    body: Body,
) -> Result<ToolOutput, Refusal> {
    let asked: ToolCall = bounds::json(headers, body, state.limits(), &caller).await?;
    let arguments = match asked.params {
        Some(params) if params.get().starts_with('{') => JsonText::from(params),
        Some(_) => return Err(Refusal::invalid("\"params\" must be an object")),
        None => JsonText::empty(),
    };
    if tool.len() > MAX_NAME {
        return Err(Refusal::invalid(format!("the tool name is longer than {MAX_NAME} bytes")));
    }
    let Ok(scope) = ServerName::new(server) else {
        let unknown = state.engine().tools(&caller, Some(server)).err().map(Refusal::from);
        return Err(unknown.unwrap_or_else(|| Refusal::not_found("there is no such server")));
    };
    let call = Call {
        id,
        caller,
        client: client(headers).map(Arc::new),
        scope: Some(Door::of(&scope)),
        face: Face::Tool,
        tool,
        arguments,
        trace: trace::of(headers),
        link: None,
        forwarded: forward::of(headers, state),
    };
    match state.engine().call(&call).await? {
        Outcome::Done(output) => Ok(output),
        Outcome::Refused(refused) => Err(refused.into()),
    }
}

// The first product of User-Agent, `name/version`.
fn client(headers: &HeaderMap) -> Option<ClientInfo> {
    let product = headers.get(header::USER_AGENT)?.to_str().ok()?.split_whitespace().next()?;
    let cut = |text: &str| text.chars().take(64).collect::<String>();
    let (name, version) = product.split_once('/').unwrap_or((product, ""));
    Some(ClientInfo { name: cut(name), version: cut(version) })
}
