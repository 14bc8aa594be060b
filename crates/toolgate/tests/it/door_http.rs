//! Streamable HTTP of both eras on the real endpoint.

use crate::gate;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn modern_discover_list_call() {
    let gate = gate().await;
    let found = gate.modern("/mcp", &gate.key, "server/discover", json!({})).await.unwrap();
    let result = &found.body["result"];
    assert!(result["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")), "{}", found.text);
    assert_eq!(result["resultType"], "complete");
    assert!(
        result["capabilities"]["tools"].is_object()
            && result["ttlMs"].is_number()
            && result["cacheScope"].is_string()
    );
    let called = gate
        .modern(
            "/mcp",
            &gate.key,
            "tools/call",
            json!({"name": "omnipotent__get_env_var", "arguments": {"name": "LANG"}}),
        )
        .await
        .unwrap();
    let result = &called.body["result"];
    assert_eq!(
        (&result["resultType"], &result["structuredContent"]["value"]),
        (&json!("complete"), &json!("C.UTF-8"))
    );
    let text: Value = serde_json::from_str(result["content"][0]["text"].as_str().unwrap()).unwrap();
    assert_eq!(text, result["structuredContent"]);
    for (method, status, code) in
        [("initialize", 404, -32601), ("ping", 404, -32601), ("no/such", 404, -32601)]
    {
        let reply = gate.modern("/mcp", &gate.key, method, json!({})).await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["error"]["code"]),
            (status, &json!(code)),
            "{method}: {}",
            reply.text
        );
    }
    let body = json!({"jsonrpc": "2.0", "id": 3, "method": "server/discover", "params": {"_meta": {
        "io.modelcontextprotocol/protocolVersion": "v999.0.0", "io.modelcontextprotocol/clientCapabilities": {}}}});
    let headers = [("mcp-protocol-version", "v999.0.0"), ("mcp-method", "server/discover")];
    let reply = gate.post("/mcp", Some(&gate.key), &headers, body.to_string()).await.unwrap();
    assert_eq!((reply.status, &reply.body["error"]["code"]), (400, &json!(-32022)), "{}", reply.text);
    assert_eq!(reply.body["error"]["data"]["requested"], "v999.0.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn legacy_sessions_are_bound_to_caller_and_route() {
    let gate = gate().await;
    for version in ["2025-03-26", "2025-06-18", "2025-11-25"] {
        let session = gate.initialize("/mcp", &gate.key, version).await.unwrap();
        let reply = gate.legacy("/mcp", &gate.key, &session, "ping", json!({})).await.unwrap();
        assert_eq!((reply.status, &reply.body["result"]), (200, &json!({})), "{version}: {}", reply.text);
    }
    let session = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
    let reply = gate
        .legacy(
            "/mcp",
            &gate.key,
            &session,
            "tools/call",
            json!({"name": "get_env_var", "arguments": {"name": "LANG"}}),
        )
        .await
        .unwrap();
    assert_eq!(reply.body["result"]["structuredContent"]["value"], "C.UTF-8", "{}", reply.text);
    assert!(reply.body["result"].get("resultType").is_none());
    let stranger = gate.make_key("stranger", &["admin"]).unwrap();
    for (path, key) in [("/mcp", &stranger), ("/mcp/omnipotent", &gate.key)] {
        let reply = gate.legacy(path, key, &session, "ping", json!({})).await.unwrap();
        assert_eq!(reply.status, 404, "{path}: {}", reply.text);
    }
    let end = gate.http.delete(gate.url("/mcp")).bearer_auth(&gate.key).header("mcp-session-id", &session);
    assert!(end.send().await.unwrap().status().is_success());
    assert_eq!(gate.legacy("/mcp", &gate.key, &session, "ping", json!({})).await.unwrap().status, 404);
    let lonely = gate
        .post("/mcp", Some(&gate.key), &[], r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#)
        .await
        .unwrap();
    assert_eq!(lonely.status, 400, "{}", lonely.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_alone() {
    let gate = gate().await;
    let names = gate.listed("/mcp/omnipotent", &gate.key).await.unwrap();
    assert!(
        names.contains(&"get_env_var".to_owned()) && names.iter().all(|n| !n.contains("__")),
        "{names:?}"
    );
    for name in ["get_env_var", "omnipotent__get_env_var"] {
        let reply = gate
            .modern(
                "/mcp/omnipotent",
                &gate.key,
                "tools/call",
                json!({"name": name, "arguments": {"name": "LANG"}}),
            )
            .await
            .unwrap();
        assert_eq!(reply.body["result"]["structuredContent"]["value"], "C.UTF-8", "{name}: {}", reply.text);
    }
    let other = gate
        .modern(
            "/mcp/omnipotent",
            &gate.key,
            "tools/call",
            json!({"name": "a2a-unified__recall", "arguments": {}}),
        )
        .await
        .unwrap();
    assert_eq!(other.body["error"]["code"], -32602, "{}", other.text);
    assert_eq!(gate.modern("/mcp/nowhere", &gate.key, "tools/list", json!({})).await.unwrap().status, 404);
}
