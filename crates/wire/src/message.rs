//! The JSON-RPC envelope: bytes in, one message or one batch out, bodies left as raw text.
//!
//! Called once for each HTTP body and each stdio line. The caller bounds the length; this bounds the nesting. Whatever
//! the input, it costs time linear in its length and no stack.

use crate::fault::Fault;
use crate::id::Id;
use crate::members::{self, members};
use crate::scan;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Most messages in one batch.
pub const MAX_BATCH: usize = 100;

/// What a body or line held.
#[derive(Debug)]
pub enum Body<'a> {
    One(Message<'a>),
    /// At least one message; each is judged for itself.
    Batch(Vec<Result<Message<'a>, Malformed>>),
}

/// One JSON-RPC message.
#[derive(Debug)]
pub enum Message<'a> {
    Request(Request<'a>),
    Notification {
        method: Cow<'a, str>,
        params: Option<&'a RawValue>,
    },
    /// Exactly one of `result` and `error` is there.
    Response {
        id: Option<Id>,
        result: Option<&'a RawValue>,
        error: Option<&'a RawValue>,
    },
}

/// A request; `params` is the text of an object.
#[derive(Debug)]
pub struct Request<'a> {
    pub id: Id,
    pub method: Cow<'a, str>,
    pub params: Option<&'a RawValue>,
}

/// Not a message. The id is there when it could be read.
#[derive(Debug, Clone, PartialEq)]
pub struct Malformed {
    pub id: Option<Id>,
    pub fault: Fault,
}

impl From<Fault> for Malformed {
    fn from(fault: Fault) -> Self {
        Self { id: None, fault }
    }
}

members! {
    Envelope {
        jsonrpc = "jsonrpc",
        id = "id",
        method = "method",
        params = "params",
        result = "result",
        error = "error",
    }
}

/// How large the structure of one body may be.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Nesting of objects and arrays (`scan::MAX_DEPTH` unless there is a reason).
    pub depth: usize,
    /// Messages in a batch, at most [`MAX_BATCH`].
    pub batch: usize,
}

impl From<usize> for Bounds {
    /// A depth, and the largest batch there is.
    fn from(depth: usize) -> Self {
        Self { depth, batch: MAX_BATCH }
    }
}

/// Parse one body.
pub fn parse(bytes: &[u8], bounds: impl Into<Bounds>) -> Result<Body<'_>, Malformed> {
    parse_str(std::str::from_utf8(bytes).map_err(not_text)?, bounds)
}

/// A body as text, for `parse_str`.
pub fn text(bytes: Vec<u8>) -> Result<String, Malformed> {
    String::from_utf8(bytes).map_err(|e| not_text(e.utf8_error()))
}

fn not_text(error: std::str::Utf8Error) -> Malformed {
    let at = error.valid_up_to();
    Fault::parse(format!("Parse error: not UTF-8 (first wrong byte at offset {at})")).into()
}

/// As `parse`, of what is known to be text.
pub fn parse_str(json: &str, bounds: impl Into<Bounds>) -> Result<Body<'_>, Malformed> {
    let Bounds { depth: max_depth, batch: max_batch } = bounds.into();
    let too_deep = scan::deeper_than(json.as_bytes(), max_depth);
    match json.trim_ascii_start().as_bytes().first() {
        Some(b'{') => {
            let envelope: Envelope<'_> = serde_json::from_str(json).map_err(|e| not_json(&e))?;
            if too_deep {
                let id = envelope.id.and_then(|raw| Id::parse(raw).ok());
                return Err(Malformed { id, fault: nested(max_depth) });
            }
            message(envelope).map(Body::One)
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| not_json(&e))?;
            if too_deep {
                return Err(nested(max_depth).into());
            }
            batch(items, max_batch.min(MAX_BATCH))
        }
        _ => {
            serde_json::from_str::<&RawValue>(json).map_err(|e| not_json(&e))?;
            Err(Fault::invalid_request("Invalid request: a message is a JSON object").into())
        }
    }
}

fn not_json(error: &serde_json::Error) -> Fault {
    Fault::parse(format!("Parse error: {error}"))
}

fn nested(max: usize) -> Fault {
    Fault::invalid_request(format!("Invalid request: nested deeper than {max} levels"))
}

fn batch(items: Vec<&RawValue>, most: usize) -> Result<Body<'_>, Malformed> {
    if items.is_empty() {
        return Err(Fault::invalid_request("Invalid request: an empty batch").into());
    }
    if items.len() > most {
        let why = format!("Invalid request: {} messages in a batch; at most {most}", items.len());
        return Err(Fault::invalid_request(why).into());
    }
    let one = |raw: &'_ RawValue| -> Result<(), Malformed> {
        if raw.get().starts_with('{') {
            return Ok(());
        }
        Err(Fault::invalid_request("Invalid request: a message is a JSON object").into())
    };
    let messages = items
        .into_iter()
        .map(|raw| {
            one(raw)?;
            message(serde_json::from_str(raw.get()).map_err(|e| not_json(&e))?)
        })
        .collect();
    Ok(Body::Batch(messages))
}

type MaybeId = Option<Result<Id, &'static str>>;

fn refuse(id: MaybeId, why: impl std::fmt::Display) -> Malformed {
    let fault = Fault::invalid_request(format!("Invalid request: {why}"));
    Malformed { id: id.and_then(Result::ok), fault }
}

fn message(envelope: Envelope<'_>) -> Result<Message<'_>, Malformed> {
    let id = envelope.id.map(Id::parse);
    if let Some(key) = envelope.duplicate {
        return Err(refuse(id, format_args!("member \"{key}\" comes twice")));
    }
    if envelope.jsonrpc.map(RawValue::get) != Some("\"2.0\"") {
        return Err(refuse(id, "\"jsonrpc\" must be \"2.0\""));
    }
    let Some(method) = envelope.method else {
        return response(&envelope, id);
    };
    let Some(method) = members::text(method) else {
        return Err(refuse(id, "\"method\" must be a string"));
    };
    if envelope.result.is_some() || envelope.error.is_some() {
        return Err(refuse(id, "both a request and a response"));
    }
    let params = envelope.params.filter(|raw| raw.get() != "null");
    if params.is_some_and(|raw| !raw.get().starts_with('{')) {
        let fault = Fault::invalid_params("Invalid params: \"params\" must be an object");
        return Err(Malformed { id: id.and_then(Result::ok), fault });
    }
    match id {
        Some(Ok(id)) => Ok(Message::Request(Request { id, method, params })),
        Some(Err(why)) => Err(refuse(None, why)),
        None => Ok(Message::Notification { method, params }),
    }
}

fn response<'a>(envelope: &Envelope<'a>, id: MaybeId) -> Result<Message<'a>, Malformed> {
    let (result, error) = (envelope.result, envelope.error);
    match (result.is_some(), error.is_some()) {
        (false, false) => return Err(refuse(id, "no \"method\"")),
        (true, true) => return Err(refuse(id, "both \"result\" and \"error\"")),
        _ => {}
    }
    // JSON-RPC has an error answer with a null id for what could not be read.
    let unread = error.is_some() && envelope.id.is_none_or(|raw| raw.get() == "null");
    match id {
        Some(Ok(id)) => Ok(Message::Response { id: Some(id), result, error }),
        _ if unread => Ok(Message::Response { id: None, result, error }),
        Some(Err(why)) => Err(refuse(None, why)),
        None => Err(refuse(None, "a response without an id")),
    }
}

#[cfg(test)]
#[path = "message_tests.rs"]
mod tests;
