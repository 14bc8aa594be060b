//! Messages of an upstream, read as far as they concern the gateway.
//!
//! Used by both conversations and by the listeners. What is no message, answers another request or is unknown is `None`:
//! dropped, because nobody waits for it.

use serde_json::Value;
use serde_json::value::RawValue;
use toolgate_core::JsonText;
use toolgate_core::link::{Change, Loudness};
use toolgate_wire::result::Pairs;
use toolgate_wire::scan::{MAX_DEPTH, deeper_than};
use toolgate_wire::{Body, Message, Request};

use super::fault::Rpc;
use crate::transport::{Failure, Incoming};

// Longest text of a progress, a logger's name or an error that is passed on, in characters.
const MAX_TEXT: usize = 4096;
// Longest name of a method.
const MAX_METHOD: usize = 128;

// Longest URI of a change, as of a resource that is offered.
const MAX_URI: usize = 8192;

/// Bytes of one question of an upstream.
pub(crate) const MAX_QUESTION: usize = 256 << 10;

/// What an upstream said.
#[derive(Debug)]
pub(crate) enum Said {
    Progress {
        done: f64,
        total: Option<f64>,
        message: Option<String>,
    },
    Log {
        loudness: Loudness,
        logger: String,
        data: Value,
    },
    Changed(Change),
    Asked(Question),
    Answer(Result<JsonText, Rpc>),
    /// There will be no answer.
    Lost(Failure),
    /// It let go of the stream of its answer, and is asked for the rest after a while.
    Paused,
    /// Nothing that concerns anybody.
    Nothing,
}

impl Said {
    /// Bytes that it holds as long as it waits.
    pub fn bytes(&self) -> usize {
        match self {
            Self::Asked(question) => question.bytes(),
            _ => 0,
        }
    }
}

/// A request of the upstream. Kept as text until it is asked: parsed it is many times as large.
#[derive(Debug)]
pub(crate) struct Question {
    /// JSON text.
    pub id: String,
    pub method: String,
    params: Option<Box<RawValue>>,
    /// Larger than `MAX_QUESTION`, and not here.
    pub too_large: bool,
}

impl Question {
    fn of(request: Request<'_>) -> Self {
        let size = request.params.map_or(0, |raw| raw.get().len());
        let too_large = size > MAX_QUESTION;
        Self {
            id: request.id.json().to_owned(),
            method: request.method.chars().take(MAX_METHOD).collect(),
            params: request.params.filter(|_| !too_large).map(ToOwned::to_owned),
            too_large,
        }
    }

    pub fn params(&self) -> Value {
        value(self.params.as_deref())
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.id.len() + self.method.len() + self.params.as_ref().map_or(0, |raw| raw.get().len())
    }
}

/// Read a message. `id`: JSON text of the request that is waited for, if one is.
pub(crate) fn read(message: &Incoming, id: Option<&str>) -> Said {
    read_within(message, id, MAX_DEPTH)
}

/// As `read`, with a bound of its own on the nesting of an answer.
pub(crate) fn read_within(message: &Incoming, id: Option<&str>, depth: usize) -> Said {
    match (message.result(), id) {
        (Some((theirs, result)), Some(ours)) if same(theirs.json(), ours) => answer(result.clone(), depth),
        (Some(_), _) => Said::Nothing,
        (None, _) => parsed(message, id, depth),
    }
}

fn answer(result: JsonText, depth: usize) -> Said {
    // The message itself is one level.
    let wrong = if deeper_than(result.get().as_bytes(), depth.saturating_sub(1)) {
        format!("its answer cannot be read: it nests deeper than {depth} levels")
    } else if !result.get().starts_with('{') {
        "its result is not an object".to_owned()
    } else {
        return Said::Answer(Ok(result));
    };
    Said::Answer(Err(Rpc::new(-32603, wrong)))
}

fn parsed(message: &[u8], id: Option<&str>, depth: usize) -> Said {
    let parsed = match toolgate_wire::message::parse(message, depth) {
        Ok(Body::One(Message::Request(_) | Message::Notification { .. }))
            if depth > MAX_DEPTH && deeper_than(message, MAX_DEPTH) =>
        {
            return Said::Nothing;
        }
        Ok(Body::One(message)) => message,
        Ok(Body::Batch(_)) => return Said::Nothing,
        // An answer that cannot be read is an answer all the same: waiting for another would be in vain.
        Err(malformed) => {
            return match (malformed.id, id) {
                (Some(theirs), Some(ours)) if same(theirs.json(), ours) => Said::Answer(Err(Rpc::new(
                    -32603,
                    format!("its answer cannot be read: {}", malformed.fault.message),
                ))),
                _ => Said::Nothing,
            };
        }
    };
    match parsed {
        Message::Request(request) => Said::Asked(Question::of(request)),
        Message::Notification { method, params } => notice(&method, params),
        Message::Response { id: theirs, result, error } => {
            let ours = match (&theirs, id) {
                (Some(theirs), Some(ours)) => same(theirs.json(), ours),
                // JSON-RPC has an answer without an id for what could not be read.
                (None, Some(_)) => true,
                (_, None) => false,
            };
            match (ours, result, error) {
                (false, ..) => Said::Nothing,
                (true, Some(result), _) => answer(result.to_owned().into(), depth),
                (true, None, error) => Said::Answer(Err(Rpc::read(error))),
            }
        }
    }
}

