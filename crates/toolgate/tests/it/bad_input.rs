//! Bad input at the door: each gets a clear error of its own kind, nothing is lost, the process stays up.

use crate::gate;
use serde_json::json;

const MODERN: [(&str, &str); 3] = [
    ("mcp-protocol-version", "2026-07-28"),
    ("mcp-method", "tools/call"),
    ("mcp-name", "omnipotent__get_env_var"),
];

fn call(arguments: &str) -> String {
    format!(
        r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"omnipotent__get_env_var","arguments":{arguments},"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{{}}}}}}}}"#
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn every_malformed_message_has_its_own_answer() {
    let gate = gate().await;
    let deep = format!("{}{}", "[".repeat(10_000), "]".repeat(10_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
    let cases: Vec<(&str, Vec<u8>, u16, i64)> = vec![
        ("not JSON", b"{".to_vec(), 400, -32700),
        ("empty", b"".to_vec(), 400, -32700),
        ("invalid UTF-8", b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"\xff\"}".to_vec(), 400, -32700),
        ("deep array", call(&deep).into_bytes(), 400, -32600),
        ("deep object", call(&deep_object).into_bytes(), 400, -32600),
        ("no method", br#"{"jsonrpc":"2.0","id":1}"#.to_vec(), 400, -32600),
        ("wrong version", br#"{"jsonrpc":"1.0","id":1,"method":"tools/list"}"#.to_vec(), 400, -32600),
        ("null id", br#"{"jsonrpc":"2.0","id":null,"method":"tools/list"}"#.to_vec(), 400, -32600),
        ("fractional id", br#"{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}"#.to_vec(), 400, -32600),
        (
            "duplicate member",
            br#"{"jsonrpc":"2.0","id":1,"method":"tools/list","method":"ping"}"#.to_vec(),
            400,
            -32600,
        ),
        ("a number", b"7".to_vec(), 400, -32600),
        ("a batch", b"[]".to_vec(), 400, -32600),
    ];
    for (what, body, status, code) in cases {
        let reply = gate.post("/mcp", Some(&gate.key), &MODERN, body).await.unwrap();
        assert_eq!(reply.status, status, "{what}: {}", reply.text);
        assert_eq!(reply.body["error"]["code"], code, "{what}: {}", reply.text);
        assert!(
            reply.body["error"]["message"].as_str().is_some_and(|m| m.len() > 8),
            "{what}: {}",
            reply.text
        );
    }
    let large = gate
        .post("/mcp", Some(&gate.key), &MODERN, call(&format!("{{\"name\":\"{}\"}}", "x".repeat(5 << 20))))
        .await
        .unwrap();
    assert_eq!(large.status, 413, "{}", large.text);
    let fine = gate.post("/mcp", Some(&gate.key), &MODERN, call(r#"{"name":"LANG"}"#)).await.unwrap();
    assert_eq!(
        (fine.status, &fine.body["result"]["structuredContent"]["value"]),
        (200, &json!("C.UTF-8")),
        "{}",
        fine.text
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn header_and_body_must_agree() {
    let gate = gate().await;
    let body = call(r#"{"name":"LANG"}"#);
    for headers in [
        vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/call"),
            ("mcp-name", "omnipotent__health_check"),
        ],
        vec![
            ("mcp-protocol-version", "2026-07-28"),
            ("mcp-method", "tools/list"),
            ("mcp-name", "omnipotent__get_env_var"),
        ],
        vec![("mcp-protocol-version", "2026-07-28"), ("mcp-name", "omnipotent__get_env_var")],
        vec![("mcp-method", "tools/call"), ("mcp-name", "omnipotent__get_env_var")],
    ] {
        let reply = gate.post("/mcp", Some(&gate.key), &headers, body.clone()).await.unwrap();
        assert_eq!(
            (reply.status, &reply.body["error"]["code"]),
            (400, &json!(-32020)),
            "{headers:?}: {}",
            reply.text
        );
        assert_eq!(reply.body["id"], 7, "the id is echoed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rest_refuses_in_one_shape() {
    let gate = gate().await;
    let send = async |body: &'static str| {
        let request = gate.http.post(gate.url("/mcp/omnipotent/tools/get_env_var")).bearer_auth(&gate.key);
        let answer = request.header("content-type", "application/json").body(body).send().await.unwrap();
        (
            answer.status().as_u16(),
            serde_json::from_str::<serde_json::Value>(&answer.text().await.unwrap()).unwrap(),
        )
    };
    for body in [
        "",
        "{",
        "[]",
        r#"{"parms":{}}"#,
        r#"{"params":[]}"#,
        r#"{"params":{},"params":{}}"#,
        r#"{"params":{"name":3}}"#,
    ] {
        let (status, answer) = send(body).await;
        assert_eq!(status, 400, "{body}: {answer}");
        assert_eq!(
            (&answer["success"], &answer["error"]["kind"]),
            (&json!(false), &json!("invalid")),
            "{body}: {answer}"
        );
    }
    let limited = toolgate_testkit::TestGate::builder(crate::BINARY)
        .config("limits:\n  per_tool: \"1/hour\"")
        .start()
        .await
        .unwrap();
    limited.rest("omnipotent", "get_env_var", json!({"name": "LANG"})).await.unwrap();
    let request =
        limited.http.post(limited.url("/mcp/omnipotent/tools/get_env_var")).bearer_auth(&limited.key);
    let answer = request
        .header("content-type", "application/json")
        .body(r#"{"params":{"name":"LANG"}}"#)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((3000..=3600).contains(&wait), "{wait}");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_stay_outside() {
    let gate = gate().await;
    let body = call(r#"{"name":"LANG"}"#);
    for (headers, status) in [
        (vec![("host", "evil.example")], 403),
        (vec![("origin", "https://evil.example")], 403),
        (vec![("authorization", "Bearer tg_aaaaaaaaaaaa_bbbb")], 401),
        (vec![], 401),
    ] {
        let reply =
            gate.post("/mcp", None, &[&headers[..], &MODERN[..]].concat(), body.clone()).await.unwrap();
        assert_eq!(reply.status, status, "{headers:?}: {}", reply.text);
    }
}
