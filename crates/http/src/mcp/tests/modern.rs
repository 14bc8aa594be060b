//! The modern era: statuses, codes and headers of the 2026-07-28 revision.

use super::{answer, call, code, gate, modern, request};
use serde_json::{Value, json};

#[tokio::test]
async fn a_request_stands_alone() {
    let gate = gate().await;
    let (status, found) = answer(gate.modern("/mcp", &modern(1, "server/discover", json!({})))).await;
    assert_eq!(status, 200);
    assert_eq!(found["result"]["supportedVersions"], json!(["2026-07-28"]));
    let (_, list) = answer(gate.modern("/mcp/lab", &modern(2, "tools/list", json!({})))).await;
    assert_eq!(list["result"]["tools"][0]["name"], "echo");
    let message = modern(3, "tools/call", call("lab__echo", json!({"text": "hi"})));
    let response = gate.modern("/mcp", &message).header("Mcp-Session-Id", "ignored").send().await.unwrap();
    assert_eq!(response.headers()["content-type"], "application/json");
    assert!(!response.headers().contains_key("mcp-session-id"));
    let text = response.text().await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap()["result"]["structuredContent"]["said"], "hi");
}

#[tokio::test]
async fn statuses_and_codes() {
    let gate = gate().await;
    for method in
        ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe", "x/y"]
    {
        let (status, body) = answer(gate.modern("/mcp", &modern(7, method, json!({})))).await;
        assert_eq!(
            (status.as_u16(), &body["error"]["code"], &body["id"]),
            (404, &json!(-32601), &json!(7)),
            "{method}"
        );
    }
    let list = modern(1, "tools/list", json!({}));
    let unknown = list.to_string().replace("2026-07-28", "v999.0.0");
    let probe = gate
        .post("/mcp", unknown)
        .header("MCP-Protocol-Version", "v999.0.0")
        .header("Mcp-Method", "tools/list");
    let (status, body) = answer(probe).await;
    assert_eq!((status.as_u16(), &body["error"]["code"], &body["id"]), (400, &json!(-32022), &json!(1)));
    assert_eq!(body["error"]["data"], json!({"supported": ["2026-07-28"], "requested": "v999.0.0"}));
    let no_meta = request(1, "tools/list", json!({}));
    assert_eq!(code(gate.modern("/mcp", &no_meta)).await, (400, -32602));
    assert_eq!(code(gate.post("/mcp", list.to_string())).await, (400, -32020), "no headers");
    let wrong = modern(1, "tools/list", json!({})).to_string();
    let wrong =
        gate.post("/mcp", wrong).header("MCP-Protocol-Version", "2026-07-28").header("Mcp-Method", "ping");
    assert_eq!(code(wrong).await, (400, -32020));
    let unknown_tool = modern(1, "tools/call", call("nothing", json!({})));
    assert_eq!(code(gate.modern("/mcp", &unknown_tool)).await, (400, -32602));
    let server = gate.modern("/mcp/nothing", &modern(1, "tools/list", json!({})));
    assert_eq!(code(server).await, (404, -32602));
    let no_name = gate.modern("/mcp/Not%20A%20Name", &modern(1, "tools/list", json!({})));
    assert_eq!(code(no_name).await, (404, -32600));
}

#[tokio::test]
async fn what_only_legacy_has_is_refused() {
    let gate = gate().await;
    let version = ("MCP-Protocol-Version", "2026-07-28");
    for method in [reqwest::Method::GET, reqwest::Method::DELETE] {
        let request = gate.http.request(method, format!("{}/mcp", gate.url)).header(version.0, version.1);
        let response = request.header("accept", "text/event-stream").send().await.unwrap();
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()["allow"], "POST");
    }
    let batch = json!([modern(1, "tools/list", json!({}))]).to_string();
    assert_eq!(code(gate.post("/mcp", batch).header(version.0, version.1)).await, (400, -32600));
    let response = json!({"jsonrpc": "2.0", "id": 1, "result": {}}).to_string();
    assert_eq!(code(gate.post("/mcp", response).header(version.0, version.1)).await, (400, -32600));
    let note = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 1}});
    let (status, body) = answer(gate.post("/mcp", note.to_string()).header(version.0, version.1)).await;
    assert_eq!((status.as_u16(), body), (202, json!("")));
}