// Some upstreams answer the number 7 with the text "7".
fn same(theirs: &str, ours: &str) -> bool {
    theirs == ours || theirs.trim_matches('"') == ours
}

fn value(raw: Option<&RawValue>) -> Value {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

pub(crate) fn shortened(text: &str) -> String {
    text.chars().take(MAX_TEXT).collect()
}

fn notice(method: &str, params: Option<&RawValue>) -> Said {
    match method {
        "notifications/progress" => {
            let params = value(params);
            Said::Progress {
                done: params["progress"].as_f64().unwrap_or_default(),
                total: params["total"].as_f64(),
                message: params["message"].as_str().map(shortened),
            }
        }
        "notifications/message" => {
            let mut params = value(params);
            let level = params["level"].take();
            let Ok(loudness) = serde_json::from_value(level) else { return Said::Nothing };
            let logger = params["logger"].as_str().map(shortened).unwrap_or_default();
            Said::Log { loudness, logger, data: params["data"].take() }
        }
        "notifications/tools/list_changed" => Said::Changed(Change::Tools),
        "notifications/prompts/list_changed" => Said::Changed(Change::Prompts),
        "notifications/resources/list_changed" => Said::Changed(Change::Resources),
        "notifications/resources/updated" => {
            let members = params.map(|raw| Pairs::of(raw.get())).unwrap_or_default();
            let uri = members.into_iter().find_map(|(key, uri)| (key == "uri").then_some(uri));
            match uri.filter(|raw| raw.get().len() <= MAX_URI + 2).map(|raw| serde_json::from_str(raw.get()))
            {
                Some(Ok(uri)) => Said::Changed(Change::Resource(uri)),
                _ => Said::Nothing,
            }
        }
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn only_the_answer_to_our_own_request_is_one() {
        let answer = |text: &str| read(&text.to_owned().into(), Some("7"));
        assert!(matches!(answer(r#"{"jsonrpc":"2.0","id":7,"result":{"a":1}}"#), Said::Answer(Ok(_))));
        assert!(matches!(answer(r#"{"jsonrpc":"2.0","id":"7","result":{}}"#), Said::Answer(Ok(_))));
        assert!(matches!(answer(r#"{"jsonrpc":"2.0","id":8,"result":{}}"#), Said::Nothing));
        assert!(matches!(answer(r#"{"jsonrpc":"2.0","id":7,"result":[1]}"#), Said::Answer(Err(_))));
        assert!(matches!(
            answer(r#"{"jsonrpc":"2.0","error":{"code":-32700,"message":"x"}}"#),
            Said::Answer(Err(_))
        ));
        assert!(matches!(answer("garbage"), Said::Nothing));
        assert!(matches!(answer(r#"{"jsonrpc":"2.0","method":"notifications/unknown"}"#), Said::Nothing));
        let updated = |uri: &str| {
            let params = json!({"uri": uri});
            json!({"jsonrpc": "2.0", "method": "notifications/resources/updated", "params": params})
                .to_string()
        };
        assert!(matches!(answer(&updated("a:b")), Said::Changed(Change::Resource(uri)) if uri == "a:b"));
        assert!(matches!(answer(&updated(&"u".repeat(MAX_URI + 1))), Said::Nothing));
        let deep = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(matches!(answer(&deep), Said::Answer(Err(_))));
    }

    #[test]
    fn a_question_is_kept_as_text_and_not_at_all_when_it_is_large() {
        for (bytes, large) in [(100, false), (MAX_QUESTION, true)] {
            let params = json!({"x": "y".repeat(bytes)});
            let asked = json!({"jsonrpc": "2.0", "id": "q", "method": "m".repeat(9000), "params": params});
            let Said::Asked(question) = read(&asked.to_string().into(), None) else { panic!("no question") };
            assert_eq!((question.id.as_str(), question.method.len()), ("\"q\"", MAX_METHOD));
            assert_eq!((question.too_large, question.params() == params), (large, !large));
            assert!(question.bytes() < bytes + 200 && (large || question.bytes() > bytes));
        }
    }
}
