//! Messages of an upstream, read as far as they concern the gateway.
//!
//! Used by both conversations and by the listeners. What is no message, answers another request or is unknown is `None`:
//! dropped, because nobody waits for it.

use serde_json::Value;
use serde_json::value::RawValue;
use std::sync::Arc;
use toolgate_core::link::{Change, Loudness};
use toolgate_wire::scan::MAX_DEPTH;
use toolgate_wire::{Body, Message};

use super::fault::Rpc;
use crate::transport::Failure;

// Longest text of a progress, a logger's name or an error that is passed on, in characters.
const MAX_TEXT: usize = 4096;

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
    /// A request of the upstream; `id` is JSON text.
    Asked {
        id: String,
        method: String,
        params: Value,
    },
    Answer(Result<Arc<RawValue>, Rpc>),
    /// There will be no answer.
    Lost(Failure),
    /// It let go of the stream of its answer, and is asked for the rest after a while.
    Paused,
    /// Nothing that concerns anybody.
    Nothing,
}

/// Read a message. `id`: JSON text of the request that is waited for, if one is.
pub(crate) fn read(message: &[u8], id: Option<&str>) -> Said {
    let parsed = match toolgate_wire::message::parse(message, MAX_DEPTH) {
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
        Message::Request(request) => Said::Asked {
            id: request.id.json().to_owned(),
            method: request.method.into_owned(),
            params: value(request.params),
        },
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
                (true, Some(result), _) if result.get().starts_with('{') => {
                    Said::Answer(Ok(Arc::from(result.to_owned())))
                }
                (true, Some(_), _) => Said::Answer(Err(Rpc::new(-32603, "its result is not an object"))),
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
        "notifications/resources/updated" => match value(params)["uri"].as_str() {
            Some(uri) => Said::Changed(Change::Resource(uri.to_owned())),
            None => Said::Nothing,
        },
        _ => Said::Nothing,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_answer_to_our_own_request_is_one() {
        let answer = |text: &str| read(text.as_bytes(), Some("7"));
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
        let deep = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{}{}}}"#, "[".repeat(100), "]".repeat(100));
        assert!(matches!(answer(&deep), Said::Answer(Err(_))));
    }
}
