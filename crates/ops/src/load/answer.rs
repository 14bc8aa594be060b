//! Whether an answer is the right one, and the class of what is not.
//!
//! Called by `target` with status and body of each answer. Invariant: only a JSON-RPC result for the id that was asked,
//! complete and without `isError`, and with the expected text where one was given, is right.

use super::fault::{Class, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;
use toolgate_core::Kind;

#[derive(Deserialize)]
struct Envelope<'a> {
    jsonrpc: Option<String>,
    id: Option<serde_json::Value>,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error: Option<RpcError>,
}

#[derive(Deserialize)]
struct RpcError {
    code: i64,
    #[serde(default)]
    message: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ToolResult {
    #[serde(default)]
    is_error: bool,
    result_type: Option<String>,
    #[serde(default)]
    content: Vec<Block>,
}

#[derive(Deserialize)]
struct Block {
    text: Option<String>,
}

/// Judge an answer to the call of this id.
pub fn check(status: u16, body: &[u8], id: u64, expect: Option<&str>) -> Result<(), Fault> {
    let envelope: Option<Envelope<'_>> = serde_json::from_slice(body).ok();
    if status != 200 {
        return Err(of_status(status, body, envelope.and_then(|e| e.error)));
    }
    let Some(envelope) = envelope else { return Err(wrong("no JSON-RPC message", body)) };
    if envelope.jsonrpc.as_deref() != Some("2.0") {
        return Err(wrong("not JSON-RPC 2.0", body));
    }
    if let Some(error) = envelope.error {
        return Err(of_rpc(&error));
    }
    if envelope.id.as_ref().and_then(serde_json::Value::as_u64) != Some(id) {
        return Err(wrong("not the id that was sent", body));
    }
    let Some(result) = envelope.result else { return Err(wrong("neither result nor error", body)) };
    let Ok(told) = serde_json::from_str::<ToolResult>(result.get()) else {
        return Err(wrong("no result of a tool", body));
    };
    if told.is_error {
        let text = told.content.into_iter().find_map(|block| block.text);
        return Err(Fault::new(Class::ToolError, text.unwrap_or_else(|| start(body))));
    }
    if told.result_type.is_some_and(|kind| kind != "complete") {
        return Err(wrong("the result is not complete", body));
    }
    let there = |text: &str| {
        result.get().contains(text)
            || told.content.iter().any(|b| b.text.as_ref().is_some_and(|t| t.contains(text)))
    };
    match expect {
        Some(text) if !there(text) => Err(wrong("not the text that was expected", body)),
        _ => Ok(()),
    }
}

fn of_rpc(error: &RpcError) -> Fault {
    let is = |kind: Kind| error.code == kind.rpc_code();
    let class = if is(Kind::RateLimited) {
        Class::RateLimited
    } else if is(Kind::Unauthenticated) || is(Kind::Forbidden) {
        Class::Refused
    } else {
        Class::RpcError
    };
    Fault::new(class, format!("{} {}", error.code, error.message))
}

fn of_status(status: u16, body: &[u8], error: Option<RpcError>) -> Fault {
    let class = match status {
        429 => Class::RateLimited,
        401 | 403 => Class::Refused,
        400..=499 => Class::Http4xx,
        _ => Class::Http5xx,
    };
    let said = error.map_or_else(|| start(body), |error| format!("{} {}", error.code, error.message));
    Fault::new(class, format!("HTTP {status}: {said}"))
}

fn wrong(what: &str, body: &[u8]) -> Fault {
    Fault::new(Class::WrongAnswer, format!("{what}: {}", start(body)))
}

fn start(body: &[u8]) -> String {
    String::from_utf8_lossy(&body[..body.len().min(1000)]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_has_its_class() {
        let result = |result: &str| format!(r#"{{"jsonrpc":"2.0","id":7,"result":{result}}}"#);
        let good = result(r#"{"content":[{"type":"text","text":"a\"b"}],"resultType":"complete"}"#);
        let error =
            |code: i64| format!(r#"{{"jsonrpc":"2.0","id":7,"error":{{"code":{code},"message":"m"}}}}"#);
        let class =
            |status, body: &str, expect| check(status, body.as_bytes(), 7, expect).err().map(|f| f.class);
        assert_eq!(class(200, &good, None), None);
        assert_eq!(class(200, &good, Some("a\"b")), None);
        for (status, body, expect, expected) in [
            (200, good.clone(), Some("absent"), Class::WrongAnswer),
            (200, good.replace(":7", ":8"), None, Class::WrongAnswer),
            (200, good.replace("complete", "input_required"), None, Class::WrongAnswer),
            (200, good.replace("2.0", "1.0"), None, Class::WrongAnswer),
            (200, "{}".into(), None, Class::WrongAnswer),
            (200, "<html>".into(), None, Class::WrongAnswer),
            (200, result("3"), None, Class::WrongAnswer),
            (200, result(r#"{"isError":true,"content":[]}"#), None, Class::ToolError),
            (200, error(-32603), None, Class::RpcError),
            (200, error(-32046), None, Class::RateLimited),
            (429, error(-32046), None, Class::RateLimited),
            (403, String::new(), None, Class::Refused),
            (404, "gone".into(), None, Class::Http4xx),
            (503, String::new(), None, Class::Http5xx),
            (202, String::new(), None, Class::Http5xx),
        ] {
            assert_eq!(class(status, &body, expect), Some(expected), "{status} {body}");
        }
    }
}
