//! A client is asked: by requests of its own in the legacy era, by rounds of one call in the modern one.

use crate::{Incoming, modern, wire};
use rmcp::model::*;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::sync::Mutex;
use uuid::Uuid;

/// Questions by name, in the order in which they are asked.
pub type Asks = Vec<(&'static str, InputRequest)>;
pub type Answers = BTreeMap<String, Value>;

/// What a request of the modern era brings of earlier rounds.
#[derive(Default)]
pub struct Given {
    pub responses: Option<InputResponses>,
    pub state: Option<String>,
}

/// All the answers, or a result that asks for the rest.
pub enum Asked {
    Answers(Answers),
    Round(InputRequiredResult),
}

/// Answers of earlier rounds by handle. The handle is all that a client holds, and one that was tampered with is unknown.
#[derive(Default)]
pub struct States(Mutex<HashMap<Uuid, Answers>>);

impl States {
    fn keep(&self, answers: Answers) -> String {
        let handle = Uuid::new_v4();
        self.0.lock().unwrap().insert(handle, answers);
        handle.to_string()
    }

    fn open(&self, state: &str) -> Result<Answers, ErrorData> {
        let handle = Uuid::try_parse(state).ok();
        let answers = handle.and_then(|handle| self.0.lock().unwrap().get(&handle).cloned());
        answers.ok_or_else(|| ErrorData::invalid_params("requestState is not of this server", None))
    }
}

/// A form with one required member.
pub fn form(message: &str, member: &str, kind: &str) -> InputRequest {
    schema(message, json!({"type": "object", "properties": {member: {"type": kind}}, "required": [member]}))
}

/// A form of any schema.
pub fn schema(message: &str, schema: Value) -> InputRequest {
    let params = json!({"mode": "form", "message": message, "requestedSchema": schema});
    wire(json!({"method": "elicitation/create", "params": params}))
}

/// A question to the client's model.
pub fn model(text: &str, most: u32) -> InputRequest {
    let message = json!({"role": "user", "content": {"type": "text", "text": text}});
    wire(json!({"method": "sampling/createMessage", "params": {"messages": [message], "maxTokens": most}}))
}

pub fn roots() -> InputRequest {
    wire(json!({"method": "roots/list"}))
}

/// Whether the client says that it can answer this.
pub fn can(context: &Incoming, request: &InputRequest) -> bool {
    let able = context.client_capabilities().unwrap_or_default();
    match request {
        InputRequest::CreateMessage(_) => able.sampling.is_some(),
        InputRequest::ListRoots(_) => able.roots.is_some(),
        _ => able.elicitation.is_some(),
    }
}

/// The error for a client that cannot.
pub fn incapable(capability: &str) -> ErrorData {
    ErrorData::missing_required_client_capability(wire(json!({capability: {}})))
}

// Whether it looks like an answer to this; what does not is asked again.
fn answers(request: &InputRequest, answer: &Value) -> bool {
    match request {
        InputRequest::CreateMessage(_) => answer["content"].is_object() || answer["content"].is_array(),
        InputRequest::ListRoots(_) => answer["roots"].is_array(),
        _ => answer["action"].is_string(),
    }
}

/// Ask all of them; what was answered in earlier rounds is not asked again.
pub async fn ask(states: &States, context: &Incoming, given: Given, asks: Asks) -> Result<Asked, ErrorData> {
    for (_, request) in &asks {
        if !can(context, request) {
            return Err(incapable(match request {
                InputRequest::CreateMessage(_) => "sampling",
                InputRequest::ListRoots(_) => "roots",
                _ => "elicitation",
            }));
        }
    }
    if !modern(context) {
        return legacy(context, asks).await.map(Asked::Answers);
    }
    let mut known = given.state.map_or_else(|| Ok(Answers::new()), |state| states.open(&state))?;
    let mut given = given.responses.unwrap_or_default();
    let mut rest = InputRequests::new();
    for (key, request) in asks {
        match given.remove(key).filter(|answer| answers(&request, answer)) {
            Some(answer) => {
                known.insert(key.to_owned(), answer);
            }
            None if known.contains_key(key) => {}
            None => {
                rest.insert(key.to_owned(), request);
            }
        }
    }
    if rest.is_empty() {
        return Ok(Asked::Answers(known));
    }
    Ok(Asked::Round(InputRequiredResult::new(Some(rest), Some(states.keep(known)))))
}

async fn legacy(context: &Incoming, asks: Asks) -> Result<Answers, ErrorData> {
    let mut known = Answers::new();
    for (key, request) in asks {
        let answer = match request {
            InputRequest::CreateMessage(request) => json(context.peer.create_message(request.params).await),
            InputRequest::Elicitation(request) => json(context.peer.create_elicitation(request.params).await),
            _ => json(context.peer.list_roots().await),
        };
        known.insert(key.to_owned(), answer?);
    }
    Ok(known)
}

fn json<T: serde::Serialize>(answer: Result<T, ServiceError>) -> Result<Value, ErrorData> {
    let answer = answer
        .map_err(|why| ErrorData::internal_error(format!("the client does not answer: {why}"), None))?;
    serde_json::to_value(answer).map_err(|why| ErrorData::internal_error(why.to_string(), None))
}