#[tokio::test]
async fn mirrored_parameters() {
    let gate = gate().await;
    let message = |arguments| modern(1, "tools/call", call("mirrored", arguments));
    let send = |region: Option<&str>, arguments| {
        let request = gate.modern("/mcp", &message(arguments));
        code(match region {
            Some(region) => request.header("Mcp-Param-Region", region),
            None => request,
        })
    };
    assert_eq!(send(Some("Hello"), json!({"region": "Hello"})).await, (200, 0));
    assert_eq!(send(Some("=?base64?SGVsbG8=?="), json!({"region": "Hello"})).await, (200, 0));
    assert_eq!(send(Some("=?base64?SGVsbG8?="), json!({"region": "Hello"})).await, (400, -32020));
    assert_eq!(send(None, json!({"region": "Hello"})).await, (400, -32020));
    assert_eq!(send(None, json!({})).await, (200, 0));
    let other = modern(1, "tools/call", call("echo", json!({"text": ""})));
    assert_eq!(code(gate.modern("/mcp", &other).header("Mcp-Param-Region", "x")).await, (200, 0));
}

#[tokio::test]
async fn server_and_tool_as_the_method() {
    let gate = gate().await;
    let context = json!({"user_id": "u"});
    let echo = modern(1, "lab/echo", json!({"text": "x", "context": context}));
    for path in ["/mcp", "/mcp/lab"] {
        let (status, said) = answer(gate.modern(path, &echo)).await;
        assert_eq!((status.as_u16(), &said["result"]["said"]), (200, &json!("x")));
    }
    let wrong = gate.modern("/mcp", &echo).header("Mcp-Method", "lab/wait");
    assert_eq!(code(wrong).await, (400, -32020), "the header says another one");
    // Its parameters are compared with their headers like those of tools/call.
    let mirrored = modern(1, "lab/mirrored", json!({"region": "Hello"}));
    assert_eq!(code(gate.modern("/mcp", &mirrored)).await, (400, -32020));
    let with = gate.modern("/mcp", &mirrored).header("Mcp-Param-Region", "Hello");
    assert_eq!(code(with).await, (200, 0));
    let session = gate.session("/mcp", "2025-11-25").await;
    let (_, said) = answer(gate.in_session(&session, &request(1, "lab/echo", json!({"text": "y"})))).await;
    assert_eq!(said["result"]["said"], "y");
}

#[tokio::test]
async fn bodies_and_their_headers() {
    let gate = gate().await;
    let list = modern(1, "tools/list", json!({}));
    let with = |name: &'static str, value: &'static str| {
        let mut request = gate.modern("/mcp", &list).build().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
        let http = gate.http.clone();
        async move { http.execute(request).await.unwrap().status().as_u16() }
    };
    assert_eq!(with("content-type", "text/plain").await, 415);
    assert_eq!(with("accept", "text/html").await, 406);
    assert_eq!(with("accept", "*/*").await, 200);
    assert_eq!(with("accept", "application/json").await, 200);
    let events = gate.modern("/mcp", &list).build().unwrap();
    let mut events = events;
    events.headers_mut().insert("accept", "text/event-stream".parse().unwrap());
    let mut events = super::Events::of(gate.http.execute(events).await.unwrap());
    assert_eq!(events.next().await.unwrap()["id"], 1);
    assert!(events.next().await.is_none());
    assert_eq!(code(gate.post("/mcp", "{")).await, (400, -32700));
    assert_eq!(code(gate.post("/mcp", vec![0xff_u8])).await, (400, -32700));
    assert_eq!(code(gate.post("/mcp", "[".repeat(10_000))).await, (400, -32700));
    assert_eq!(gate.post("/mcp", " ".repeat(100_000)).send().await.unwrap().status(), 413);
}
