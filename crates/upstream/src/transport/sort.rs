//! What a body or an event holds: the messages in it, and what each is to the request that waits.
//!
//! Called by `http`, `events` and `demux` for everything an upstream sends. Invariant: what passes is one JSON-RPC message
//! each; the text of a result is what came, not a copy, but for a small part of a large whole. A notification or request
//! that is too long is left out, and only answers are large.

use super::{ANY_DEPTH, Incoming, LONGEST_NOTIFICATION};
use serde_json::value::RawValue;
use std::sync::Arc;
use toolgate_core::json_text::Whole;
use toolgate_wire::message::{self, Body, Message};

/// What a message is to the request with a given id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Its response; also an error that names no request.
    Answer,
    /// The response to another request.
    Stray,
    /// A notification, or a request of the upstream.
    Other,
}

/// As `sort`; what is large is parsed beside the workers, which have other calls to serve.
pub(super) async fn sorted(bytes: Vec<u8>, id: Option<&str>) -> Result<Vec<(Incoming, Role)>, String> {
    if bytes.len() <= LONGEST_NOTIFICATION {
        return sort(bytes, id);
    }
    let id = id.map(ToOwned::to_owned);
    let sorting = tokio::task::spawn_blocking(move || sort(bytes, id.as_deref()));
    sorting.await.unwrap_or_else(|_| Err("it could not be read".to_owned()))
}

/// The messages in `bytes`, in order: one, or those of a batch (2025-03-26). `id` is the JSON text of the request's.
/// The error says what is wrong with the bytes.
pub(super) fn sort(bytes: Vec<u8>, id: Option<&str>) -> Result<Vec<(Incoming, Role)>, String> {
    let wrong = |malformed: message::Malformed| malformed.fault.message.into_owned();
    let whole: Whole = Arc::new(message::text(bytes).map_err(wrong)?);
    let json: &str = (*whole).as_ref();
    let one = |message: Message<'_>, text: &str| {
        let role = role(&message, id);
        if role == Role::Other && text.len() > LONGEST_NOTIFICATION {
            tracing::warn!(
                bytes = text.len(),
                "a notification or request of an upstream is too long and was dropped"
            );
            return None;
        }
        Some((Incoming::of(&whole, text, message), role))
    };
    match message::parse_str(json, ANY_DEPTH).map_err(wrong)? {
        Body::One(message) => Ok(one(message, json).into_iter().collect()),
        Body::Batch(messages) => {
            let texts: Vec<&RawValue> = serde_json::from_str(json).map_err(|e| e.to_string())?;
            let all = messages.into_iter().zip(texts);
            let all = all.map(|(message, text)| Ok(one(message.map_err(wrong)?, text.get())));
            all.filter_map(Result::transpose).collect()
        }
    }
}

fn role(message: &Message<'_>, id: Option<&str>) -> Role {
    match message {
        Message::Response { id: None, .. } if id.is_some() => Role::Answer,
        Message::Response { id: Some(own), .. } if Some(own.json()) == id => Role::Answer,
        Message::Response { .. } => Role::Stray,
        Message::Request(_) | Message::Notification { .. } => Role::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles(text: &'static str) -> Result<Vec<Role>, String> {
        Ok(sort(text.into(), Some("7"))?.into_iter().map(|(_, role)| role).collect())
    }

    #[test]
    fn tells_the_answer_from_the_rest() {
        assert_eq!(roles(r#"{"jsonrpc":"2.0","id":7,"result":{}}"#), Ok(vec![Role::Answer]));
        assert_eq!(
            roles(r#"{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}"#),
            Ok(vec![Role::Answer])
        );
        assert_eq!(roles(r#"{"jsonrpc":"2.0","id":"7","result":{}}"#), Ok(vec![Role::Stray]));
        assert_eq!(roles(r#"{"jsonrpc":"2.0","id":7,"method":"ping"}"#), Ok(vec![Role::Other]));
        assert_eq!(
            roles(r#" [{"jsonrpc":"2.0","method":"a"}, {"jsonrpc":"2.0","id":7,"result":1}]"#),
            Ok(vec![Role::Other, Role::Answer])
        );
    }

    #[tokio::test]
    async fn only_an_answer_may_be_large() {
        let pad = "x".repeat(LONGEST_NOTIFICATION);
        let answer = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"x":"{pad}"}}}}"#);
        let note = format!(r#"{{"jsonrpc":"2.0","method":"a","params":{{"x":"{pad}"}}}}"#);
        let batch = format!(r#"[{note},{{"jsonrpc":"2.0","method":"b"}},{answer}]"#);
        for (text, roles) in
            [(&answer, vec![Role::Answer]), (&note, vec![]), (&batch, vec![Role::Other, Role::Answer])]
        {
            let found = sorted(text.clone().into(), Some("7")).await.unwrap();
            assert_eq!(found.into_iter().map(|(_, role)| role).collect::<Vec<_>>(), roles);
        }
        assert!(sorted(pad.into(), None).await.is_err());
    }

    #[test]
    fn a_deep_answer_is_an_answer() {
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        let text = format!(r#"{{"jsonrpc":"2.0","id":7,"result":{{"tools":{deep}}}}}"#);
        let found = sort(text.into_bytes(), Some("7")).unwrap();
        assert_eq!(found[0].1, Role::Answer, "what reads it has bounds");
    }

    #[test]
    fn garbage_is_refused_whole() {
        for text in ["", "no", "[]", "{}", "[1]", r#"[{"jsonrpc":"2.0","method":"a"},{}]"#, "\"\u{fffd}\""] {
            assert!(roles(text).is_err(), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(sort(deep.into(), None).is_err());
    }
}
