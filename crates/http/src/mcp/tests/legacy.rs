//! The legacy era: sessions from `initialize` to DELETE.

use super::{Gate, answer, call, code, gate, request};
use reqwest::Method;
use serde_json::{Value, json};

fn other(gate: &Gate, method: Method, path: &str, session: Option<&str>) -> reqwest::RequestBuilder {
    let request =
        gate.http.request(method, format!("{}{path}", gate.url)).header("accept", "text/event-stream");
    match session {
        Some(id) => request.header("Mcp-Session-Id", id),
        None => request,
    }
}

#[tokio::test]
async fn the_life_of_a_session() {
    let gate = gate().await;
    let message = request(0, "initialize", json!({"protocolVersion": "2025-06-18", "capabilities": {}}));
    let response = gate.post("/mcp", message.to_string()).send().await.unwrap();
    let id = response.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(id.len() >= 32 && id.bytes().all(|b| b.is_ascii_graphic()));
    let body: Value = serde_json::from_str(&response.text().await.unwrap()).unwrap();
    assert_eq!(body["result"]["protocolVersion"], "2025-06-18");

    let note = json!({"jsonrpc": "2.0", "method": "notifications/initialized"});
    let (status, body) = answer(gate.in_session(&id, &note)).await;
    assert_eq!((status.as_u16(), body), (202, json!("")));
    let ping = request(1, "ping", json!({}));
    assert_eq!(answer(gate.in_session(&id, &ping)).await.1, json!({"jsonrpc": "2.0", "id": 1, "result": {}}));
    let message = request(2, "tools/call", call("echo", json!({"text": "x"})));
    let (_, body) = answer(gate.in_session(&id, &message).header("MCP-Protocol-Version", "2025-06-18")).await;
    assert_eq!(body["result"]["structuredContent"]["said"], "x");
    assert_eq!(body["result"]["resultType"], Value::Null);
    assert_eq!(code(gate.in_session(&id, &request(3, "x/y", json!({})))).await, (200, -32601));
    let again = gate.in_session(&id, &request(4, "initialize", json!({"protocolVersion": "2025-06-18"})));
    assert_eq!(code(again).await, (400, -32600));
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}});
    assert_eq!(answer(gate.in_session(&id, &response)).await.0, 202);

    // Who reads the first and who reads the last would not agree.
    assert_eq!(code(gate.in_session(&id, &ping).header("Mcp-Session-Id", "0123")).await.0, 400);
    assert_eq!(other(&gate, Method::DELETE, "/mcp", Some(&id)).send().await.unwrap().status(), 204);
    assert_eq!(code(gate.in_session(&id, &ping)).await, (404, -32600));
    assert_eq!(code(gate.in_session(&id, &note)).await, (404, -32600));
    assert_eq!(other(&gate, Method::DELETE, "/mcp", Some(&id)).send().await.unwrap().status(), 404);
}

#[tokio::test]
async fn without_a_session_nothing_but_initialize() {
    let gate = gate().await;
    for message in [
        request(1, "ping", json!({})),
        request(1, "tools/list", json!({})),
        json!({"jsonrpc": "2.0", "method": "notifications/initialized"}),
        json!({"jsonrpc": "2.0", "id": 1, "result": {}}),
        json!([request(1, "ping", json!({}))]),
    ] {
        assert_eq!(code(gate.post("/mcp", message.to_string())).await, (400, -32600), "{message}");
        assert_eq!(code(gate.in_session("0123", &message)).await, (404, -32600), "{message}");
    }
    for method in [Method::GET, Method::DELETE] {
        assert_eq!(other(&gate, method.clone(), "/mcp", None).send().await.unwrap().status(), 400);
        assert_eq!(other(&gate, method, "/mcp", Some("0123")).send().await.unwrap().status(), 404);
    }
    let hidden =
        gate.post("/mcp/nothing", request(1, "initialize", json!({"protocolVersion": "x"})).to_string());
    let response = hidden.send().await.unwrap();
    assert_eq!(response.status(), 404);
    assert!(!response.headers().contains_key("mcp-session-id"), "no session at a door to nothing");
    assert_eq!(gate.shared.sessions.sweep(), 0);
}

#[tokio::test]
async fn an_id_is_worth_nothing_to_others_and_elsewhere() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let scoped = gate.session("/mcp/lab", "2025-11-25").await;
    let ping = request(1, "ping", json!({}));
    let at = |path: &str, id: &str, who: &'static str| {
        code(gate.post(path, ping.to_string()).header("Mcp-Session-Id", id).header("who", who))
    };
    assert_eq!(at("/mcp", &id, "a").await, (200, 0));
    assert_eq!(at("/mcp/lab", &scoped, "a").await, (200, 0));
    assert_eq!(at("/mcp/lab", &id, "a").await, (404, -32600));
    assert_eq!(at("/mcp", &scoped, "a").await, (404, -32600));
    assert_eq!(at("/mcp", &id, "b").await, (404, -32600));
    let theirs = other(&gate, Method::DELETE, "/mcp", Some(&id)).header("who", "b");
    assert_eq!(theirs.send().await.unwrap().status(), 404);
    let theirs = other(&gate, Method::GET, "/mcp", Some(&id)).header("who", "b");
    assert_eq!(theirs.send().await.unwrap().status(), 404);
    assert_eq!(at("/mcp", &id, "a").await, (200, 0), "still there");
}

#[tokio::test]
async fn version_headers() {
    let gate = gate().await;
    let id = gate.session("/mcp", "2025-11-25").await;
    let ping = request(1, "ping", json!({}));
    for (version, expected) in [
        ("2025-11-25", (200, 0)),
        ("2025-03-26", (200, 0)),
        ("2024-11-05", (400, -32600)),
        ("1999-01-01", (400, -32022)),
        ("v999.0.0", (400, -32022)),
        ("2026-07-28", (400, -32602)),
    ] {
        let request = gate.in_session(&id, &ping).header("MCP-Protocol-Version", version);
        assert_eq!(code(request).await, expected, "{version}");
    }
}

#[tokio::test]
async fn batches_only_where_the_version_has_them() {
    let gate = gate().await;
    let batch = json!([request(1, "ping", json!({})), request(2, "x/y", json!({}))]);
    let new = gate.session("/mcp", "2025-06-18").await;
    assert_eq!(code(gate.in_session(&new, &batch)).await, (400, -32600));
    let old = gate.session("/mcp", "2025-03-26").await;
    let (status, body) = answer(gate.in_session(&old, &batch)).await;
    assert_eq!(status, 200);
    assert_eq!((&body[0]["result"], &body[1]["error"]["code"]), (&json!({}), &json!(-32601)));
    let notes = json!([{"jsonrpc": "2.0", "method": "notifications/initialized"}]);
    assert_eq!(answer(gate.in_session(&old, &notes)).await.0, 202);
}
