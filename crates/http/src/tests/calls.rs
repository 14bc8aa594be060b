//! Calls over REST: results, refusals by their status, bounds of the body, panics, shutdown.

use super::{ADMIN, READER, answer, gate, key};
use crate::Settings;
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use toolgate_core::Kind;
use toolgate_core::unit::Size;

const ECHO: &str = "/mcp/lab/tools/echo";

#[tokio::test]
async fn a_call_and_its_result() {
    let gate = gate(Settings::default()).await;
    let done = gate
        .post(READER, ECHO, r#"{"params":{"text":"hi"},"context":{"user_id":"u","workspace":"w"}}"#)
        .await;
    assert_eq!(done.status, 200, "{}", done.text);
    let body = done.json();
    assert_eq!(
        (&body["success"], &body["data"], &body["error"]),
        (&json!(true), &json!({"said": "hi"}), &Value::Null)
    );
    let metadata = &body["metadata"];
    assert_eq!((&metadata["server"], &metadata["version"]), (&json!("lab"), &json!("2.0.0")));
    assert!(metadata["execution_time_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(metadata["call_id"].as_str().unwrap().len(), 36);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let traced = gate.request(Method::POST, ECHO).bearer_auth(READER).header("traceparent", parent);
    let traced =
        answer(traced.header("content-type", "application/json").body(r#"{"params":{"text":""}}"#)).await;
    assert_eq!(
        (traced.json()["data"]["said"].as_str(), traced.header("traceparent")),
        (Some(parent), parent)
    );
}

#[tokio::test]
async fn a_tools_no_has_the_status_of_its_kind() {
    let gate = gate(Settings::default()).await;
    for kind in
        [Kind::Invalid, Kind::NotFound, Kind::Forbidden, Kind::Conflict, Kind::TooLarge, Kind::Unsupported]
    {
        let body = json!({"params": {"kind": kind}}).to_string();
        let refused = gate.post(READER, "/mcp/lab/tools/refuse", body).await;
        assert_eq!(refused.status, kind.http_status(), "{}", refused.text);
        let body = refused.json();
        assert_eq!((&body["success"], &body["error"]["kind"]), (&json!(false), &json!(kind)));
        assert_eq!(body["metadata"]["server"], "lab");
    }
}

#[tokio::test]
async fn bodies_that_do_not_fit() {
    let gate = gate(Settings { max_body: Size(64 << 10), ..Settings::default() }).await;
    let deep = format!(r#"{{"params":{{"text":{}1{}}}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    let large = json!({"params": {"text": "x".repeat(70_000)}}).to_string();
    for (body, status, text) in [
        ("", 400, "text"),
        ("{}", 400, "text"),
        (r#"{"params":{"text":1}}"#, 400, "expected a string"),
        (r#"{"params":{"txt":"x"}}"#, 400, "text"),
        (r#"{"params":[]}"#, 400, "object"),
        (r#"{"parms":{}}"#, 400, "expected `params` or `context`"),
        (r#"{"params":{"text":"a","text":"b"}}"#, 400, "twice"),
        (r#"{"params":{},"params":{}}"#, 400, "twice"),
        (r#"{"context":1}"#, 400, "map"),
        ("[]", 400, ""),
        ("{", 400, "EOF"),
        (&deep, 400, "recursion limit"),
        (&large, 413, "http.max_body"),
    ] {
        let refused = gate.post(READER, ECHO, body).await;
        let shown: String = body.chars().take(60).collect();
        assert_eq!(refused.status, status, "{shown}: {}", refused.text);
        assert!(
            refused.json()["error"]["message"].as_str().unwrap().contains(text),
            "{shown}: {}",
            refused.text
        );
    }
    let plain = gate.request(Method::POST, ECHO).bearer_auth(READER).body("{}");
    assert_eq!(answer(plain).await.status, 415);
    let ill = gate.request(Method::POST, ECHO).bearer_auth(READER).header("content-type", "application/json");
    assert_eq!(answer(ill.body(vec![b'{', 0xff, b'}'])).await.status, 400);
}

#[tokio::test]
async fn a_hidden_tool_answers_like_an_absent_one() {
    let gate = gate(Settings::default()).await;
    for (hidden, absent) in [
        ("/mcp/lab/tools/erase", "/mcp/lab/tools/erasx"),
        ("/mcp/vault/tools/open", "/mcp/vaulx/tools/open"),
        ("/mcp/vault/tools/open", "/mcp/vault/tools/opex"),
    ] {
        let body = |text: &str| {
            let mut body: Value = serde_json::from_str(text).unwrap();
            for member in ["call_id", "execution_time_ms"] {
                assert!(body["metadata"].as_object_mut().unwrap().remove(member).is_some());
            }
            body.to_string()
        };
        let (hidden, absent) = (gate.post(READER, hidden, "{}").await, gate.post(READER, absent, "{}").await);
        assert_eq!((hidden.status, absent.status), (404, 404), "{}", hidden.text);
        let same = absent.text.replace("vaulx", "vault").replace("erasx", "erase").replace("opex", "open");
        assert_eq!(body(&hidden.text), body(&same));
    }
    assert_eq!(gate.post(ADMIN, "/mcp/lab/tools/erase", "{}").await.status, 200);
}

#[tokio::test]
async fn a_panic_is_an_answer() {
    let gate = gate(Settings::default()).await;
    let refused = gate.post(READER, "/mcp/lab/tools/boom", "{}").await;
    assert_eq!((refused.status, &refused.json()["error"]["kind"]), (500, &json!("internal")));
    assert_eq!(gate.post(READER, ECHO, r#"{"params":{"text":"on"}}"#).await.status, 200);
}

#[tokio::test]
async fn a_call_ends_with_its_key() {
    let gate = gate(Settings::default()).await;
    let call = tokio::spawn(answer(gate.request(Method::POST, "/mcp/lab/tools/wait").bearer_auth(READER)));
    gate.arrived.notified().await;
    // Somebody else's key is no matter of this call.
    gate.engine.replace_keys(vec![key(READER, &["read_only"])]);
    assert_eq!(gate.post(READER, ECHO, r#"{"params":{"text":"on"}}"#).await.status, 200);
    assert!(!call.is_finished());
    gate.engine.replace_keys(vec![key(ADMIN, &["admin"])]);
    let ended = call.await.unwrap();
    assert_eq!((ended.status, &ended.json()["error"]["kind"]), (401, &json!("unauthenticated")));
    assert_eq!(gate.engine.drain(Duration::from_secs(5)).await, 0, "and runs no more");
}

#[tokio::test]
async fn shutdown_lets_a_call_finish() {
    let mut gate = gate(Settings::default()).await;
    let call = tokio::spawn(answer(gate.request(Method::POST, "/mcp/lab/tools/wait").bearer_auth(READER)));
    gate.arrived.notified().await;
    drop(gate.stop.take());
    gate.go.notify_one();
    let done = call.await.unwrap();
    assert_eq!((done.status, &done.json()["data"]), (200, &json!({"said": "waited"})));
}

#[tokio::test]
async fn a_body_that_dawdles_or_is_announced_too_large_is_refused() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let body_timeout = toolgate_core::unit::Span(std::time::Duration::from_millis(100));
    let gate = gate(Settings { body_timeout, ..Settings::default() }).await;
    let head = |length: u64, more: &str| {
        format!(
            "POST {ECHO} HTTP/1.1\r\nhost: {}\r\nx-api-key: {READER}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n{more}\r\n",
            gate.address
        )
    };
    for (request, status) in [
        (head(100, "") + "{\"params\":", "HTTP/1.1 408"),
        (head(5_000_000, "expect: 100-continue\r\n"), "HTTP/1.1 413"),
    ] {
        let mut stream = tokio::net::TcpStream::connect(gate.address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(status), "{answer}");
    }
}
