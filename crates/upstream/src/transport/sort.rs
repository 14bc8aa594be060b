//! What a body or an event holds: the messages in it, and what each is to the request that waits.
//!
//! Called by `http`, `events` and `demux` for everything an upstream sends. Invariant: what passes is one JSON-RPC message
//! each, nested within bounds; the bytes are those that came, not a copy.

use super::Incoming;
use bytes::Bytes;
use serde_json::value::RawValue;
use toolgate_wire::message::{self, Body, Message};
use toolgate_wire::scan::MAX_DEPTH;

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

/// The messages in `bytes`, in order: one, or those of a batch (2025-03-26). `id` is the JSON text of the request's.
/// The error says what is wrong with the bytes.
pub(super) fn sort(bytes: Bytes, id: Option<&str>) -> Result<Vec<(Incoming, Role)>, String> {
    let wrong = |malformed: message::Malformed| malformed.fault.message.into_owned();
    let role = match message::parse(&bytes, MAX_DEPTH).map_err(wrong)? {
        Body::One(message) => role(&message, id),
        Body::Batch(messages) => {
            let texts: Vec<&RawValue> = serde_json::from_slice(&bytes).map_err(|e| e.to_string())?;
            let one = |(message, text): (Result<Message<'_>, message::Malformed>, &RawValue)| {
                let role = role(&message.map_err(wrong)?, id);
                Ok((bytes.slice_ref(text.get().as_bytes()), role))
            };
            return messages.into_iter().zip(texts).map(one).collect();
        }
    };
    Ok(vec![(bytes, role)])
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
        Ok(sort(Bytes::from_static(text.as_bytes()), Some("7"))?.into_iter().map(|(_, role)| role).collect())
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

    #[test]
    fn garbage_is_refused_whole() {
        for text in ["", "no", "[]", "{}", "[1]", r#"[{"jsonrpc":"2.0","method":"a"},{}]"#, "\"\u{fffd}\""] {
            assert!(roles(text).is_err(), "{text}");
        }
        let deep = Bytes::from("[".repeat(100_000));
        assert!(sort(deep, None).is_err());
    }
}
