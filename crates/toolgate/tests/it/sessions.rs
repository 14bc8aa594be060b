//! Legacy sessions: they outlive the gateway, and nothing of them outlives their key.

use crate::{BINARY, gate};
use serde_json::{Value, json};
use std::time::Duration;
use toolgate_testkit::TestGate;
use toolgate_testkit::mcp::Reply;

async fn ask(gate: &TestGate, key: &str, session: &str, method: &str, params: Value) -> Reply {
    gate.legacy("/mcp", key, session, method, params).await.unwrap()
}

// The session's own stream, open when this returns.
async fn own_stream(gate: &TestGate, key: &str, session: &str) -> reqwest::Response {
    let request = gate.http.get(gate.url("/mcp")).bearer_auth(key).header("accept", "text/event-stream");
    let mut stream = request.header("mcp-session-id", session).send().await.unwrap();
    assert_eq!(stream.status().as_u16(), 200);
    assert!(stream.chunk().await.unwrap().is_some(), "the stream opens with an event");
    stream
}

// The rest of a stream, which must end.
async fn rest(stream: reqwest::Response) -> String {
    tokio::time::timeout(Duration::from_secs(10), stream.text()).await.expect("the stream ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_outlives_the_gateway() {
    let mut gate = gate().await;
    let (key, session) = (gate.key.clone(), gate.initialize("/mcp", &gate.key, "2025-06-18").await.unwrap());
    let ended = gate.initialize("/mcp", &key, "2025-06-18").await.unwrap();
    let set = ask(&gate, &key, &session, "logging/setLevel", json!({"level": "error"})).await;
    assert_eq!((set.status, &set.body["result"]), (200, &json!({})), "{}", set.text);
    let end = gate.http.delete(gate.url("/mcp")).bearer_auth(&key).header("mcp-session-id", &ended);
    assert_eq!(end.send().await.unwrap().status().as_u16(), 204);
    let stranger = gate.make_key("stranger", &["admin"]).unwrap();

    for kill in [false, true] {
        if kill {
            // Written behind: within a second or so, not at the end only.
            tokio::time::sleep(Duration::from_millis(2500)).await;
            gate.kill().unwrap();
        } else {
            assert_eq!(gate.stop().unwrap(), Some(0));
        }
        gate.start().await.unwrap();
        let reply = ask(&gate, &stranger, &session, "ping", json!({})).await;
        assert_eq!(reply.status, 404, "another key: {}", reply.text);
        let reply = gate.legacy("/mcp/omnipotent", &key, &session, "ping", json!({})).await.unwrap();
        assert_eq!(reply.status, 404, "another door: {}", reply.text);
        let reply = ask(&gate, &key, &ended, "ping", json!({})).await;
        assert_eq!(reply.status, 404, "ended before: {}", reply.text);
        let call = json!({"name": "get_env_var", "arguments": {"name": "LANG"}});
        let reply = ask(&gate, &key, &session, "tools/call", call).await;
        assert_eq!(
            reply.body["result"]["structuredContent"]["value"], "C.UTF-8",
            "killed: {kill}; {}",
            reply.text
        );
        drop(own_stream(&gate, &key, &session).await);
    }
    let text = std::fs::read(gate.data().join("toolgate.db")).unwrap();
    assert!(
        !text.windows(session.len()).any(|w| w == session.as_bytes()),
        "the store holds the session's id"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_and_streams_end_with_their_key() {
    let gate = gate().await;
    let key = gate.make_key("laptop", &["viewer"]).unwrap();
    let session = gate.initialize("/mcp", &key, "2025-11-25").await.unwrap();
    let own = own_stream(&gate, &key, &session).await;
    let others = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
    let mut kept = own_stream(&gate, &gate.key, &others).await;
    let listen = json!({"jsonrpc": "2.0", "id": 7, "method": "subscriptions/listen", "params":
        toolgate_testkit::mcp::modern_params(json!({"notifications": {"toolsListChanged": true}}))});
    let mut listening = gate
        .http
        .post(gate.url("/mcp"))
        .bearer_auth(&key)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "subscriptions/listen")
        .body(listen.to_string())
        .send()
        .await
        .unwrap();
    let first = listening.chunk().await.unwrap().unwrap();
    assert!(String::from_utf8_lossy(&first).contains("acknowledged"), "{first:?}");

    let id = key.split('_').nth(1).unwrap();
    assert!(gate.run(&["keys", "revoke", id]).unwrap().status.success());
    rest(own).await;
    let last = rest(listening).await;
    assert!(last.contains("\"id\":7"), "a subscription is answered in the end: {last}");
    let reply = ask(&gate, &key, &session, "ping", json!({})).await;
    assert_eq!(reply.status, 401, "{}", reply.text);
    let more = tokio::time::timeout(Duration::from_millis(300), kept.chunk()).await;
    assert!(more.is_err(), "nobody else's stream ends: {more:?}");
    assert_eq!(ask(&gate, &gate.key, &others, "ping", json!({})).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_ends_when_its_key_expires() {
    let gate = gate().await;
    let made =
        gate.json(&["keys", "create", "short", "--role", "viewer", "--expires", "3s", "--json"]).unwrap();
    let key = made["key"].as_str().unwrap();
    let session = gate.initialize("/mcp", key, "2025-11-25").await.unwrap();
    let own = own_stream(&gate, key, &session).await;
    rest(own).await;
    assert_eq!(ask(&gate, key, &session, "ping", json!({})).await.status, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_bounds_of_sessions_can_be_set() {
    let gate = TestGate::builder(BINARY)
        .config("http: { sessions: { idle: 2s, per_caller: 2, total: 3 } }\n")
        .start()
        .await
        .unwrap();
    let mut open = Vec::new();
    for _ in 0..2 {
        let session = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap();
        let stream = own_stream(&gate, &gate.key, &session).await;
        open.push((session, stream));
    }
    let error = gate.initialize("/mcp", &gate.key, "2025-11-25").await.unwrap_err().to_string();
    assert!(error.contains("429") && error.contains("you have 2 sessions"), "{error}");
    let other = gate.make_key("other", &["viewer"]).unwrap();
    let third = gate.initialize("/mcp", &other, "2025-11-25").await.unwrap();
    let held = own_stream(&gate, &other, &third).await;
    let error = gate.initialize("/mcp", &other, "2025-11-25").await.unwrap_err().to_string();
    assert!(error.contains("429") && error.contains("there are 3 sessions"), "{error}");
    // What is not used ends after its time; what is does not.
    let (session, stream) = open.pop().unwrap();
    drop(stream);
    tokio::time::sleep(Duration::from_millis(3200)).await;
    assert_eq!(ask(&gate, &gate.key, &session, "ping", json!({})).await.status, 404);
    assert_eq!(ask(&gate, &gate.key, &open[0].0, "ping", json!({})).await.status, 200);
    drop(held);
}
